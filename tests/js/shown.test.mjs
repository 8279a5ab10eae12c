import assert from "node:assert/strict";
import { test } from "node:test";
import { Shown } from "../../comfyui_cldis/web/shown.js";
import { isIn } from "../../comfyui_cldis/web/graphs.js";

const slidersOf = (name) => ({ name, rested: 0, rest() { this.rested++; } });
const nodeWith = (name, more = {}) => ({ cldisSliders: slidersOf(name), ...more });
const names = (found) => [...found].map(({ name }) => name);

test("the nodes of the graph and of its subgraphs, each once; no copies beside it", () => {
  const inner = { nodes: [nodeWith("inner"), {}] };
  const root = { _nodes: [nodeWith("outer"), { subgraph: { nodes: [{ subgraph: inner }] } }, { subgraph: inner }] };
  nodeWith("copy", { graph: null });
  assert.deepEqual(names(new Shown(() => root).all()), ["outer", "inner"]);
  assert.deepEqual(names(new Shown(() => undefined).all()), []);
  assert.deepEqual([root, inner, { nodes: [] }, null, undefined].map((graph) => isIn(root, graph)),
    [true, true, false, false, false]);
});

test("those that have gone are put to rest once, also with the subgraph around them", () => {
  const [first, second, third] = ["first", "second", "third"].map((name) => nodeWith(name));
  const graph = { nodes: [first, second, { subgraph: { nodes: [third] } }] }, shown = new Shown(() => graph);
  shown.all();
  graph.nodes = [second];
  assert.deepEqual(names(shown.all()), ["second"]);
  shown.all();
  assert.deepEqual([first, second, third].map(({ cldisSliders }) => cldisSliders.rested), [1, 0, 1]);
});
