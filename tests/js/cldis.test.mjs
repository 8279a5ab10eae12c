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

test("what a button does is recorded by the name that the frontend has for it", async () => {
  const done = [], tracker = (...names) => Object.fromEntries(names.map((name) => [name, () => done.push(name)]));
  const manager = (changeTracker) => ({ workflow: { activeWorkflow: { changeTracker } } });
  const made = graphWith('{"light":1}').node;
  extension.nodeCreated(Object.assign(made, { comfyClass: "CLDIS_EditSliders" }));
  await made.cldisSliders.look();
  for (const names of [["checkState"], ["captureCanvasState", "checkState"], []]) {
    globalThis.page.app.extensionManager = manager(tracker(...names));
    made.cldisSliders.panel.actions.reset();
  }
  globalThis.page.app.extensionManager = undefined;
  made.cldisSliders.panel.actions.reset();
  assert.deepEqual(done, ["checkState", "captureCanvasState"]);
});

test("a height that follows from what is shown is no change to undo", () => {
  const type = "CLDIS_EditSliders", inner = { id: "inner", nodes: [{ id: 2, graph: null }] };
  const recorded = {
    nodes: [{ id: 1, type, size: [9, 9] }, { id: "2", type, size: [500, 402] }, { id: 2, type: "Note", size: [9, 9] }],
    definitions: { subgraphs: [
      { id: "other", nodes: [{ id: 2, type, size: [9, 9] }] }, { id: "inner", nodes: [{ id: 2, type, size: [500, 402] }] },
    ] },
  };
  globalThis.page.app.extensionManager = { workflow: { activeWorkflow: { changeTracker: { activeState: recorded } } } };
  const started = [], { setInterval } = globalThis, kept = node.cldisSliders;
  globalThis.setInterval = (work) => started.push(work);
  extension.setup();
  globalThis.setInterval = setInterval;
  const sizes = ({ nodes }) => nodes.map(({ size }) => size.at(-1));
  node.cldisSliders = { node, look() {}, rest() {} };
  node.size = [520, 831];
  started[0]();
  assert.deepEqual(recorded.nodes.map(({ size }) => size), [[9, 9], [500, 831], [9, 9]]);
  assert.deepEqual(recorded.definitions.subgraphs.map(sizes), [[9], [402]]);
  const own = inner.nodes[0]; // of the same id
  own.cldisSliders = { node: Object.assign(own, { graph: inner, size: [520, 700] }), look() {}, rest() {} };
  [node.cldisSliders, graph.nodes] = [undefined, [...graph.nodes, { id: 7, subgraph: inner }]];
  started[0]();
  assert.deepEqual([sizes(recorded), ...recorded.definitions.subgraphs.map(sizes)], [[9, 831, 9], [9], [700]]);
  [node.cldisSliders, graph.nodes] = [kept, graph.nodes.slice(0, -1)];
});
