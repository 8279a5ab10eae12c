// The slider nodes that the graph holds. Copying makes nodes that no graph ever holds, and ComfyUI tells
// nobody when those within a subgraph go; so they are looked for. No DOM, no ComfyUI.
import { nodesIn } from "./graphs.js";

export class Shown {
  constructor(root) {
    Object.assign(this, { root, now: new Set() });
  }

  /** The sliders of the nodes there now; those of nodes that have gone are put to rest. */
  all() {
    const found = new Set(nodesIn(this.root()).map(({ cldisSliders }) => cldisSliders).filter(Boolean));
    this.now.forEach((each) => found.has(each) || each.rest());
    return (this.now = found);
  }
}
