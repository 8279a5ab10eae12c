// The pack's part in the browser. Without it, or where it fails, the nodes keep their plain inputs.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { Shown } from "./shown.js";
import { SliderNode } from "./slider_node.js";

const LOOK_MS = 400; // between two looks at what is connected, and at the texts
const BUNDLED = "cldis_demo (bundled)";
const trackerNow = () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
const comfy = {
  known: {}, // sliders by model
  fetchApi: (path, options) => api.fetchApi(path, options),
  root: () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph,
  isModern: () => globalThis.LiteGraph?.vueNodesMode === true,
  // By itself ComfyUI records a change when the mouse is let go, before a button hears of its click.
  record() {
    const tracker = trackerNow();
    tracker?.captureCanvasState ? tracker.captureCanvasState() : tracker?.checkState?.(); // as of 1.35
  },
};
const shown = new Shown(comfy.root);
// A run that failed may have come as far as the sliders; perhaps it failed because they are old.
for (const end of ["success", "error", "interrupted"]) api.addEventListener(`execution_${end}`, ({ detail }) =>
  shown.all().forEach((each) => each.ran(detail.prompt_id, end !== "success")));
// The height follows from what is shown, so to undo and redo, which would end there, it is no change.
// What they compare records each graph by itself, the root's nodes outside of its definitions.
const settle = ({ id, size, graph }, root = trackerNow()?.activeState) =>
  (graph === comfy.root() ? root : root?.definitions?.subgraphs?.find((each) => each.id === graph?.id))?.nodes
    ?.filter((known) => known.type === "CLDIS_EditSliders" && String(known.id) === String(id))
    .forEach((known) => (known.size = [known.size[0], size[1]]));
app.registerExtension({
  name: "cldis.sliders",
  async init() {
    const answer = await api.fetchApi(`/cldis/sliders?model=${encodeURIComponent(BUNDLED)}`).catch(() => null);
    if (answer?.ok) comfy.known[BUNDLED] = (await answer.json()).sliders;
  },
  setup: () => setInterval(() => shown.all().forEach((each) => [each.look(), settle(each.node)]), LOOK_MS),
  nodeCreated(node) {
    // A new node keeps its seed: a seed that changed would draw all anew at each run.
    const control = node.widgets?.find(({ name }) => name === "control_after_generate");
    if (control && /^CLDIS_(?!Sample$)/.test(node.comfyClass)) control.value = "fixed";
    try {
      if (node.comfyClass === "CLDIS_EditSliders") node.cldisSliders = new SliderNode(node, comfy);
    } catch (error) {
      console.warn("CL-Dis: the sliders cannot be shown; edit the text instead.", error);
    }
  },
});
