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
    tracker?.captureCanvasState ? tracker.captureCanvasState() : tracker?.checkState?.(); // the name in 1.35 and before
  },
  // Edits that follow from another model belong to that change: between the two, undo would find edits that fail.
  amend(node, before, after) {
    const index = node.widgets.findIndex(({ name }) => name === "edits");
    for (const { widgets_values: values, widgets_values_named: named } of recordedOf(node)) {
      if (values?.[index] === before) values[index] = after;
      if (named?.edits === before) named.edits = after;
    }
  },
};
const shown = new Shown(comfy.root);
// A run that failed may have come as far as the sliders; perhaps it failed because they are old.
for (const end of ["success", "error", "interrupted"]) api.addEventListener(`execution_${end}`, ({ detail }) =>
  shown.all().forEach((each) => each.ran(detail.prompt_id, end !== "success")));
// What undo and redo compare has each graph by itself, the root's nodes outside of its definitions.
function recordedOf({ id, graph }) {
  const root = trackerNow()?.activeState, isRoot = graph === comfy.root();
  const recorded = isRoot ? root : root?.definitions?.subgraphs?.find((each) => each.id === graph?.id);
  return (recorded?.nodes ?? []).filter((each) => each.type === "CLDIS_EditSliders" && String(each.id) === String(id));
}
// The height follows from what is shown, so to undo and redo, which would end there, it is no change.
const settle = (node) => recordedOf(node).forEach((known) => (known.size = [known.size[0], node.size[1]]));
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
