import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { SLIDERS, SMILE, comfyWith, graphWith, held, page, refuses, settled } from "./fake.mjs";
import { SliderNode } from "../../comfyui_cldis/web/slider_node.js";

beforeEach(() => [sessionStorage.clear(), held.splice(0)]);

async function shown(edits, answer) {
  const made = graphWith(edits), comfy = comfyWith(made.graph, answer);
  const sliders = new SliderNode(made.node, comfy);
  await sliders.look();
  await settled();
  const widget = (name) => made.node.widgets.find((each) => each.name === name);
  return { ...made, comfy, sliders, widget, move(name, value) { widget(name).value = value; widget(name).callback(value); } };
}
/** A server whose model "cars" has the slider "smile" alone, and whose runs are with `used()`. */
const carsToo = (used = () => "cars") => (path, sent) => {
  if (path === "/cldis/preview" && refuses(sent.edits, sent.token)) return { status: 400, error: "no such direction" };
  if (path.startsWith("/cldis/sliders") && path.includes("cars")) return { sliders: SMILE };
  return path.startsWith("/cldis/picture") ? { token: used(), model: used(), images: 1 } : undefined;
};
/** The fields of the form that is open, and what presses a key in one of them or on a button. */
const fields = ({ panel }) => panel.form.children.flatMap(({ children }) => children).filter(({ tag }) => tag === "input");
const press = (sliders, key, { target = fields(sliders)[0], ...more } = {}) => {
  const event = { key, target, stopped: false, stopPropagation() { this.stopped = true; }, ...more };
  return [sliders.panel.form.onkeydown(event), event][1];
};
const buttonOf = (parent, text) => parent.children.find(({ textContent }) => textContent === text);
async function saveAs(sliders, name) {
  sliders.panel.actions.save();
  fields(sliders)[0].value = name;
  press(sliders, "Enter");
  await settled();
}
const previews = (comfy) => comfy.calls.filter(([path]) => path === "/cldis/preview").map(([, sent]) => sent);

test("a slider for each direction, after all declared widgets and never saved", async () => {
  const { node, widget } = await shown('{"light": 1.5}');
  assert.deepEqual(node.widgets.map(({ name }) => name), ["edits", "cldis_panel", "dir:light", "dir:shape 3"]);
  assert.equal(widget("dir:light").value, 1.5);
  assert.equal(widget("dir:light").label, "light: left … right");
  for (const each of node.widgets.slice(1)) {
    assert.equal(each.serialize, false);
    assert.equal(each.options.serialize, false);
  }
  assert.equal(widget("edits").hidden, true);
  assert.equal(widget("edits").options.hidden, true);
});

test("a slider writes the text, flipped ones the negative", async () => {
  const { widget, move } = await shown('{"shape 3": 0.5}');
  assert.equal(widget("dir:shape 3").value, -0.5);
  move("dir:shape 3", 1.25);
  move("dir:light", -1);
  assert.equal(widget("edits").value, '{"shape 3":-1.25,"light":-1}');
  move("dir:light", 0.01);
  assert.equal(widget("edits").value, '{"shape 3":-1.25}');
});

test("text that changes elsewhere moves the sliders", async () => {
  const { widget, sliders } = await shown("{}");
  widget("edits").value = '{"light": 9}';
  await sliders.look();
  assert.equal(widget("dir:light").value, 3); // as far as it goes
  assert.equal(widget("edits").value, '{"light": 9}'); // and kept
  widget("edits").value = '[{"light": 1}]';
  await sliders.look();
  assert.equal(widget("dir:light").disabled, true);
  assert.match(sliders.panel.status.textContent, /cannot show/);
});

test("text is not changed under the caret, only when it has left", async () => {
  const { widget, sliders } = await shown("{}");
  const type = (value) => { widget("edits").value = value; document.activeElement = { type: "textarea", value }; };
  type('{"lig": 1}');
  await sliders.look();
  assert.equal(widget("edits").value, '{"lig": 1}');
  assert.match(sliders.panel.unknown.textContent, /lig/);
  type('{"#light": 1, "smile": 2}');
  await sliders.look();
  assert.equal(widget("edits").value, '{"#light": 1, "smile": 2}');
  assert.equal(widget("dir:light").value, 1);
  document.activeElement = { type: "text", value: "" };
  await sliders.look();
  assert.equal(widget("edits").value, '{"light":1,"smile":2}');
});

test("a name that somebody typed for this model is not put aside, so that the run stops and says it", async () => {
  const { loader, widget, sliders, move } = await shown('{"light": 1}', carsToo());
  for (const typed of ['{"lihgt": 1}', '{"light": 1, "lihgt": 1}']) {
    widget("edits").value = typed;
    await sliders.look();
    assert.equal(widget("edits").value, typed);
    assert.match(sliders.panel.unknown.textContent, /no lihgt, so a run stops/);
  }
  move("dir:light", 2);
  assert.equal(widget("edits").value, '{"light":2,"lihgt":1}');
  loader.widgets[0].value = "cars"; // of which "light" was never
  await sliders.look();
  assert.equal(widget("edits").value, '{"lihgt":1,"#light":2}');
  widget("edits").value = '{"light": 1}'; // and typed for this one
  await sliders.look();
  assert.equal(widget("edits").value, '{"light": 1}');
});

test("where the name of the model comes over a link, the text stays, and each run shows its sliders", async () => {
  let used = "cars";
  const made = graphWith('{"smile": 1}'), { graph, loader, node } = made;
  loader.inputs = [{ name: "model_name", link: 7, widget: { name: "model_name" } }];
  graph.links[7] = { origin_id: 7, origin_slot: 0 };
  const sliders = new SliderNode(node, comfyWith(graph, carsToo(() => used)));
  const run = async (prompt) => {
    await sliders.ran(prompt);
    await settled();
    await sliders.look();
    return [node.widgets[0].value, sliders.model, sliders.token, sliders.panel.status.textContent];
  };
  await sliders.look();
  await settled();
  assert.deepEqual([node.widgets[0].value, sliders.sliders], ['{"smile": 1}', []]);
  for (const prompt of ["first", "second"])
    assert.deepEqual(await run(prompt), ['{"smile": 1}', "cars", "cars", ""]);
  used = "heads";
  node.widgets[0].value = "{}";
  assert.deepEqual(await run("third"), ["{}", "heads", "heads", ""]);
});

/** Two loaders behind a switch, the first of heads, the second of cars. */
function withSwitch({ graph, loader, node }) {
  const other = { ...loader, id: 8, graph, widgets: [{ name: "model_name", value: "cars" }] };
  graph.nodes.push(other, { id: 9, graph, inputs: [{ type: "CLDIS_MODEL", link: 1 }, { type: "CLDIS_MODEL", link: 8 }] });
  Object.assign(graph.links, { 8: { origin_id: 8, origin_slot: 0 }, 9: { origin_id: 9, origin_slot: 0 } });
  node.inputs[0].link = 9;
}

test("the text of a model behind a switch stays before a run tells which it is", async () => {
  const made = graphWith('{"smile": 1, "#light": 2}'), { graph, node } = made, text = node.widgets[0].value;
  withSwitch(made);
  const sliders = new SliderNode(node, comfyWith(graph, carsToo()));
  await sliders.look();
  await settled();
  await sliders.look();
  assert.equal(node.widgets[0].value, text);
  assert.match(sliders.panel.unknown.textContent, /Kept .* light. These sliders have no smile. Run once/);
  await sliders.ran("run");
  await settled();
  await sliders.look();
  assert.deepEqual([sliders.model, node.widgets[0].value], ["cars", text]);
  assert.equal(sliders.panel.unknown.textContent, "Kept for a model that has it: light.");
});

test("what a run of another model than was foreseen has passed over is said", async () => {
  let used = "heads";
  const made = graphWith('{"light": 1}'), { graph, node } = made;
  withSwitch(made);
  const sliders = new SliderNode(node, comfyWith(graph, carsToo(() => used)));
  const run = async (model) => {
    used = model;
    await sliders.look();
    const isStopped = refuses(node.widgets[0].value, model);
    await sliders.ran(`${model}${Math.random()}`, isStopped);
    await settled();
    await sliders.look();
    return [isStopped, sliders.model, node.widgets[0].value, sliders.panel.status.textContent];
  };
  assert.deepEqual(await run("heads"), [false, "heads", '{"light": 1}', ""]);
  assert.deepEqual(await run("cars"), [true, "cars", '{"#light":1}', ""]);
  assert.deepEqual(node.widgets.slice(2).map(({ name }) => name), ["dir:smile"]);
  assert.deepEqual(await run("cars"), [false, "cars", '{"#light":1}', ""]);
  assert.deepEqual(await run("heads"), [false, "heads", '{"light":1}', "The last run left out light. Run once more."]);
  assert.deepEqual(await run("heads"), [false, "heads", '{"light":1}', ""]);
});

/** A node whose model, of two, no run has told yet; it shows the sliders of heads. */
async function unsure(edits, used = () => "heads") {
  const made = graphWith(edits), comfy = comfyWith(made.graph, carsToo(used)), { node } = made;
  withSwitch(made);
  const sliders = new SliderNode(node, comfy);
  await sliders.look();
  await settled();
  return { ...made, comfy, sliders, text: () => node.widgets[0].value };
}

test("while the model is not certain, buttons leave the names that it may have", async () => {
  const { sliders, node, text } = await unsure('{"smile":1,"light":2,"#tail":1}'), { actions } = sliders.panel;
  actions.reset();
  assert.equal(text(), '{"smile":1,"#tail":1}');
  actions.choosePreset("evening");
  assert.equal(text(), '{"smile":1,"light":1.5,"#tail":1}');
  actions.randomise();
  assert.deepEqual([JSON.parse(text()).smile, JSON.parse(text())["#tail"]], [1, 1]);
  await sliders.ran("run");
  await settled();
  await sliders.look();
  node.widgets[0].value = '{"lihgt":1,"light":2}';
  await sliders.look();
  actions.reset(); // of a model that has no such name for sure
  assert.equal(text(), "{}");
});

test("a slider that is set drops what was parked of it, so that no run is said to have left it out", async () => {
  for (const set of [({ sliders }) => sliders.moved(SLIDERS[0], 1), ({ sliders }) => sliders.set({ light: 1 }),
    ({ sliders }) => sliders.panel.actions.choosePreset("evening"), ({ sliders }) => sliders.panel.actions.reset()]) {
    sessionStorage.clear();
    const made = await unsure('{"#light":2,"#smile":1}'), { sliders, text } = made;
    set(made);
    const { light = 0, ...rest } = JSON.parse(text());
    assert.deepEqual(rest, { "#smile": 1 });
    await sliders.ran("run");
    await settled();
    await sliders.look();
    assert.deepEqual([JSON.parse(text()).light ?? 0, sliders.panel.status.textContent], [light, ""]);
  }
  sessionStorage.clear();
  const { sliders, node, text } = await unsure('{"#light":2,"#sleeve":1}');
  sliders.moved(SLIDERS[0], 1);
  assert.equal(text(), '{"light":1,"#sleeve":1}'); // not moved
  node.widgets[0].value = '{"light":1,"#light":2}';
  await sliders.look();
  await sliders.ran("next");
  await settled();
  await sliders.look();
  assert.deepEqual([text(), sliders.panel.status.textContent], ['{"light":1}', ""]);
  node.widgets[0].value = '{"#light":2}'; // by an undo, after the run
  await sliders.look();
  assert.deepEqual([text(), sliders.panel.status.textContent], ['{"light":2}', ""]);
});

test("what a run was with is not certain any more once the links have changed", async () => {
  const made = graphWith("{}"), { graph, loader, node } = made;
  const sliders = new SliderNode(node, comfyWith(graph, carsToo(() => "heads")));
  const textAfter = async (text) => [node.widgets[0].value = text, await sliders.look(), node.widgets[0].value].at(-1);
  await sliders.look();
  await sliders.ran("run");
  assert.equal(await textAfter('{"#light":1}'), '{"light":1}');
  withSwitch(made);
  assert.equal(await textAfter('{"#light":1}'), '{"#light":1}');
  assert.match(sliders.panel.unknown.textContent, /Kept/);
  node.inputs[0].link = 1;
  loader.inputs = [{ name: "model_name", link: 7, widget: { name: "model_name" } }];
  graph.links[7] = { origin_id: 7, origin_slot: 0 };
  assert.equal(await textAfter('{"#light":1}'), '{"#light":1}');
  await sliders.ran("next");
  await settled();
  assert.equal(await textAfter('{"#light":1}'), '{"light":1}');
  node.widgets[0].value = '{"#light":1}';
  node.onConfigure(); // what the links say may be about to change
  assert.equal(node.widgets[0].value, '{"#light":1}');
});

test("models of several nodes that do not show them are not certain", async () => {
  const made = graphWith('{"#light":1}'), { graph, node } = made;
  withSwitch(made);
  graph.nodes.filter(({ widgets, id }) => widgets && id !== 2).forEach((each) => (each.widgets = []));
  const comfy = comfyWith(graph), sliders = new SliderNode(node, comfy);
  comfy.known[""] = SLIDERS;
  await sliders.look();
  assert.deepEqual([sliders.isChosen, node.widgets[0].value], [false, '{"#light":1}']);
});

test("of a model that comes from nothing that can be seen, a run tells", async () => {
  const { graph, loader, node } = graphWith('{"#light":1}');
  const sliders = new SliderNode(node, comfyWith(graph, carsToo(() => "heads")));
  loader.mode = 2;
  Object.assign(graph.links, { 3: { origin_id: 3, origin_slot: 0 } });
  graph.nodes.unshift({ id: 3, graph, inputs: [{ type: "CLDIS_MODEL", link: 1 }] });
  node.inputs[0].link = 3;
  await sliders.look();
  assert.deepEqual([sliders.guesses, sliders.model], [[], ""]);
  await sliders.ran("run");
  await settled();
  await sliders.look();
  assert.deepEqual([sliders.model, node.widgets[0].value], ["heads", '{"light":1}']);
});

test("while a workflow opens, its text stays: the loader may be told of its model later", async () => {
  const made = graphWith('{"smile": 1, "#light": 2}'), { loader, node } = made, text = node.widgets[0].value;
  const comfy = comfyWith(made.graph, carsToo());
  comfy.known.heads = SLIDERS;
  const sliders = new SliderNode(node, comfy);
  node.onConfigure(); // the loader has its default yet
  assert.equal(node.widgets[0].value, text);
  loader.widgets[0].value = "cars";
  await settled();
  await sliders.look();
  await settled();
  assert.deepEqual([sliders.model, node.widgets[0].value], ["cars", text]);
});

test("what is parked comes back soon after the workflow has opened", async () => {
  const made = graphWith('{"#light": 2}'), sliders = new SliderNode(made.node, comfyWith(made.graph));
  made.node.onConfigure();
  await settled();
  assert.equal(made.node.widgets[0].value, '{"#light": 2}');
  await sliders.look();
  assert.equal(made.node.widgets[0].value, '{"light":2}');
});

test("connected edits decide, and the sliders rest", async () => {
  const { node, comfy, sliders, widget, move } = await shown("{}");
  node.inputs[1].link = 5;
  await sliders.look();
  assert.equal(widget("dir:light").disabled, true);
  move("dir:light", 1);
  assert.equal(widget("edits").value, "{}");
  const asked = comfy.calls.length;
  sliders.panel.actions.save(); // the text here is not what is used
  assert.deepEqual([comfy.calls.length, sliders.panel.form.children.length], [asked, 0]);
});

test("another model: unknown directions are kept, named, and come back", async () => {
  let known = true;
  const answer = (path) => (path.startsWith("/cldis/sliders") && !known
    ? { sliders: [{ id: "smile", name: "smile", low: "", high: "", min: -1, max: 1, flipped: false, note: "", strip: null }] }
    : undefined);
  const { loader, sliders, widget, node } = await shown('{"light":1.5}', answer);
  known = false;
  loader.widgets[0].value = "cars";
  await sliders.look();
  assert.deepEqual(node.widgets.slice(2).map(({ name }) => name), ["dir:smile"]);
  assert.equal(widget("edits").value, '{"#light":1.5}');
  assert.match(sliders.panel.unknown.textContent, /light/);
  await sliders.ran("run");
  known = true;
  loader.widgets[0].value = "heads";
  await sliders.look();
  assert.equal(widget("edits").value, '{"light":1.5}');
  assert.equal(widget("dir:light").value, 1.5);
  assert.equal(sliders.late, ""); // that run was to leave it out
});

test("the picture is asked for after a run, of the newest amounts, and shown", async () => {
  const { comfy, sliders, move } = await shown("{}");
  move("dir:light", 1);
  assert.equal(previews(comfy).length, 0);
  await sliders.ran("run");
  await settled();
  for (const amount of [1.1, 1.2, 1.3, 1.4, 1.5]) move("dir:light", amount);
  await settled();
  const edits = previews(comfy).map((sent) => sent.edits);
  assert.deepEqual(edits.map((text) => JSON.parse(text).light), [1, 1.1, 1.2, 1.5]);
  assert.equal(sliders.panel.picture.src, "blob:picture");
});

test("a picture that has gone says what to do, and the next run brings it back", async () => {
  let isGone = false;
  const answer = (path) => (path === "/cldis/preview" && isGone ? { status: 410, error: "Run the workflow once more." } : undefined);
  const { comfy, sliders, move } = await shown("{}", answer);
  await sliders.ran("run");
  await settled();
  isGone = true;
  move("dir:light", 1);
  await settled();
  assert.equal(sliders.panel.status.textContent, "Run the workflow once more.");
  const before = previews(comfy).length;
  move("dir:light", 2);
  await settled();
  assert.equal(previews(comfy).length, before);
  isGone = false;
  await sliders.ran("next");
  await settled();
  assert.equal(previews(comfy).length, before + 1);
});

test("a node made anew, by undo or a reload, finds its picture again", async () => {
  const first = await shown("{}");
  await first.sliders.ran("run");
  const made = graphWith('{"light": 1}'), comfy = comfyWith(made.graph), second = { comfy };
  const sliders = new SliderNode(made.node, comfy);
  made.graph.id = "none yet"; // ComfyUI names the graph after it has configured the nodes
  made.node.onConfigure();
  made.graph.id = "graph";
  await sliders.look();
  await settled();
  assert.deepEqual(second.comfy.calls.at(-2)[0], "/cldis/picture?prompt=run&node=2&workflow=graph");
  assert.deepEqual(previews(second.comfy), [{ token: "token", edits: '{"light": 1}' }]);
});

test("a copy of a workflow with a subgraph does not show the picture of the original", async () => {
  const within = (id) => {
    const made = graphWith(), root = { id };
    root.nodes = [{ id: 9, graph: root, subgraph: made.graph }];
    made.graph.id = "subgraph"; // a copy keeps it
    return new SliderNode(made.node, comfyWith(root));
  };
  const original = within("original"), copied = within("copy"), again = within("original");
  await original.look();
  await original.ran("run");
  await copied.look();
  await again.look();
  assert.deepEqual([original.token, copied.token, again.token], ["token", null, "token"]);
});

test("buttons: reset, chance, presets, their own text", async () => {
  const { sliders, widget, comfy } = await shown('{"light": 1, "#smile": 2}');
  const { actions, presets } = sliders.panel;
  actions.reset();
  assert.equal(widget("edits").value, '{"#smile":2}');
  presets.value = "evening";
  presets.onchange();
  assert.equal(widget("edits").value, '{"light":1.5,"#smile":2}'); // which is kept for another model
  assert.equal(widget("dir:light").value, 1.5);
  actions.randomise();
  assert.notEqual(JSON.parse(widget("edits").value).light, 1.5);
  // ComfyUI records the rest when the mouse is let go, too early for a button.
  assert.deepEqual(comfy.recorded, ['{"#smile":2}', '{"light":1.5,"#smile":2}', widget("edits").value]);
  await saveAs(sliders, "mine");
  assert.deepEqual(comfy.calls.at(-1)[1].name, "mine");
  actions.toggleText();
  assert.equal(widget("edits").hidden, false);
});

test("edits of each image are not replaced by those of all, nor edits that are connected", async () => {
  const list = '[{"light":1},{"light":2}]';
  const { node, sliders, widget, comfy } = await shown(list);
  const { actions, buttons } = sliders.panel;
  const disabled = () => ["Reset", "Randomise"].map((text) => buttonOf(buttons, text).disabled);
  actions.reset();
  actions.randomise();
  assert.deepEqual([widget("edits").value, disabled(), comfy.recorded], [list, [true, true], []]);
  widget("edits").value = '{"light":1}';
  await sliders.look();
  assert.deepEqual(disabled(), [false, false]);
  node.inputs[1].link = 5;
  await sliders.look();
  assert.deepEqual(disabled(), [true, true]);
});

test("a frontend that does not know gradient sliders has plain ones in Nodes 2.0 too", async () => {
  const typesOf = async (kinds, isModern) => {
    const made = graphWith("{}"), comfy = { ...comfyWith(made.graph), isModern: () => isModern };
    made.node.kinds = kinds;
    await new SliderNode(made.node, comfy).look();
    return made.node.widgets.slice(2).map(({ type, name, label }) => [type, name, label.slice(0, 5)]);
  };
  const named = (type) => [[type, "dir:light", "light"], [type, "dir:shape 3", "sleev"]];
  assert.deepEqual(await typesOf(["slider"], true), named("slider"));
  assert.deepEqual(await typesOf(["slider", "gradientslider"], true), named("gradientslider"));
  assert.deepEqual(await typesOf(["slider", "gradientslider"], false), named("slider"));
});

test("a slider is named and turned round where it is", async () => {
  const { sliders, comfy } = await shown("{}");
  sliders.rename(sliders.sliders[1]);
  const [name, low, high, turn] = fields(sliders);
  const labels = sliders.panel.form.children.filter(({ tag }) => tag === "label");
  assert.deepEqual(labels.map(({ children }) => children.find(({ tag }) => tag === "span").textContent),
    ["Name for sleeve; empty: its own", "Low end", "High end", "turn round"]);
  Object.assign(name, { value: "cut" });
  turn.checked = true;
  press(sliders, "Enter");
  await settled();
  assert.deepEqual(comfy.calls.find(([path, sent]) => path === "/cldis/sliders" && sent)[1],
    { model: "heads", slider: "shape 3", name: "cut", low: high.value, high: low.value, flipped: false });
});

test("a server that knows nothing of us leaves the text", async () => {
  const { node, widget, sliders } = await shown('{"light": 1}', (path) => (path.startsWith("/cldis/sliders") ? { status: 404, error: "No model." } : undefined));
  assert.deepEqual(node.widgets.map(({ name }) => name), ["edits", "cldis_panel"]);
  assert.notEqual(widget("edits").hidden, true);
  assert.equal(widget("edits").value, '{"light": 1}');
  assert.equal(sliders.panel.status.textContent, "No model.");
});

test("sliders that could not be had are asked for again, though not at every look", async (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  let isThere = false;
  const answer = (path) => (path.startsWith("/cldis/sliders") && !isThere ? { status: 404, error: "No model." } : undefined);
  const { node, sliders, comfy } = await shown('{"light": 1}', answer);
  isThere = true;
  const asked = comfy.calls.length;
  await sliders.look();
  assert.equal(comfy.calls.length, asked);
  assert.equal(sliders.panel.status.textContent, "No model.");
  t.mock.timers.tick(11000);
  await sliders.look();
  assert.deepEqual(node.widgets.slice(2).map(({ name }) => name), ["dir:light", "dir:shape 3"]);
  assert.match(sliders.panel.status.textContent, /Run once/);
  t.mock.timers.tick(11000);
  const then = comfy.calls.length;
  await sliders.look();
  assert.equal(comfy.calls.length, then);
});

test("after a run, done or failed, the sliders are those of the file as it is now", async () => {
  let names = ["light", "smile"];
  const answer = (path) => (path.startsWith("/cldis/sliders")
    ? { sliders: names.map((name) => ({ ...SLIDERS[0], id: name, name })) } : undefined);
  const { node, sliders, widget } = await shown('{"light":1.5,"smile":1}', answer);
  const labels = () => node.widgets.slice(2).map(({ name }) => name), before = widget("dir:light");
  await sliders.ran("run");
  await settled();
  assert.equal(widget("dir:light"), before); // and not made anew for nothing
  names = ["light", "grin"];
  await sliders.ran(); // failed: the run knew no "smile"
  assert.deepEqual(labels(), ["dir:light", "dir:grin"]);
  assert.equal(widget("edits").value, '{"light":1.5,"#smile":1}');
  names = ["light", "smile"];
  await sliders.ran("next");
  assert.deepEqual(labels(), ["dir:light", "dir:smile"]);
  assert.equal(widget("edits").value, '{"light":1.5,"smile":1}');
});

test("a run that failed behind the sliders has a picture; one that failed before leaves the last", async (t) => {
  let found;
  const { comfy, sliders, move } = await shown("{}", (path) => (path.startsWith("/cldis/picture") ? found : undefined));
  await sliders.ran("cancelled", true);
  await settled();
  assert.deepEqual([sliders.token, sliders.panel.picture.style.display], ["token", "block"]);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  found = { status: 410, error: "Run the workflow once more." };
  const later = async () => { for (let step = 0; step < 30; step++) await Promise.resolve(); t.mock.timers.tick(300); };
  await sliders.ran("failed", true);
  for (let attempt = 0; attempt < 4; attempt++) await later();
  const before = previews(comfy).length;
  move("dir:light", 1);
  assert.deepEqual([sliders.token, previews(comfy).length], ["token", before + 1]);
  await sliders.ran("next", false);
  for (let attempt = 0; attempt < 4; attempt++) await later();
  assert.deepEqual([sliders.token, sliders.panel.status.textContent], [null, found.error]);
});

test("why there is no picture is said after each run, and no more once there is one", async () => {
  const why = { status: 422, error: "This model draws none." };
  let found = why;
  const { comfy, sliders, move } = await shown("{}", (path) => (path.startsWith("/cldis/picture") ? found : undefined));
  await sliders.ran("run");
  assert.equal(comfy.calls.filter(([path]) => path.startsWith("/cldis/picture")).length, 1); // it never will
  move("dir:light", 1);
  sliders.setText('{"light":2}');
  assert.equal(sliders.panel.status.textContent, why.error);
  found = undefined;
  await sliders.ran("next");
  await settled();
  assert.deepEqual([sliders.panel.status.textContent, sliders.panel.picture.style.display], ["", "block"]);
  found = why;
  await sliders.ran("again");
  assert.deepEqual([sliders.panel.status.textContent, sliders.panel.picture.style.display], [why.error, "none"]);
});

test("a picture may come a little later; if it does not, what to do is said", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const made = graphWith(), gone = { status: 410, error: "Run the workflow once more." };
  const sliders = new SliderNode(made.node, comfyWith(made.graph, (path) => (path.startsWith("/cldis/picture") ? gone : undefined)));
  const later = async () => { for (let step = 0; step < 9; step++) await Promise.resolve(); t.mock.timers.tick(300); };
  await sliders.look();
  await sliders.ran("run");
  assert.match(sliders.panel.status.textContent, /Run once; then/);
  for (let attempt = 0; attempt < 4; attempt++) await later();
  assert.equal(sliders.panel.status.textContent, gone.error);
});

test("a run of another workflow changes nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const made = graphWith();
  let isOurs = true;
  const comfy = comfyWith(made.graph, (path) => (path.startsWith("/cldis/picture") && !isOurs ? { status: 404, error: "x" } : undefined));
  const sliders = new SliderNode(made.node, comfy);
  const later = async () => { for (let step = 0; step < 30; step++) await Promise.resolve(); t.mock.timers.tick(300); };
  await sliders.look();
  await sliders.ran("run");
  await later();
  isOurs = false;
  await sliders.ran("another");
  for (let attempt = 0; attempt < 4; attempt++) await later();
  assert.deepEqual([sliders.token, sliders.panel.status.textContent], ["token", ""]);
  assert.equal(sliders.panel.picture.style.display, "block");
});

test("a node that has gone asks no more, holds no picture, and has it again when it is back", async () => {
  const { graph, node, comfy, sliders, move } = await shown("{}");
  await sliders.ran("run");
  await settled();
  assert.equal(held.length, 1);
  [1.1, 1.2, 1.3].forEach((amount) => move("dir:light", amount)); // two travel, one waits
  const asked = comfy.calls.length;
  graph.nodes = graph.nodes.filter((each) => each !== node); // `node.graph` stays where a graph is emptied
  sliders.rest();
  await sliders.ran("next");
  await settled();
  assert.deepEqual([comfy.calls.length, held.length], [asked, 0]);
  graph.nodes = [...graph.nodes, node];
  await sliders.look();
  await settled();
  assert.deepEqual([previews(comfy).at(-1).edits, held.length], ['{"light":1.3}', 1]);
});

test("what a node had asked for before it went, or another took its place, does not bring it back", async () => {
  for (const awaited of ["/cldis/sliders", "/cldis/presets", "/cldis/picture", "/cldis/preview"]) for (const isReplaced of [false, true]) {
    const { graph, node, comfy, sliders } = await shown("{}"), { fetchApi } = comfy;
    await sliders.ran("run");
    await settled();
    let go;
    comfy.fetchApi = async (path, options) => {
      if (path.startsWith(awaited) && !go) await new Promise((done) => (go = done));
      return fetchApi(path, options);
    };
    const run = sliders.ran("next");
    await settled();
    graph.nodes = graph.nodes.map((each) => (each === node ? (isReplaced ? { ...node } : { id: 99 }) : each));
    if (!isReplaced) sliders.rest(); // at the next look
    const asked = comfy.calls.length, { length } = held, pictures = [];
    sliders.panel.show = (blob) => pictures.push(blob);
    go();
    await run;
    await settled();
    // That which was awaited is noted when it goes on.
    assert.deepEqual([comfy.calls.length - asked, held.length - length, pictures], [1, 0, []], `${awaited} ${isReplaced}`);
    sliders.rest();
  }
});

test("a node in a subgraph that is used no more asks nothing", async () => {
  const { graph, node } = graphWith("{}"), root = { id: "root", nodes: [{ id: 9, subgraph: graph }] }, comfy = comfyWith(root);
  root.nodes[0].graph = root;
  const sliders = new SliderNode(node, comfy);
  await sliders.look();
  await sliders.ran("run");
  const asked = comfy.calls.length;
  root.nodes = [];
  await sliders.follow();
  assert.ok(asked > 0);
  assert.equal(comfy.calls.length, asked);
});

test("a copy that no graph holds asks nothing, though it has the original's id", async () => {
  const { comfy } = await shown("{}");
  const copy = graphWith("{}").node, asked = comfy.calls.length;
  copy.graph = null;
  const sliders = new SliderNode(copy, comfy);
  copy.onConfigure();
  await sliders.ran("run");
  await settled();
  assert.equal(comfy.calls.length, asked);
});

test("the node is as high as its panel, also when that grew out of sight", async () => {
  const { node, sliders } = await shown("{}");
  let asked = 0;
  node.computeSize = () => [200, 300 + node.widgets[1].options.getMinHeight() + asked++];
  sliders.panel.body.offsetHeight = 0; // the page does not show it
  await sliders.look();
  assert.equal(asked, 0);
  sliders.panel.body.offsetHeight = 356;
  await sliders.look();
  assert.equal(node.size[1], 300 + 356 + 20);
  await sliders.look();
  assert.equal(asked, 1);
});

test("sliders of a model that was met before are there at once", async () => {
  const { comfy } = await shown("{}");
  const made = graphWith('{"light": 1}'), sliders = new SliderNode(made.node, comfy);
  made.node.onConfigure();
  assert.deepEqual(made.node.widgets.slice(2).map(({ name }) => name), ["dir:light", "dir:shape 3"]);
  const before = made.node.widgets[2];
  await settled();
  assert.equal(made.node.widgets[2], before); // and not made anew for nothing
});

test("connected edits have no picture of the text here, and say so after a run too", async () => {
  const { node, sliders, comfy } = await shown('{"light": 1}');
  await sliders.ran("run");
  await settled();
  node.inputs[1].link = 5;
  await sliders.look();
  const before = previews(comfy).length;
  await sliders.ran("next");
  await settled();
  assert.equal(previews(comfy).length, before);
  assert.match(sliders.panel.status.textContent, /connected/);
  assert.equal(sliders.panel.picture.style.display, "none");
  node.inputs[1].link = null;
  await sliders.look();
  await settled();
  assert.equal(previews(comfy).length, before + 1);
  assert.equal(sliders.panel.status.textContent, "");
  assert.equal(sliders.panel.picture.style.display, "block");
});

test("a slider that was renamed is renamed again from what it is now", async () => {
  let flipped = false;
  const answer = (path, sent) => {
    if (!path.startsWith("/cldis/sliders")) return undefined;
    if (sent) flipped = sent.flipped;
    return { sliders: [{ id: "light", name: "lamp", low: "", high: "", min: -1, max: 1, flipped, note: "", strip: null }] };
  };
  const { sliders, move } = await shown("{}", answer);
  move("dir:light", 0.5);
  for (const expected of [true, false]) {
    sliders.panel.actions.rename();
    fields(sliders)[3].checked = true;
    press(sliders, "Enter");
    await settled();
    assert.equal(flipped, expected);
  }
});

test("the strip is that of the row under the pointer, also where a label is part of another", async () => {
  const named = ["shape", "shape 2", "shape 21"].map((name) => ({ ...SLIDERS[0], id: name, name, low: "", high: "" }));
  const { sliders } = await shown("{}", (path) => (path.startsWith("/cldis/sliders") ? { sliders: named } : undefined));
  const rows = { addEventListener(type, listener) { this[type] = listener; } };
  sliders.panel.root.closest = () => rows;
  await sliders.look();
  for (const [textContent, name] of [["shape 21", "shape 21"], ["shape", "shape"], ["shape 2", "shape 2"], ["Save", "shape 2"]]) {
    rows.pointerover({ target: { closest: () => ({ textContent }) } });
    assert.equal(sliders.panel.shown.name, name);
  }
});

test("the picture of another model is not asked for", async () => {
  const answer = (path, sent) => (path.startsWith("/cldis/sliders") && path.includes("cars")
    ? { sliders: [{ id: "smile", name: "smile", low: "", high: "", min: -1, max: 1, flipped: false, note: "", strip: null }] }
    : undefined);
  const { loader, sliders, comfy } = await shown('{"light": 1}', answer);
  await sliders.ran("run");
  await settled();
  const before = previews(comfy).length;
  loader.widgets[0].value = "cars";
  await sliders.look();
  await settled();
  assert.equal(previews(comfy).length, before);
  assert.match(sliders.panel.status.textContent, /heads. Run once more/);
  assert.equal(sliders.panel.picture.style.display, "none");
});

test("a run knows better which of several loaders it was, until another is chosen", async () => {
  let used = "cars";
  const answer = (path) => (path.startsWith("/cldis/picture") ? { token: used, model: used, images: 1 } : undefined);
  const { graph, loader, node, sliders } = await shown("{}", answer);
  const other = { ...loader, id: 8, graph, widgets: [{ name: "model_name", value: "cars" }] };
  const both = { id: 9, graph, inputs: [{ type: "CLDIS_MODEL", link: 1 }, { type: "CLDIS_MODEL", link: 8 }] };
  graph.nodes.push(other, both);
  Object.assign(graph.links, { 8: { origin_id: 8, origin_slot: 0 }, 9: { origin_id: 9, origin_slot: 0 } });
  node.inputs[0].link = 9;
  const run = async (prompt) => {
    await sliders.look();
    await sliders.ran(prompt);
    await sliders.look();
    return [sliders.model, sliders.token, sliders.panel.status.textContent];
  };
  assert.deepEqual(await run("first"), ["cars", "cars", ""]);
  assert.deepEqual(await run("second"), ["cars", "cars", ""]);
  used = "heads";
  assert.deepEqual(await run("third"), ["heads", "heads", ""]);
  loader.widgets[0].value = "dogs"; // while a run waits in the queue
  assert.deepEqual(await run("fourth"), ["dogs", null, "The last run was with heads. Run once more."]);
  used = "dogs";
  assert.deepEqual(await run("fifth"), ["dogs", "dogs", ""]);
});

test("a run that waited while another model was chosen leaves the amounts of that alone", async () => {
  const answer = (path) => (path.startsWith("/cldis/sliders") && path.includes("cars")
    ? { sliders: [{ id: "smile", name: "smile", low: "", high: "", min: -1, max: 1, flipped: false, note: "", strip: null }] }
    : undefined);
  const { loader, sliders, widget } = await shown('{"light": 1}', answer);
  loader.widgets[0].value = "cars";
  await sliders.look();
  widget("edits").value = '{"smile":0.5}';
  await sliders.look();
  await sliders.ran("run"); // with heads
  await sliders.look();
  assert.deepEqual([sliders.model, widget("edits").value], ["cars", '{"smile":0.5}']);
  assert.match(sliders.panel.status.textContent, /heads. Run once more/);
});

test("what must be done to have sliders is said, also where no loader can be seen", async () => {
  const { loader, node, sliders } = await shown("{}");
  const said = async () => { await sliders.look(); return sliders.panel.status.textContent; };
  loader.widgets = [];
  assert.match(await said(), /Run once; then the sliders appear/);
  node.inputs[0].link = null;
  assert.match(await said(), /Connect a model/);
  node.inputs[0].link = 1;
  assert.match(await said(), /Run once; then the sliders appear/);
  await sliders.ran("run");
  assert.equal(await said(), "");
  assert.deepEqual(sliders.sliders, SLIDERS);
});

test("where somebody else's request was newer, the last one is made again", async () => {
  let times = 0;
  const answer = (path) => (path === "/cldis/preview" && times++ === 0 ? { status: 409, error: "newer" } : undefined);
  const { comfy, sliders } = await shown('{"light": 1}', answer);
  await sliders.ran("run");
  await settled();
  assert.equal(previews(comfy).length, 2);
  assert.equal(sliders.panel.picture.src, "blob:picture");
});

test("keys reach the fields of a form, and its text and node fit", async () => {
  const { sliders, node } = await shown("{}");
  sliders.rename(sliders.sliders[0]);
  for (const key of ["a", "Backspace", "Escape"])
    assert.equal(press(sliders, key).stopped, key === "Escape"); // which would leave a subgraph
  assert.equal(sliders.panel.form.style.display, "none");
  node.computeSize = () => [200, 777]; // with the text
  sliders.panel.actions.toggleText();
  assert.equal(node.size[1], 777);
});

test("Enter saves from a field only, and no key of an input method ends a form", async () => {
  const { sliders, comfy } = await shown("{}"), { form, actions } = sliders.panel;
  const asked = comfy.calls.length, isOpen = () => form.style.display !== "none";
  actions.save();
  for (const key of ["Enter", "Escape"]) press(sliders, key, { isComposing: true });
  press(sliders, "Enter", { target: buttonOf(form, "Cancel") }); // the browser presses it
  press(sliders, "Enter", { target: buttonOf(form, "OK") });
  for (const held of ["ctrlKey", "metaKey", "altKey"])
    assert.equal(press(sliders, "Enter", { [held]: true }).stopped, false); // a shortcut of ComfyUI
  assert.deepEqual([isOpen(), comfy.calls.length], [true, asked]);
  press(sliders, "Escape", { target: buttonOf(form, "Cancel") });
  assert.deepEqual([isOpen(), comfy.calls.length], [false, asked]);
  await saveAs(sliders, "mine");
  assert.equal(comfy.calls.length, asked + 1);
});

test("ComfyUI hears the keys that are pressed on a button, and shortcuts everywhere, but nothing typed", async () => {
  const { sliders } = await shown("{}"), { root, buttons, search, presets } = sliders.panel;
  const stops = (type, target, more = {}) => {
    let isStopped = false;
    root.listeners[type]({ target, ...more, stopPropagation: () => (isStopped = true) });
    return isStopped;
  };
  const button = buttonOf(buttons, "Reset");
  assert.deepEqual([button, search, presets].map((each) => stops("keydown", each, { key: "r" })), [false, true, true]);
  for (const held of ["ctrlKey", "metaKey", "altKey"])
    assert.equal(stops("keydown", search, { key: "z", [held]: true }), false);
  assert.deepEqual([button, search, presets].map((each) => stops("pointerdown", each)), [true, true, true]);
  sliders.rename(sliders.sliders[0]);
  const inLabel = sliders.panel.form.children.at(0).children.find(({ tag }) => tag === "span");
  assert.deepEqual([inLabel, sliders.panel.status].map((each) => stops("pointerdown", each)), [true, false]);
});

test("an arrow on the closed list of presets opens it, and chooses none", async () => {
  const { sliders: { panel: { presets } } } = await shown("{}"), done = [];
  presets.showPicker = () => done.push("opened");
  for (const key of ["ArrowDown", "Tab"]) presets.onkeydown({ key, preventDefault: () => done.push("prevented") });
  assert.deepEqual(done, ["opened", "prevented"]);
  presets.showPicker = () => { throw new Error("not in a frame of another page"); };
  presets.onkeydown({ key: "ArrowDown", preventDefault: () => done.push("prevented") });
  assert.equal(done.length, 2);
});

test("sliders behind a node that trains are there again after an undo or a reload", async () => {
  const made = () => {
    const found = graphWith('{"light": 1}');
    found.loader.widgets = [{ name: "name", value: "my model" }];
    return { ...found, sliders: new SliderNode(found.node, comfyWith(found.graph)) };
  };
  const first = made();
  await first.sliders.look();
  assert.match(first.sliders.panel.status.textContent, /Run once; then the sliders appear/);
  await first.sliders.ran("run");
  await first.sliders.look();
  const { node, sliders } = made();
  node.onConfigure();
  await settled();
  await sliders.look();
  await settled();
  assert.deepEqual(node.widgets.slice(2).map(({ name }) => name), ["dir:light", "dir:shape 3"]);
  assert.deepEqual([sliders.token, sliders.panel.status.textContent], ["token", ""]);
});

test("why sliders cannot be had is said until they can", async (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  const { graph, node } = graphWith('{"#light":1}');
  let isThere = false;
  const answer = (path) => (path.startsWith("/cldis/sliders") && !isThere ? { status: 404, error: "No model." } : undefined);
  const comfy = Object.assign(comfyWith(graph, answer), { known: { heads: SLIDERS } }), sliders = new SliderNode(node, comfy);
  node.onConfigure();
  await settled();
  for (const text of ['{"light":1}', '{"light":2}']) {
    await sliders.look();
    assert.equal(sliders.panel.status.textContent, "No model.");
    node.widgets[0].value = text;
  }
  isThere = true;
  t.mock.timers.tick(11000);
  await sliders.look();
  assert.match(sliders.panel.status.textContent, /^Run once/);
});

test("presets are those of the model, and none without one", async () => {
  const { node, sliders } = await shown("{}"), { presets } = sliders.panel;
  const names = () => presets.children.map(({ value }) => value);
  assert.deepEqual(names(), ["", "evening"]);
  node.inputs[0].link = null;
  await sliders.look();
  assert.deepEqual([names(), presets.style.display, sliders.panel.status.textContent], [[""], "none", "Connect a model."]);
});

test("presets, or why there are none, that come late are not those of the model that there is by then", async () => {
  for (const late of [{ evening: {} }, { status: 500, error: "glitch" }]) {
    let go;
    const made = graphWith("{}"), comfy = comfyWith(made.graph, (path, sent) => (path.startsWith("/cldis/presets")
      ? (path.includes("heads") ? late : { noon: {} }) : carsToo()(path, sent))), { fetchApi } = comfy;
    comfy.fetchApi = async (path, options) => {
      if (path === "/cldis/presets?model=heads") await new Promise((done) => (go = done));
      return fetchApi(path, options);
    };
    const sliders = new SliderNode(made.node, comfy), first = sliders.look();
    await settled();
    made.loader.widgets[0].value = "cars";
    await sliders.look();
    go();
    await first;
    assert.deepEqual([Object.keys(sliders.presets), sliders.trouble, sliders.again], [["noon"], "", Infinity]);
  }
});

test("while the caret rests in the text, its picture is asked for once", async () => {
  const { comfy, sliders, widget } = await shown("{}");
  await sliders.ran("run");
  await settled();
  const value = widget("edits").value = '{"#light":1}', before = previews(comfy).length;
  document.activeElement = { type: "textarea", value };
  for (let look = 0; look < 3; look++) [await sliders.look(), await settled()];
  document.activeElement = undefined;
  assert.equal(previews(comfy).length, before + 1);
  await sliders.look();
  assert.deepEqual([widget("edits").value, sliders.panel.status.textContent], ['{"light":1}', ""]);
});

test("what went wrong is no longer said once it goes well", async () => {
  let isBad = true;
  const answer = (path, sent) => (isBad && (path === "/cldis/preview" || sent?.name) ? { status: 500, error: "glitch" } : undefined);
  const { sliders, move } = await shown("{}", answer);
  const said = () => sliders.panel.status.textContent;
  await sliders.ran("run");
  const both = async (work) => {
    const found = [];
    for (isBad of [true, false]) found.push((await work(), await settled(), said()));
    return found;
  };
  assert.deepEqual(await both(() => move("dir:light", isBad ? 1 : 2)), ["glitch", ""]);
  assert.deepEqual(await both(() => saveAs(sliders, "mine")), ["glitch", ""]);
  assert.deepEqual(await both(() => [sliders.panel.actions.rename(), press(sliders, "Enter")]), ["glitch", ""]);
});

test("an answer that comes when there is another model leaves that alone, and its form goes", async () => {
  const { loader, node, comfy, sliders } = await shown("{}", carsToo(() => "heads"));
  const { fetchApi } = comfy, waiting = [];
  comfy.fetchApi = async (path, options) => {
    if (options && path !== "/cldis/preview") await new Promise((done) => waiting.push(done));
    return fetchApi(path, options);
  };
  await saveAs(sliders, "mine");
  sliders.panel.actions.rename();
  press(sliders, "Enter");
  sliders.panel.actions.rename(); // once more, and still open
  loader.widgets[0].value = "cars";
  await sliders.look();
  const there = () => [sliders.presets, sliders.sliders, node.widgets.slice(2).map(({ name }) => name)];
  sliders.gotPresets({ noon: {} });
  const before = there();
  assert.deepEqual([before[1], sliders.panel.form.style.display, waiting.length], [SMILE, "none", 2]);
  waiting.forEach((done) => done());
  await settled();
  assert.deepEqual(there(), before);
  assert.deepEqual(comfy.known.heads, SLIDERS);
});

test("a search stays when the sliders are made anew, and goes with its box", async () => {
  const many = Array.from({ length: 14 }, (_, index) => ({ ...SLIDERS[0], id: `s${index}`, name: `s${index}` }));
  let found = many;
  const { node, sliders } = await shown("{}", (path) => (path.startsWith("/cldis/sliders") ? { sliders: found } : undefined));
  const seen = () => node.widgets.filter(({ name, hidden }) => name.startsWith("dir:") && !hidden).length;
  sliders.panel.search.value = "S3";
  sliders.panel.search.oninput();
  assert.equal(seen(), 1);
  found = many.map((each, index) => (index === 3 ? { ...each, name: "s3 new" } : each));
  await sliders.ran("run");
  assert.deepEqual([seen(), sliders.panel.search.value], [1, "S3"]);
  found = many.slice(0, 5);
  await sliders.ran("next");
  assert.deepEqual([seen(), sliders.panel.search.value], [5, ""]);
});

test("the picture and what is said are there for those who do not see them", async () => {
  const { sliders: { panel } } = await shown("{}");
  assert.match(panel.picture.alt, /image/);
  assert.equal(panel.status.role, "status");
});

test("the panel takes the place of one whose node an undo has replaced, and of no other", async () => {
  const { sliders: old } = await shown("{}");
  const put = (sliders) => Object.assign(page, { 2: Object.assign(sliders.panel.root, { at: 2, isConnected: true }) });
  put(old);
  const { sliders: inSubgraph } = await shown("{}"); // the same id in another graph
  assert.equal(page[2], old.panel.root);
  old.rest();
  await old.look(); // it came back
  assert.equal(page[2], old.panel.root);
  await inSubgraph.look();
  assert.equal(page[2], old.panel.root);
  old.rest();
  await inSubgraph.look();
  assert.equal(page[2], inSubgraph.panel.root);
  assert.equal(inSubgraph.panel.root.isConnected, true);
});
