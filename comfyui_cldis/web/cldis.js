// The pack's part in the browser. Without it, or where it fails, the nodes keep their plain inputs.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { SliderNode } from "./slider_node.js";

app.registerExtension({
  name: "cldis.sliders",
  nodeCreated(node) {
    if (node.comfyClass !== "CLDIS_EditSliders") return;
    try {
      new SliderNode(node, {
        fetchApi: (path, options) => api.fetchApi(path, options),
        root: () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph,
        isModern: () => globalThis.LiteGraph?.vueNodesMode === true,
      });
    } catch (error) {
      console.warn("CL-Dis: the sliders cannot be shown; edit the text instead.", error);
    }
  },
});
