// Just enough of a page and of ComfyUI for the sliders: elements, a node, a graph, a server.
import { register } from "node:module";

class Element {
  constructor(tag) {
    Object.assign(this, { tag, style: {}, dataset: {}, children: [], listeners: {}, textContent: "", src: "", value: "" });
    this.offsetHeight = 100;
  }
  append(...children) { this.children.push(...children); children.forEach((each) => (each.parent = this)); }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  addEventListener(type, listener) { this.listeners[type] = listener; }
  removeAttribute(name) { this[name] = ""; }
  closest(selector) { return this.matches(selector) ? this : this.parent?.closest(selector) ?? null; }
  matches(selector) { return selector.split(",").includes(this.tag); }
  focus() {}
  /** Of what is on the page, in the place of this. */
  replaceWith(other) { Object.assign(page, { [this.at]: Object.assign(other, { at: this.at, isConnected: true }) }); this.isConnected = false; }
}
/** What Nodes 2.0 has put on the page: a panel by the id of its node. */
export const page = {};
globalThis.document = {
  createElement: (tag) => new Element(tag),
  querySelector(selector) {
    const [, id] = selector.match(/^\[data-node-id="(\d+)"\] \.cldis-panel\[data-gone\]$/);
    return page[id]?.dataset.gone ? page[id] : null;
  },
};
const stored = new Map();
globalThis.sessionStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
  clear: () => stored.clear(),
};
/** The pictures that the page holds. */
export const held = [];
URL.createObjectURL = (blob) => { held.push(`blob:${blob}`); return held.at(-1); };
URL.revokeObjectURL = (url) => { if (held.includes(url)) held.splice(held.indexOf(url), 1); };

/** A graph with a loader and a slider node, linked as ComfyUI links them. */
export function graphWith(edits = "{}", model = "heads") {
  const graph = { id: "graph", nodes: [], links: {}, getNodeById(id) { return this.nodes.find((n) => n.id === id); } };
  graph.links[1] = { origin_id: 1, origin_slot: 0 };
  const loader = { id: 1, graph, inputs: [], widgets: [{ name: "model_name", value: model }] };
  const node = {
    id: 2, graph, size: [300, 100], inputs: [{ name: "model", link: 1 }, { name: "edits", link: null }],
    widgets: [{ name: "edits", value: edits, options: {} }],
    kinds: ["slider", "gradientslider"], // that the frontend can draw
    addWidget(type, name, value, callback, options) {
      const widget = { type, name, value, callback, options };
      if (this.kinds.includes(type)) widget.drawWidget = () => {};
      this.widgets.push(widget);
      return widget;
    },
    addDOMWidget(name, type, element, options) { return this.addWidget(type, name, "", null, options); },
    removeWidget(widget) { this.widgets.splice(this.widgets.indexOf(widget), 1); },
    computeSize: () => [200, 400],
    setSize(size) { this.size = size; },
  };
  graph.nodes.push(loader, node);
  return { graph, loader, node };
}

export const SLIDERS = [
  { id: "light", name: "light", low: "left", high: "right", min: -2, max: 3, flipped: false, note: "", strip: "data:" },
  { id: "shape 3", name: "sleeve", low: "long", high: "short", min: -1, max: 2, flipped: true, note: "weak", strip: null },
];

export const SMILE = [{ id: "smile", name: "smile", low: "", high: "", min: -1, max: 1, flipped: false, note: "", strip: null }];

/** Whether a run with `model` stops at these edits, since they name what it has not. Its picture is there all the same. */
export const refuses = (edits, model) => [].concat(JSON.parse(edits)).flatMap(Object.keys).some((name) =>
  !name.startsWith("#") && !(model === "cars" ? SMILE : SLIDERS).some((each) => [each.id, each.name].includes(name)));

/** ComfyUI's part; `calls` notes what is asked of the server, `answer(path, body)` may change it. */
export function comfyWith(graph, answer = () => undefined) {
  const calls = [];
  const body = (path, sent) => {
    const own = answer(path, sent);
    if (own !== undefined) return own;
    if (path.startsWith("/cldis/sliders")) return { sliders: path.includes("cars") ? SMILE : SLIDERS };
    if (path.startsWith("/cldis/presets")) return { evening: { light: 1.5 } };
    if (path.startsWith("/cldis/picture")) return { token: "token", model: "heads", images: 1 };
    return "picture";
  };
  return {
    calls,
    known: {},
    recorded: [], // the texts that undo can come back to
    record() { this.recorded.push(graph.nodes.at(-1).widgets?.[0].value); },
    amend() {},
    root: () => graph,
    isModern: () => false,
    async fetchApi(path, options) {
      const sent = options?.body ? JSON.parse(options.body) : null;
      calls.push([path, sent]);
      const found = body(path, sent), status = found?.status ?? 200;
      return {
        ok: status === 200, status,
        headers: { get: () => (typeof found === "string" ? "image/jpeg" : "application/json") },
        json: async () => found, blob: async () => found,
      };
    },
  };
}

/** The extension that the pack registers, of a page whose server sends `send(type, detail)`. */
export async function extensionOn(graph) {
  const listeners = {}, made = {};
  globalThis.page = {
    api: { addEventListener: (type, listener) => { listeners[type] = listener; }, fetchApi: comfyWith(graph).fetchApi },
    app: { rootGraph: graph, registerExtension: (extension) => Object.assign(made, extension) },
  };
  const scripts = "export const { api, app } = globalThis.page;";
  const hook = `export const resolve = (name, context, next) => (name.includes("/scripts/")
    ? { url: ${JSON.stringify(`data:text/javascript,${scripts}`)}, shortCircuit: true } : next(name, context));`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
  await import("../../comfyui_cldis/web/cldis.js");
  return { extension: made, send: (type, detail) => listeners[type]?.({ detail }) };
}

export const settled = () => new Promise((done) => setTimeout(done, 5));
