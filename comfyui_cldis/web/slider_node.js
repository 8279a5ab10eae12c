// CLDis Edit Sliders: one native slider for each direction of the connected model.
//
// The one truth is the text in the widget `edits`; sliders are made from it and write to it.

import { gradientOf, labelOf, randomAmounts, readEdits, turned, writeEdits } from "./edits.js";
import { Latest } from "./latest.js";
import { Panel } from "./panel.js";
import { modelName } from "./upstream.js";

const LOOK_MS = 400; // between two looks at what is connected
const SEARCH_FROM = 13;
const WIDEST = 340;

export class SliderNode {
  /** `isModern()` says whether Nodes 2.0 draws; `fetchApi` and `root()` are ComfyUI's. */
  constructor(node, { fetchApi, root, isModern }) {
    Object.assign(this, { node, fetchApi, root, isModern, model: null, sliders: [], text: null });
    this.edits = node.widgets.find((each) => each.name === "edits");
    this.widgets = [];
    this.panel = new Panel({
      reset: () => this.set({}),
      randomise: () => this.set(randomAmounts(this.sliders)),
      choosePreset: (name) => this.setText(JSON.stringify(this.presets[name])),
      savePreset: (name) => this.send("/cldis/presets", { name, edits: this.edits.value },
        (found) => this.gotPresets(found)),
      rename: () => this.rename(),
      toggleText: () => this.hide(this.edits, !this.edits.hidden),
      search: (text) => this.filter(text),
    });
    this.live = new Latest((edits) => this.draw(edits), (blob) => this.drawn(blob),
      (error) => this.panel.say(error.message));
    const widget = node.addDOMWidget("cldis_panel", "cldis_panel", this.panel.root, {
      serialize: false, hideOnZoom: false, getValue: () => "", setValue: () => {},
      getMinHeight: () => this.panel.root.scrollHeight || 60,
    });
    widget.serialize = false;
    this.chain("onConfigure", () => this.look());
    this.chain("onExecuted", (output) => this.executed(output?.cldis?.[0]));
    this.chain("onRemoved", () => this.close());
    this.chain("onMouseMove", (event) => this.hover(node.getWidgetOnPos?.(event.canvasX, event.canvasY)));
    this.panel.root.addEventListener("pointerenter", () => this.watchRows());
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.panel.say("Connect a model.");
    this.panel.showPresets([]);
  }

  chain(name, own) {
    const before = this.node[name];
    this.node[name] = function (...given) {
      const result = before?.apply(this, given);
      own(...given);
      return result;
    };
  }

  close() {
    clearInterval(this.timer);
    this.live.close();
  }

  /** Takes over what has changed: the model, the text, the links. */
  async look() {
    this.isLinked = this.node.inputs?.find((each) => each.name === "edits")?.link != null;
    const model = modelName(this.node, this.root()) ?? this.ranModel ?? null;
    if (model !== this.model) {
      this.model = model;
      await this.load();
    }
    if (this.edits.value !== this.text || this.isLinked !== this.wasLinked) this.fromText();
    if (!this.watched) this.watchRows();
  }

  async load() {
    const model = this.model;
    this.show([]);
    this.hide(this.edits, false);
    if (model === null) return this.panel.say("Connect a model.");
    try {
      const found = await this.get(`/cldis/sliders?model=${encodeURIComponent(model)}`);
      if (model !== this.model) return;
      this.show(found.sliders);
      this.gotPresets(await this.get(`/cldis/presets?model=${encodeURIComponent(model)}`));
    } catch (error) {
      this.panel.say(error.message);
    }
  }

  /** Makes the widgets anew. */
  show(sliders) {
    for (const widget of this.widgets) {
      if (this.node.removeWidget) this.node.removeWidget(widget);
      else this.node.widgets.splice(this.node.widgets.indexOf(widget), 1);
    }
    this.sliders = sliders;
    this.widgets = sliders.map((slider) => this.addSlider(slider));
    this.text = null;
    this.panel.search.style.display = sliders.length >= SEARCH_FROM ? "" : "none";
    this.hide(this.edits, sliders.length > 0);
    this.fromText();
    if (sliders.length) {
      this.panel.say(this.token
        ? "" : "Run once; then the picture follows the sliders.");
      this.panel.showStrip(sliders[0]);
      if (this.token) this.live.ask(this.edits.value);
    }
    this.resize();
  }

  addSlider(slider) {
    const options = {
      min: slider.min, max: slider.max, step2: 0.01, step: 0.1, precision: 2, serialize: false,
      gradient_stops: gradientOf(slider), slider_color: "#678", marker_color: "#eee",
    };
    const type = this.isModern() ? "gradientslider" : "slider";
    const widget = this.node.addWidget(type, `dir:${slider.id}`, 0, (value) => this.moved(slider, value),
      options);
    widget.serialize = false;
    widget.label = labelOf(slider);
    widget.marker = 0; // the classic canvas draws a line there
    widget.tooltip = `${slider.min.toFixed(1)} to ${slider.max.toFixed(1)} were seen in training` +
      (slider.note ? `; ${slider.note}` : "");
    return widget;
  }

  /** Sliders show what the text says. */
  fromText() {
    this.text = this.edits.value;
    this.wasLinked = this.isLinked;
    const read = this.isLinked ? null : readEdits(this.text, this.sliders);
    this.sliders.forEach((slider, index) => {
      const shown = turned(slider, read?.amounts[slider.id] ?? 0);
      // An amount beyond the safe range is shown as far as the slider goes, and kept.
      this.widgets[index].value = Math.min(slider.max, Math.max(slider.min, shown));
      this.widgets[index].disabled = read === null;
    });
    if (!this.sliders.length) return;
    if (this.isLinked) this.panel.say("edits is connected; the sliders rest.");
    else if (!read) this.panel.say("edits is text that sliders cannot show.");
    this.panel.showUnknown(Object.keys(read?.parked ?? {}));
    const text = read && writeEdits(read);
    if (read && Object.keys(read.parked).length && text !== this.text) this.setText(text);
    else if (this.token && read) this.live.ask(this.text);
    this.node.setDirtyCanvas?.(true, true);
  }

  moved(slider, value) {
    const read = readEdits(this.edits.value, this.sliders);
    if (!read || this.isLinked) return;
    this.last = slider;
    this.panel.showStrip(slider);
    read.amounts[slider.id] = turned(slider, value);
    this.text = writeEdits(read);
    this.write(this.text);
    if (this.token) this.live.ask(this.text);
  }

  set(amounts) {
    const parked = readEdits(this.edits.value, this.sliders)?.parked ?? {};
    this.setText(writeEdits({ amounts, parked }));
  }

  setText(text) {
    if (this.isLinked) return;
    this.write(text);
    this.fromText();
  }

  write(text) {
    this.edits.value = text;
    this.edits.callback?.(text);
  }

  executed(found) {
    if (!found) return;
    this.ranModel = found.model;
    this.token = found.token;
    this.panel.say(found.token
      ? (found.images > 1 ? `The first of ${found.images} images.` : "")
      : "This latent keeps no image to show; Run shows the result.");
    if (this.token) this.live.ask(this.edits.value);
  }

  async draw(edits) {
    const response = await this.post("/cldis/preview", { token: this.token, edits });
    if (response.status === 409) return null; // a newer picture is under way
    if (response.status === 410) this.token = null;
    if (!response.ok) throw new Error(await sentence(response));
    return response.blob();
  }

  drawn(blob) {
    if (!blob) return;
    const isFirst = this.panel.picture.style.display === "none";
    this.panel.show(blob);
    if (isFirst) this.resize();
  }

  rename() {
    const slider = this.last ?? this.sliders[0];
    if (!slider) return;
    this.panel.ask([
      ["name", `New name of ${slider.name}; empty: its own`, slider.name],
      ["low", "What its low end looks like", slider.low],
      ["high", "What its high end looks like", slider.high],
      ["turn", "turn round", false],
    ], ({ name, low, high, turn }) => {
      const flipped = slider.flipped !== turn;
      const [first, second] = turn ? [high, low] : [low, high];
      this.send("/cldis/sliders", { slider: slider.id, name, low: first, high: second, flipped },
        (found) => this.show(found.sliders));
    });
  }

  gotPresets(found) {
    this.presets = found;
    this.panel.showPresets(Object.keys(found));
  }

  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.sliders.forEach((slider, index) =>
      this.hide(this.widgets[index], !labelOf(slider).toLowerCase().includes(wanted)));
    this.resize();
  }

  hide(widget, isHidden) {
    widget.hidden = isHidden; // the classic canvas
    widget.options.hidden = isHidden; // Nodes 2.0
    this.node.setDirtyCanvas?.(true, true);
  }

  hover(widget) {
    const index = this.widgets.indexOf(widget);
    if (index >= 0) this.panel.showStrip(this.sliders[index]);
  }

  /** Nodes 2.0 tells nobody which widget is under the pointer, so its rows are listened to. */
  watchRows() {
    const element = this.panel.root.closest("[data-node-id]");
    if (!element || this.watched === element) return;
    this.watched = element;
    element.addEventListener("pointerover", (event) => {
      const row = event.target.closest?.('[data-testid="node-widget"]');
      const index = row ? this.sliders.findIndex((each) => row.textContent.includes(labelOf(each))) : -1;
      this.hover(this.widgets[index]);
    });
  }

  resize() {
    const [width, height] = this.node.computeSize();
    this.node.setSize?.([Math.max(WIDEST, this.node.size[0], width), height]);
    this.node.setDirtyCanvas?.(true, true);
  }

  post(path, body) {
    return this.fetchApi(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
  }

  async get(path) {
    const response = await this.fetchApi(path);
    if (!response.ok) throw new Error(await sentence(response));
    return response.json();
  }

  async send(path, body, done) {
    try {
      const response = await this.post(path, { model: this.model, ...body });
      if (!response.ok) throw new Error(await sentence(response));
      done(await response.json());
    } catch (error) {
      this.panel.say(error.message);
    }
  }
}

async function sentence(response) {
  const found = await response.json().catch(() => ({}));
  return found.error ?? `The server answered ${response.status}. Look at its log.`;
}
