// Two requests at a time, so that one is drawn while the other travels; of those asked for meanwhile
// only the newest is sent, and none is shown after a newer one. No DOM, no ComfyUI.
const AT_ONCE = 2;

export class Latest {
  /** send(value) -> Promise of a result; show(result) and fail(error, isNewest) get what came of it. */
  constructor(send, show, fail) {
    Object.assign(this, { send, show, fail, underway: 0, count: 0, shown: 0, waiting: null });
  }

  async ask(value) {
    this.waiting = { value };
    if (this.underway === AT_ONCE) return;
    this.underway++;
    while (this.waiting) {
      const { value: newest } = this.waiting, number = ++this.count;
      this.waiting = null;
      const [result, error] = await this.send(newest).then((found) => [found], (fault) => [null, fault]);
      if (number < this.shown) continue;
      this.shown = number;
      if (error) this.fail(error, number === this.count && !this.waiting);
      else this.show(result);
    }
    this.underway--;
  }

  /** What has not been sent will not be. */
  drop = () => (this.waiting = null);
}
