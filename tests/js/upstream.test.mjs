import assert from "node:assert/strict";
import { test } from "node:test";
import { executionId, nodesIn } from "../../comfyui_cldis/web/graphs.js";
import { modelNames } from "../../comfyui_cldis/web/upstream.js";
import { graphWith } from "./fake.mjs";

const modelName = (...given) => modelNames(...given)[0] ?? null;
const graphOf = (nodes, links) => {
  const graph = { nodes, links, getNodeById: (id) => nodes.find((node) => node.id === id) };
  nodes.forEach((node) => (node.graph = graph));
  return graph;
};
const loader = (id) => ({ id, inputs: [], widgets: [{ name: "model_name", value: "heads" }] });
const sliders = (id, link) => ({ id, inputs: [{ name: "model", link }] });

test("the loader is found, and nothing where there is none", () => {
  const { graph, node } = graphWith();
  assert.equal(modelName(node, graph), "heads");
  assert.equal(executionId(node, graph), "2");
  node.inputs[0].link = null;
  assert.equal(modelName(node, graph), null);
  node.inputs[0].link = 99;
  assert.equal(modelName(node, graph), null);
});

test("through a reroute, and a loop does not hang", () => {
  const reroute = { id: 2, inputs: [{ name: "", type: "*", link: 1 }] };
  const node = sliders(3, 2);
  const graph = graphOf([loader(1), reroute, node], { 1: { origin_id: 1, origin_slot: 0 }, 2: { origin_id: 2, origin_slot: 0 } });
  assert.equal(modelName(node, graph), "heads");
  graph.links[1].origin_id = 2;
  assert.equal(modelName(node, graph), null);
});

test("links that part and meet again, or run in circles through several inputs, end at once", () => {
  const nodes = [loader(0)], links = { 0: { origin_id: 0, origin_slot: 0 } };
  for (let id = 1; id <= 40; id++) {
    nodes.push({ id, inputs: [0, 1].map(() => ({ type: "CLDIS_MODEL", link: id - 1 })) });
    links[id] = { origin_id: id, origin_slot: 0 };
  }
  const node = sliders(41, 40), graph = graphOf([...nodes, node], links);
  assert.deepEqual(modelNames(node, graph), ["heads"]);
  links[0].origin_id = 40;
  assert.deepEqual(modelNames(node, graph), []);
});

test("from inside a subgraph to a loader outside", () => {
  const node = sliders(5, 7);
  const inner = graphOf([node], { 7: { origin_id: "-10", origin_slot: 1 } });
  const host = { id: 9, subgraph: inner, inputs: [{ name: "image", link: null }, { name: "model", link: 1 }] };
  const root = graphOf([loader(1), host], { 1: { origin_id: 1, origin_slot: 0 } });
  assert.equal(modelName(node, root), "heads");
  assert.equal(executionId(node, root), "9:5");
});

test("from outside to a loader within a subgraph, whose choice the subgraph may show", () => {
  const inside = loader(4);
  const inner = graphOf([inside], { 3: { origin_id: 4, origin_slot: 0 }, 8: { origin_id: -10, origin_slot: 0 } });
  inner.outputs = [{ linkIds: [3] }];
  const host = { id: 9, subgraph: inner, inputs: [{ name: "model_name" }], widgets: [{ name: "model_name", value: "cars" }] };
  const node = sliders(5, 1);
  const root = graphOf([host, node], { 1: { origin_id: 9, origin_slot: 0 } });
  assert.equal(modelName(node, root), "heads");
  inside.inputs = [{ name: "model_name", widget: { name: "model_name" }, link: 8 }];
  assert.equal(modelName(node, root), "cars");
});

test("a choice that two subgraphs hand on is that of the outermost, wherever it is used", () => {
  const inside = { ...loader(4), inputs: [{ name: "model_name", widget: { name: "model_name" }, link: 5 }] };
  const node = sliders(5, 1);
  const inner = graphOf([inside, node], { 1: { origin_id: 4, origin_slot: 0 }, 5: { origin_id: -10, origin_slot: 0 } });
  const shows = (value, link) => ({ inputs: [{ name: "model_name", link }], widgets: [{ name: "model_name", value }] });
  const outer = graphOf([{ id: 20, subgraph: inner, ...shows("heads", 6) }], { 6: { origin_id: -10, origin_slot: 0 } });
  const hosts = [{ id: 30, subgraph: outer, ...shows("cars", null) }];
  const root = graphOf(hosts, { 9: { origin_id: 99, origin_slot: 0 } });
  assert.deepEqual(modelNames(node, root), ["cars"]);
  hosts[0].inputs[0].link = 9; // from another node
  assert.deepEqual(modelNames(node, root), [""]);
  hosts[0].inputs[0].link = null;
  hosts.push({ id: 31, graph: root, subgraph: outer, ...shows("dogs", null) });
  assert.deepEqual(modelNames(node, root), ["cars", "dogs"]);
});

test("a name that comes over a link, or a node that makes a model, is not known", () => {
  const linked = { ...loader(1), inputs: [{ name: "model_name", widget: { name: "model_name" }, link: 7 }] };
  const trains = { id: 2, inputs: [{ type: "IMAGE", link: null }], widgets: [{ name: "name", value: "mine" }] };
  const pick = { id: 3, inputs: [1, 2, 4].map((link) => ({ type: "CLDIS_MODEL", link })) }, node = sliders(5, 3);
  const links = Object.fromEntries([1, 2, 3, 4, 7].map((id) => [id, { origin_id: id, origin_slot: 0 }]));
  assert.deepEqual(modelNames(node, graphOf([linked, trains, pick, loader(4), node], links)), ["", "", "heads"]);
});

test("of several loaders, one that is muted, or bypassed with nothing to pass on, gives no model", () => {
  const both = [loader(1), { ...loader(2), widgets: [{ name: "model_name", value: "cars" }] }];
  const pick = { id: 3, inputs: [{ type: "INT", link: null }, { type: "*", link: null },
    { type: "CLDIS_MODEL", link: 1 }, { type: "CLDIS_MODEL", link: 2 }] };
  const node = sliders(4, 3);
  const links = { 1: { origin_id: 1, origin_slot: 0 }, 2: { origin_id: 2, origin_slot: 0 }, 3: { origin_id: 3, origin_slot: 0 } };
  const graph = graphOf([...both, pick, node], links), found = () => modelName(node, graph);
  assert.deepEqual(modelNames(node, graph), ["heads", "cars"]);
  for (const mode of [2, 4]) {
    both[0].mode = mode;
    assert.equal(found(), "cars");
  }
  both[1].mode = 2;
  assert.equal(found(), null);
  pick.inputs[1].link = 4; // a node that passes a model on though it is bypassed
  graph.nodes.push({ id: 5, graph, mode: 4, inputs: [{ type: "CLDIS_MODEL", link: 5 }] }, { ...loader(6), graph });
  Object.assign(links, { 4: { origin_id: 5, origin_slot: 0 }, 5: { origin_id: 6, origin_slot: 0 } });
  assert.equal(found(), "heads");
});

test("subgraphs in subgraphs, each used twice, are walked once", { timeout: 5000 }, () => {
  const named = () => ({ name: "model_name", widget: { name: "model_name" }, link: 2 });
  const node = { id: 5, inputs: [{ name: "model", link: 3 }] }, inside = { ...loader(4), inputs: [named()] };
  const pick = { id: 3, inputs: [1, 4].map((link) => ({ type: "CLDIS_MODEL", link })) };
  const from = (id, slot = 0) => ({ origin_id: id, origin_slot: slot });
  let graph = graphOf([node, inside, pick], { 1: from(-10), 2: from(-10, 1), 3: from(3), 4: from(4) });
  for (let level = 0; level < 20; level++) {
    const subgraph = graph, inputs = () => [{ name: "model", link: 1 }, named()];
    graph = graphOf([1, 2].map((id) => ({ id, subgraph, inputs: inputs() })), { 1: from(-10), 2: from(-10, 1) });
  }
  graph.nodes[0].inputs = [{ name: "model", link: 7 }, { name: "model_name" }];
  graph.nodes[0].widgets = [{ name: "model_name", value: "cars" }];
  graph.nodes[1].inputs = [{ name: "model", link: 8 }, { name: "model_name" }];
  Object.assign(graph.links, { 7: from(7), 8: from(8) });
  graph.nodes.push(...["dogs", "trees"].map((value, index) =>
    ({ id: 7 + index, graph, inputs: [], widgets: [{ name: "model_name", value }] })));
  const start = performance.now();
  assert.deepEqual(modelNames(node, graph), ["dogs", "trees", "cars", "heads"]);
  assert.equal(nodesIn(graph).length, 4 + 19 * 2 + 3);
  assert.equal(executionId(node, graph), `${"1:".repeat(20)}5`);
  assert.ok(performance.now() - start < 200);
});

/** A subgraph whose one output is that of `origin`, as a node of the graph around it. */
const hostOf = (id, nodes, links, origin, more) =>
  ({ id, subgraph: Object.assign(graphOf(nodes, { ...links, 3: { origin_id: origin, origin_slot: 0 } }), { outputs: [{ linkIds: [3] }] }), ...more });
/** A node behind a switch of these. */
const behindSwitch = (...sources) => {
  const links = Object.fromEntries([...sources.map(({ id }) => id), 90].map((id) => [id, { origin_id: id, origin_slot: 0 }]));
  const node = sliders(91, 90), pick = { id: 90, inputs: sources.map(({ id }) => ({ type: "CLDIS_MODEL", link: id })) };
  return [node, graphOf([...sources, pick, node], links)];
};
const cars = (id) => ({ ...loader(id), widgets: [{ name: "model_name", value: "cars" }] });

test("what a subgraph passes on from outside counts as a branch of its own", () => {
  const passing = hostOf(9, [], {}, -10, { inputs: [{ name: "model", type: "CLDIS_MODEL", link: 2 }] });
  const [node, root] = behindSwitch(loader(1), passing);
  root.nodes.push({ ...cars(2), graph: root });
  root.links[2] = { origin_id: 2, origin_slot: 0 };
  assert.deepEqual(modelNames(node, root), ["heads", "cars"]);
});

test("the mode of a subgraph node says what comes out of it", () => {
  const host = (mode) => hostOf(9, [loader(4)], {}, 4, { mode, inputs: [{ type: "IMAGE", link: 7 }, { type: "CLDIS_MODEL", link: 2 }] });
  const found = (mode) => {
    const [node, root] = behindSwitch(host(mode));
    root.nodes.push({ ...cars(2), graph: root });
    Object.assign(root.links, { 2: { origin_id: 2, origin_slot: 0 }, 7: { origin_id: 7, origin_slot: 0 } });
    const both = [modelNames(node, root)];
    node.inputs[0].link = 9; // without the switch
    return [...both, modelNames(node, root)];
  };
  assert.deepEqual(found(0), [["heads"], ["heads"]]);
  assert.deepEqual(found(4), [["cars"], ["cars"]]);
  assert.deepEqual(found(2)[0], []);
});

test("of a subgraph that is used twice, the use that is connected says the name", () => {
  const named = () => ({ ...loader(4), inputs: [{ name: "model_name", widget: { name: "model_name" }, link: 8 }] });
  const shows = (value) => ({ inputs: [{ name: "model_name" }], widgets: [{ name: "model_name", value }] });
  const first = hostOf(1, [named()], { 8: { origin_id: -10, origin_slot: 0 } }, 4, shows("heads"));
  const second = { id: 2, subgraph: first.subgraph, ...shows("cars") };
  const [node, root] = behindSwitch(first, second);
  assert.deepEqual(modelNames(node, root), ["heads", "cars"]);
  node.inputs[0].link = 2;
  assert.deepEqual(modelNames(node, root), ["cars"]);
  // Under another name, that of the widget and not that of the input, counts.
  second.inputs = [{ name: "which", widget: { name: "model_name" } }];
  assert.deepEqual(modelNames(node, root), ["cars"]);
});

test("a subgraph that is used twice is left by both", () => {
  const node = sliders(5, 7), subgraph = graphOf([node], { 7: { origin_id: -10, origin_slot: 0 } });
  const hosts = [1, 2].map((link) => ({ id: 10 + link, subgraph, inputs: [{ name: "model", link }] }));
  const links = { 1: { origin_id: 1, origin_slot: 0 }, 2: { origin_id: 2, origin_slot: 0 } };
  assert.deepEqual(modelNames(node, graphOf([loader(1), cars(2), ...hosts], links)), ["heads", "cars"]);
});

test("each input of a subgraph counts, and an output with nothing behind it is not known", () => {
  const inside = sliders(5, 7), pick = { id: 6, inputs: [1, 2, 3].map((link) => ({ type: "CLDIS_MODEL", link })) };
  const empty = { id: 4, subgraph: graphOf([], {}), inputs: [] };
  const subgraph = graphOf([inside, pick, empty], { 1: { origin_id: -10, origin_slot: 0 }, 2: { origin_id: -10, origin_slot: 1 },
    3: { origin_id: 4, origin_slot: 0 }, 7: { origin_id: 6, origin_slot: 0 } });
  const host = { id: 9, subgraph, inputs: [{ link: 1 }, { link: 2 }] };
  const links = { 1: { origin_id: 1, origin_slot: 0 }, 2: { origin_id: 2, origin_slot: 0 } };
  assert.deepEqual(modelNames(inside, graphOf([loader(1), cars(2), host], links)), ["heads", "cars", ""]);
});

test("a branch that cannot be followed, or makes a model with what is free, is not known", () => {
  const gone = { id: 8 }, makes = { id: 9, inputs: [{ name: "after", type: "*", link: null }] };
  const [node, root] = behindSwitch(loader(1), gone, makes);
  root.nodes = root.nodes.filter((each) => each !== gone);
  root.getNodeById = (id) => root.nodes.find((each) => each.id === id);
  assert.deepEqual(modelNames(node, root), ["heads", "", ""]);
});

test("a loader that is off stays that of sliders right behind it", () => {
  for (const mode of [2, 4]) {
    const node = sliders(2, 1), off = { ...loader(1), mode };
    assert.deepEqual(modelNames(node, graphOf([off, node], { 1: { origin_id: 1, origin_slot: 0 } })), ["heads"]);
  }
});

test("each output of a subgraph, and each loader in it that it does not name, counts", () => {
  const named = (made) => ({ ...made, inputs: [{ name: "model_name", widget: { name: "model_name" }, link: 8 }] });
  const links = { 3: { origin_id: 3, origin_slot: 0 }, 4: { origin_id: 4, origin_slot: 0 }, 8: { origin_id: -10, origin_slot: 0 } };
  const subgraph = Object.assign(graphOf([named(loader(3)), named(cars(4))], links), { outputs: [{ linkIds: [3] }, { linkIds: [4] }] });
  const host = { id: 9, subgraph, inputs: [{ name: "which" }] }; // whose widget is not there
  const [node, root] = behindSwitch(host, { id: 10 });
  root.links[10] = { origin_id: 9, origin_slot: 1 };
  assert.deepEqual(modelNames(node, root), ["heads", "cars"]);
});
