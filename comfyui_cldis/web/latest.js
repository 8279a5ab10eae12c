// One request at a time; of those asked for meanwhile only the newest is sent. No DOM, no ComfyUI.
export class Latest {
  /** send(value) -> Promise of a result; show(result) and fail(error) get what came of it. */
  constructor(send, show, fail) {
    Object.assign(this, { send, show, fail, isBusy: false, waiting: null, isClosed: false });
  }

  async ask(value) {
    this.waiting = { value };
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.waiting && !this.isClosed) {
      const { value: newest } = this.waiting;
      this.waiting = null;
      try {
        const result = await this.send(newest);
        if (!this.isClosed) this.show(result);
      } catch (error) {
        if (!this.isClosed) this.fail(error);
      }
    }
    this.isBusy = false;
  }

  close() {
    this.isClosed = true;
  }
}
