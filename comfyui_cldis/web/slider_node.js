// CLDis Edit Sliders: one native slider for each direction of the connected model.
//
// The one truth is the text in the widget `edits`; sliders are made from it and write to it.
import {
  aboutNames, gradientOf, labelOf, randomAmounts, readEdits, sliderOf, snapped, turned, withKept, writeEdits,
} from "./edits.js";
import { executionId, isIn } from "./graphs.js";
import { Latest } from "./latest.js";
import { Panel } from "./panel.js";
import { modelNames } from "./upstream.js";

const AGAIN_MS = 10000; // before the next try
const SEARCH_ABOVE = 12, MARGIN = 10; // of what the canvas leaves around our elements
const widthOf = (isModern) => (isModern ? 480 : 340); // Nodes 2.0 puts names beside the sliders
const RUN = "Run once; then the picture follows the sliders.";

export class SliderNode {
  constructor(node, comfy) {
    Object.assign(this, { node, comfy, model: undefined, sliders: [], widgets: [], presets: {}, text: null });
    // Of the model: whether it is the only one in sight, and whether it is that or was that of a run since then.
    Object.assign(this, { isChosen: false, isSure: false });
    this.isOfRun = false; // whether `adopted` is of a run with what is connected now
    this.again = Infinity; // when to ask for sliders that could not be had
    this.had = new Set(); // names of the sliders with which the text was read last
    this.late = ""; // what the last run has left out
    this.trouble = ""; // why sliders and presets could not be had
    this.mustKeep = false; // whether the text is to be changed when the caret has left it
    this.edits = node.widgets.find((each) => each.name === "edits");
    this.panel = new Panel({
      reset: () => this.set({}),
      randomise: () => this.set(randomAmounts(this.sliders)),
      choosePreset: (name) => name && this.setText(withKept(this.presets[name], this.kept())),
      save: () => this.save(),
      rename: () => this.rename(this.sliders.find(({ id }) => id === this.last?.id) ?? this.sliders[0]),
      toggleText: () => [this.hide(this.edits, !this.edits.hidden), this.resize()],
      search: (text) => this.filter(text),
      resized: () => this.resize(),
    });
    this.live = new Latest((edits) => this.post("/cldis/preview", { token: this.token, edits }),
      (blob) => this.token && this.isThere() && [this.panel.show(blob), this.sayUsual()],
      (error, isNewest) => this.failed(error, isNewest));
    Object.assign(node.addDOMWidget("cldis_panel", "cldis_panel", this.panel.root, {
      serialize: false, hideOnZoom: false, getValue: () => "", setValue: () => {},
      getMinHeight: () => this.panel.height() + 2 * MARGIN,
    }), { serialize: false, label: "picture" });
    this.chain("onConfigure", () => this.look(true));
    this.chain("onMouseMove", ({ canvasX, canvasY }) => this.hover(node.getWidgetOnPos?.(canvasX, canvasY)));
    this.panel.showPresets([]);
  }

  chain(name, own) {
    const before = this.node[name];
    this.node[name] = (...given) => [before?.apply(this.node, given), own(...given)][0];
  }

  /** Whether the graph holds this node still, and no other in its place: a graph that is emptied tells nobody. */
  isThere = ({ graph, id } = this.node) => graph?.getNodeById(id) === this.node && isIn(this.comfy.root(), graph);

  /** The node has left the graph. Should it come back, it begins anew. */
  rest() {
    Object.assign(this, { model: undefined, guesses: undefined, token: null, prompt: null });
    this.live.drop();
    this.panel.forget();
  }

  /**
   * Takes over what has changed: the model, the text, whether the text is connected. While a workflow
   * `isOpening`, what it says of the loaders may not have come to them yet.
   */
  async look(isOpening = false) {
    this.panel.takePlace(this.node.id);
    this.isLinked = this.linkTo("edits") != null;
    const guesses = modelNames(this.node, this.comfy.root());
    if (String(guesses) !== String(this.guesses)) [this.guesses, this.adopted, this.isOfRun] = [guesses, null, false];
    const model = this.adopted ?? guesses.find(Boolean) ?? (this.linkTo("model") == null ? null : "");
    // Only when it is sure may names in the text change: a run with another model would pass over what is parked.
    this.isChosen = !isOpening && guesses.length > 0 && guesses.every((each) => each && each === guesses[0]);
    this.isSure = this.isChosen || (!isOpening && this.isOfRun && model === this.adopted);
    if (model !== this.model) await this.attempt(() => this.load((this.model = model)));
    else if (Date.now() > this.again) await this.ran();
    else if (this.edits.value !== this.text || this.isLinked !== this.wasLinked || this.isSure !== this.wasSure
      || (this.mustKeep && !this.isTyping())) this.fromText();
    if (this.panel.height() !== this.height) this.resize();
    this.watchRows();
  }

  linkTo = (name) => this.node.inputs?.find((each) => each.name === name)?.link;

  async load(model) {
    [this.token, this.why, this.again, this.late, this.trouble] = [null, RUN, Infinity, "", ""];
    this.gotPresets({}); // those there were are for the model before
    this.panel.closeForm(); // it was about the model before
    this.show(this.comfy.known[model] ?? []); // at once where it is known: App mode looks for them at once
    if (model === null) return this.panel.say("Connect a model.");
    if (!model) this.panel.say("Run once; then the sliders appear.");
    await this.ran(null); // perhaps one before a reload, an undo, another tab tells
  }

  /** Sliders and presets of the model; where they cannot be had, they are asked for again later. */
  async fetch() {
    const { model } = this, query = `?model=${encodeURIComponent(model)}`;
    this.again = Date.now() + AGAIN_MS;
    const isOver = () => model !== this.model || !this.isThere();
    const get = (path) => this.get(path + query).catch((error) => {
      if (!isOver()) this.trouble = error.message;
      throw error;
    });
    const { sliders } = await get("/cldis/sliders");
    if (isOver()) return;
    const presets = await get("/cldis/presets");
    if (isOver()) return;
    [this.again, this.trouble] = [Infinity, ""];
    this.known(model, sliders);
    this.gotPresets(presets);
  }

  known(model, sliders) {
    this.comfy.known[model] = sliders;
    if (model === this.model && JSON.stringify(sliders) !== JSON.stringify(this.sliders)) this.show(sliders);
  }

  /** Makes the sliders anew. */
  show(sliders) {
    for (const widget of this.widgets) this.node.removeWidget(widget);
    this.sliders = sliders;
    this.widgets = sliders.map((slider) => this.addSlider(slider));
    this.hide(this.edits, sliders.length > 0);
    const { search } = this.panel, isSearched = sliders.length > SEARCH_ABOVE;
    search.style.display = isSearched ? "" : "none";
    if (!isSearched) search.value = "";
    this.panel.showStrip(sliders.find(({ id }) => id === this.last?.id) ?? sliders[0]);
    this.fromText();
    this.filter(search.value);
  }

  addSlider(slider) {
    const { id, min, max, note } = slider, isModern = this.comfy.isModern();
    const add = (type) => this.node.addWidget(type, `dir:${id}`, 0, (value) => this.moved(slider, value), {
      min, max, step2: 0.01, step: 0.1, precision: 2, serialize: false,
      gradient_stops: gradientOf(slider), slider_color: "#678", marker_color: "#eee",
    });
    let widget = add(isModern ? "gradientslider" : "slider");
    // Frontend 1.35 does not know the kind, makes nothing that can be drawn, and Nodes 2.0 leaves the row blank.
    if (isModern && typeof widget.drawWidget !== "function") {
      this.node.removeWidget(widget);
      widget = add("slider");
    }
    const tooltip = `${min.toFixed(1)} to ${max.toFixed(1)} were seen in training${note && "; "}${note}`;
    // The classic canvas draws a line at the marker.
    return Object.assign(widget, { serialize: false, label: labelOf(slider), marker: 0, tooltip });
  }

  /** Sliders show what the text says. */
  fromText() {
    [this.text, this.wasLinked, this.wasSure, this.mustKeep] = [this.edits.value, this.isLinked, this.isSure, false];
    // The text here is not what a run takes when edits is connected.
    this.panel.rest(this.isLinked || !this.token);
    const read = this.read();
    this.panel.allow(read && this.sliders.length);
    if (!this.sliders.length) return this.panel.showUnknown("");
    if (read && this.isSure) this.keep(read);
    this.sliders.forEach((slider, index) => {
      // An amount beyond the safe range is shown as far as the slider goes, and kept.
      const shown = turned(slider, read?.amounts[slider.id] ?? 0);
      this.widgets[index].value = Math.min(slider.max, Math.max(slider.min, shown));
      this.widgets[index].disabled = read === null;
    });
    this.panel.showUnknown(read ? aboutNames(read, this.isSure) : "");
    this.sayUsual(read);
    if (read) this.refresh();
    this.node.setDirtyCanvas?.(true, true);
  }

  /** What the sliders show of the text, or null where they rest. */
  read = () => (this.isLinked ? null : readEdits(this.edits.value, this.sliders, this.isSure));

  /**
   * Parks the names that the model before had and this one lacks, and takes back what it has. Others
   * without a slider stay as they were typed, so that a run says that they are wrong.
   */
  keep(read) {
    const gone = Object.keys(read.unknown).filter((name) => this.had.has(name));
    for (const name of gone) {
      read.parked[name] = read.unknown[name];
      delete read.unknown[name];
    }
    if (gone.length || read.isOld) {
      if ((this.mustKeep = this.isTyping())) return; // at a later look
      // A run whose model could not be foreseen has passed over what was parked for it.
      if (read.back.length && !this.isChosen && this.edits.value === this.ranText)
        this.late = `The last run left out ${read.back.join(", ")}. Run once more.`;
      const before = this.edits.value;
      this.write(writeEdits(read));
      this.comfy.amend(this.node, before, this.edits.value);
    }
    this.had = new Set(this.sliders.flatMap(({ id, name }) => [id, name]));
  }

  sayUsual = (read = this.read()) => this.panel.say(
    this.isLinked ? "edits is connected; the sliders rest." : !read ? "edits is text that sliders cannot show."
      : this.trouble || (!this.token ? this.why
        : this.late || (this.images > 1 ? `The first of ${this.images} images.` : "")));

  moved(slider, value) {
    const read = this.read();
    if (!read) return;
    this.panel.showStrip((this.last = slider));
    read.amounts[slider.id] = turned(slider, snapped(slider, value));
    read.parked = this.kept((each) => each.id === slider.id).parked;
    this.write(writeEdits(read));
    this.refresh();
  }

  /** Other edits in place of those there are; a list of those of each image is not replaced. */
  set(amounts) {
    const read = this.read();
    if (read && this.sliders.length) this.setText(writeEdits({ amounts, ...this.kept() }));
  }

  /**
   * What stays when sliders are set, all of them or those that `isSet` says: what is parked for others, and
   * names without a slider, which may be those of the model that will run.
   */
  kept(isSet = () => true, { parked, unknown } = this.read() ?? { parked: {}, unknown: {} }) {
    const isLeft = ([name], slider = sliderOf(name, this.sliders)) => !slider || !isSet(slider);
    const left = Object.entries(parked).filter((each) => isLeft(each));
    return { parked: Object.fromEntries(left), unknown: this.isSure ? {} : unknown };
  }

  setText(text) {
    if (!this.isLinked) this.write(text);
    this.fromText();
    this.comfy.record();
  }

  write(text) {
    if (this.edits.value === text) return;
    this.text = this.edits.value = text;
    this.edits.callback?.(text);
  }

  /** Whether the caret is in the text, which must not change under it. */
  isTyping = ({ type, value } = document.activeElement ?? {}) => type === "textarea" && value === this.edits.value;

  refresh = () => this.token && !this.isLinked && this.live.ask(this.edits.value);

  /** A run has ended: its picture is shown from now on, and the sliders of the file as it is. */
  ran(prompt = this.prompt, isBroken = this.isBroken) {
    if (prompt && prompt !== this.prompt)
      [this.late, this.ranWith, this.ranText] = ["", String(this.guesses), this.edits.value];
    Object.assign(this, { prompt, isBroken });
    return this.attempt(async () => [this.model && (await this.fetch()), await this.follow()]);
  }

  async follow(attempts = 4) {
    if (!this.isThere()) return;
    const root = this.comfy.root(), id = executionId(this.node, root), place = `cldis-run:${root.id}:${id}`;
    if (!this.prompt) [this.prompt, this.ranWith] = JSON.parse(sessionStorage.getItem(place)) ?? [];
    if (!this.prompt) return;
    const { prompt } = this, at = `&node=${id}&workflow=${root.id ?? ""}`;
    const [found, error] = await this.get(`/cldis/picture?prompt=${prompt}${at}`)
      .then((answer) => [answer], (fault) => [null, fault]);
    if (prompt !== this.prompt || !this.isThere()) return;
    if (error && error.status !== 422 && attempts > 1) return setTimeout(() => this.follow(attempts - 1), 300);
    // A run of another workflow, without this node, or that ended before it: all stays as it was.
    if (error?.status === 404 || (error && this.isBroken && this.token)) return;
    if (error) return this.lack(error);
    sessionStorage.setItem(place, JSON.stringify([prompt, this.ranWith]));
    // Which of several it is, or what cannot be seen here, a run alone knows.
    const isUnseen = this.guesses?.length === 0 && this.linkTo("model") != null;
    if (isUnseen || this.guesses?.some((each) => !each || each === found.model))
      [this.adopted, this.isOfRun] = [found.model, this.ranWith === String(this.guesses)];
    if (found.model !== this.model) return !this.model || this.adopted === found.model ? this.look()
      : this.panel.say(`The last run was with ${found.model}. Run once more.`);
    [this.token, this.images] = [found.token, found.images];
    this.sayUsual();
    this.refresh();
  }

  failed(error, isNewest) {
    // A newer request has come. Where it is not ours, somebody else looks at the same picture.
    if (error.status === 409) return isNewest && this.refresh();
    error.status === 410 ? this.lack(error) : this.panel.say(error.message);
  }

  /** There is no picture any more, and the node says why until there is one. */
  lack = ({ message }) => [([this.token, this.why] = [null, message]), this.panel.rest(true), this.sayUsual()];

  rename(slider) {
    if (!slider) return;
    const { model } = this; // there may be another when the answer comes
    this.panel.ask([
      ["name", `Name for ${slider.name}; empty: its own`, slider.name], ["low", "Low end", slider.low],
      ["high", "High end", slider.high], ["turn", "turn round", false],
    ], ({ name, low, high, turn }) => this.attempt(async () => {
      const [first, second] = turn ? [high, low] : [low, high];
      const { sliders } = await this.post("/cldis/sliders", {
        model, slider: slider.id, name, low: first, high: second, flipped: slider.flipped !== turn,
      });
      this.known(model, sliders);
      if (model === this.model) this.sayUsual();
    }));
  }

  save() {
    const { model } = this;
    if (!model || this.isLinked) return; // the text here is not what is used, as the node says
    this.panel.ask([["name", "Name of the preset", ""]], ({ name }) => this.attempt(async () => {
      const presets = await this.post("/cldis/presets", { model, name, edits: this.edits.value });
      if (model === this.model) this.gotPresets(presets);
    }));
  }

  gotPresets = (found) => [this.panel.showPresets(Object.keys((this.presets = found))), this.sayUsual()];

  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.sliders.forEach((slider, index) =>
      this.hide(this.widgets[index], !labelOf(slider).toLowerCase().includes(wanted)));
    this.resize();
  }

  // For the classic canvas, and for Nodes 2.0, which looks when the list of widgets changes.
  hide = (widget, isHidden) => [(widget.hidden = widget.options.hidden = isHidden),
    this.node.widgets.push(this.node.widgets.pop()), this.node.setDirtyCanvas?.(true, true)];

  hover = (widget) => this.widgets.includes(widget) && this.panel.showStrip(this.sliders[this.widgets.indexOf(widget)]);

  /** Nodes 2.0 tells nobody which widget is under the pointer, so its rows are listened to. */
  watchRows() {
    const element = this.panel.root.closest("[data-node-id]");
    if (!element || this.watched === element) return;
    this.watched = element;
    element.addEventListener("pointerover", ({ target }) => {
      const text = target.closest?.('[data-testid="node-widget"]')?.textContent ?? "";
      const lengths = this.sliders.map(labelOf).map((label) => (text.includes(label) ? label.length : 0));
      this.hover(this.widgets[lengths.indexOf(Math.max(1, ...lengths))]); // "shape" is in "shape 2", too
    });
  }

  resize() {
    this.height = this.panel.height();
    const [width, height] = this.node.computeSize();
    this.node.setSize?.([Math.max(widthOf(this.comfy.isModern()), this.node.size[0], width), height]);
    this.node.setDirtyCanvas?.(true, true);
  }

  attempt = (work) => work().catch((error) => this.panel.say(error.message));

  post = (path, body) => this.get(path,
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

  async get(path, options) {
    const response = await this.comfy.fetchApi(path, options);
    const isJson = response.headers.get("Content-Type")?.includes("json");
    if (response.ok) return isJson ? response.json() : response.blob();
    const { error } = isJson ? await response.json() : {};
    throw Object.assign(new Error(error ?? `The server answered ${response.status}. Look at its log.`),
      { status: response.status });
  }
}
