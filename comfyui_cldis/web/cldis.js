// The pack's part in the browser. Without it, or where it fails, the nodes keep their plain inputs.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { SliderNode } from "./slider_node.js";

const BUNDLED = "cldis_demo (bundled)";
const shown = new Set();
const comfy = {
  known: {}, // sliders by model
  fetchApi: (path, options) => api.fetchApi(path, options),
  root: () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph,
  isModern: () => globalThis.LiteGraph?.vueNodesMode === true,
  closed: (each) => shown.delete(each),
};
api.addEventListener("execution_success", ({ detail }) => shown.forEach((each) => each.ran(detail.prompt_id)));
app.registerExtension({
  name: "cldis.sliders",
  async init() {
    const answer = await api.fetchApi(`/cldis/sliders?model=${encodeURIComponent(BUNDLED)}`).catch(() => null);
    if (answer?.ok) comfy.known[BUNDLED] = (await answer.json()).sliders;
  },
  nodeCreated(node) {
    try {
      if (node.comfyClass === "CLDIS_EditSliders") shown.add(new SliderNode(node, comfy));
    } catch (error) {
      console.warn("CL-Dis: the sliders cannot be shown; edit the text instead.", error);
    }
  },
});
