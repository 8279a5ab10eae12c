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
  const { graph: own, node: made } = graphWith('{"light":1}'), { rootGraph } = globalThis.page.app;
  globalThis.page.app.rootGraph = own;
  extension.nodeCreated(Object.assign(made, { comfyClass: "CLDIS_EditSliders" }));
  await made.cldisSliders.look();
  for (const names of [["checkState"], ["captureCanvasState", "checkState"], []]) {
    globalThis.page.app.extensionManager = manager(tracker(...names));
    made.cldisSliders.panel.actions.reset();
  }
  Object.assign(globalThis.page.app, { rootGraph, extensionManager: undefined });
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

test("edits that are parked for another model are no step of their own to undo", async () => {
  const type = "CLDIS_EditSliders", { graph: own, node: made, loader } = graphWith('{"light":1}');
  const { rootGraph } = globalThis.page.app, text = () => made.widgets[0].value;
  globalThis.page.app.rootGraph = own;
  extension.nodeCreated(Object.assign(made, { comfyClass: type }));
  await made.cldisSliders.look();
  const recorded = (values, more) => ({ id: 2, type, size: [9, 9], widgets_values: [values], ...more });
  const states = [recorded('{"light":1}', { widgets_values_named: { edits: '{"light":1}' } }), recorded('{"light":1}'),
    recorded('{"light":2}')]; // the last was typed, and not recorded yet
  for (const state of states) {
    globalThis.page.app.extensionManager = { workflow: { activeWorkflow: { changeTracker: { activeState: { nodes: [state] } } } } };
    [loader.widgets[0].value, made.widgets[0].value] = ["heads", '{"light":1}'];
    await made.cldisSliders.look();
    loader.widgets[0].value = "cars";
    await made.cldisSliders.look();
    assert.equal(text(), '{"#light":1}');
  }
  assert.deepEqual(states.map(({ widgets_values: [value] }) => value), ['{"#light":1}', '{"#light":1}', '{"light":2}']);
  assert.deepEqual(states[0].widgets_values_named, { edits: '{"#light":1}' });
  [globalThis.page.app.rootGraph, globalThis.page.app.extensionManager] = [rootGraph, undefined];
});
