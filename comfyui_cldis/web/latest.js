// One request at a time; of those asked for meanwhile only the newest is sent. No DOM, no ComfyUI.

export class Latest {
  /** send(value) -> Promise of a result; show(result, value) and fail(error) get what came of it. */
  constructor(send, show, fail) {
    Object.assign(this, { send, show, fail, isBusy: false, waiting: null, isClosed: false });
  }

  ask(value) {
    this.waiting = { value };
    if (!this.isBusy) this.next();
  }

  close() {
    this.isClosed = true;
    this.waiting = null;
  }

  async next() {
    this.isBusy = true;
    while (this.waiting) {
      const { value } = this.waiting;
      this.waiting = null;
      try {
        const result = await this.send(value);
        if (!this.isClosed) this.show(result, value);
      } catch (error) {
        if (!this.isClosed) this.fail(error, value);
      }
    }
    this.isBusy = false;
  }
}
