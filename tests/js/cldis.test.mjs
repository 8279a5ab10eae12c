import assert from "node:assert/strict";
import { test } from "node:test";
import { extensionOn, graphWith } from "./fake.mjs";

const { graph, node } = graphWith();
const { extension, send } = await extensionOn(graph);

test("new nodes keep their seed, except the one that samples", () => {
  const controls = ["CLDIS_Decode", "CLDIS_Traverse", "CLDIS_TrackContent", "CLDIS_Sample", "KSampler"].map((comfyClass) => {
    const widgets = [{ name: "seed", value: 0 }, { name: "control_after_generate", value: "randomize" }];
    extension.nodeCreated({ comfyClass, widgets });
    assert.deepEqual(widgets.map(({ name }) => name), ["seed", "control_after_generate"]);
    return widgets[1].value;
  });
  assert.deepEqual(controls, ["fixed", "fixed", "fixed", "randomize", "randomize"]);
  extension.nodeCreated({ comfyClass: "CLDIS_ModelInfo" }); // without widgets
});

test("a run that ends, however it does, is looked at for its picture", () => {
  const told = [];
  node.cldisSliders = { ran: (...given) => told.push(given), rest() {} };
  for (const end of ["success", "error", "interrupted"]) send(`execution_${end}`, { prompt_id: end });
  assert.deepEqual(told, [["success", false], ["error", true], ["interrupted", true]]);
});

test("a height that follows from what is shown is no change to undo", () => {
  globalThis.page.app.extensionManager = { workflow: { activeWorkflow: { changeTracker: {
    activeState: { nodes: [{ id: 1, size: [9, 9] }, { id: "2", size: [500, 402] }, { id: 3 }] } } } } };
  const kept = node.cldisSliders;
  node.cldisSliders = { node, look() {} };
  node.size = [520, 831];
  const started = [], { setInterval } = globalThis;
  globalThis.setInterval = (work) => started.push(work);
  extension.setup();
  globalThis.setInterval = setInterval;
  started[0]();
  const { nodes } = globalThis.page.app.extensionManager.workflow.activeWorkflow.changeTracker.activeState;
  assert.deepEqual(nodes, [{ id: 1, size: [9, 9] }, { id: "2", size: [500, 831] }, { id: 3 }]);
  node.cldisSliders = kept;
});
