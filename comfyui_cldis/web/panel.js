// What stands above the sliders: the picture, the buttons, what a slider does. DOM only.
const make = (tag, cssText, props = {}) => {
  const element = Object.assign(document.createElement(tag), props);
  return Object.assign(element.style, { cssText }) && element;
};
const FIELD = "background:var(--comfy-input-bg,#222);color:var(--input-text,#ddd);padding:2px 6px;" +
  "border:1px solid var(--border-color,#4e4e4e);border-radius:4px;font-size:11px;";
const ROW = "display:flex;gap:4px;flex-wrap:wrap;align-items:center;";
const COLUMN = "display:flex;flex-direction:column;gap:2px;flex:1 1 84px;min-width:0;";
const QUIET = "color:var(--descrip-text,#999);";
const showing = (element, isShown, how = "block") => (element.style.display = isShown ? how : "none");

const isShortcut = ({ ctrlKey, metaKey, altKey }) => ctrlKey || metaKey || altKey;

export class Panel {
  /** `actions` are called when a button is pressed, and `resized` when the height has changed. */
  constructor(actions) {
    this.actions = actions;
    this.root = make("div", "overflow:hidden;", { className: "cldis-panel" });
    this.body = make("div", "display:flex;flex-direction:column;gap:4px;font-size:11px;" +
      "color:var(--input-text,#ddd);padding:2px 4px;box-sizing:border-box;"); // as high as what is in it
    this.picture = make("img", "height:256px;width:100%;object-fit:contain;border-radius:4px;" +
      "background:var(--comfy-input-bg,#222);display:none;",
    { alt: "The first image with these edits", className: "cldis-picture" });
    this.status = make("div", QUIET + "min-height:14px;", { className: "cldis-status", role: "status" });
    this.unknown = make("div", QUIET + "display:none;", { className: "cldis-unknown" });
    this.buttons = make("div", ROW);
    this.presets = make("select", FIELD + "max-width:110px;", { title: "Saved edits" });
    this.presets.onchange = () => [actions.choosePreset(this.presets.value), (this.presets.value = "")];
    this.presets.onkeydown = (event) => {
      if (!["ArrowDown", "ArrowUp"].includes(event.key) || !this.presets.showPicker) return;
      try {
        this.presets.showPicker();
        event.preventDefault(); // on the closed list it would choose at once
      } catch { /* A page in another's frame may not: there the arrow does what it always does. */ }
    };
    this.setters = [
      this.button(this.buttons, "Reset", "All sliders to zero", actions.reset),
      this.button(this.buttons, "Randomise", "Chance amounts within the safe ranges", actions.randomise),
    ];
    this.buttons.append(this.presets);
    this.button(this.buttons, "Save", "Save the edits as a preset", actions.save);
    this.button(this.buttons, "Rename", "Name the slider moved last, or turn it round", actions.rename);
    this.button(this.buttons, "Text", "Show the edits as text", actions.toggleText);
    this.form = make("div", ROW + "display:none;");
    this.strip = make("div", "display:none;", { className: "cldis-strip" });
    this.search = make("input", FIELD + "display:none;", { placeholder: "Search sliders" });
    this.search.oninput = () => actions.search(this.search.value);
    this.body.append(this.picture, this.status, this.unknown, this.buttons, this.form, this.strip, this.search);
    this.root.append(this.body);
    this.root.addEventListener("pointerdown", (event) => // not for the canvas
      event.target.closest("input,select,button,label") && event.stopPropagation());
    this.root.addEventListener("keydown", (event) => { // nor what is typed; shortcuts are ComfyUI's
      if (event.target.matches("input,select") && !isShortcut(event)) event.stopPropagation();
    });
  }

  height = () => (this.known = this.body.offsetHeight || this.known || 60); // 0: not on the page just now

  button(parent, textContent, title, onclick) {
    const made = make("button", FIELD + "cursor:pointer;", { textContent, title, onclick });
    parent.append(made);
    return made;
  }

  /** Whether the buttons that set all sliders may be pressed. */
  allow = (isAllowed) => this.setters.forEach((each) =>
    [(each.disabled = !isAllowed), (each.style.opacity = isAllowed ? "" : "0.5")]);

  say = (text) => (this.status.textContent = text);

  show(blob) {
    const old = this.picture.src, isFirst = !old;
    this.picture.src = URL.createObjectURL(blob);
    if (old) URL.revokeObjectURL(old);
    showing(this.picture, true);
    if (isFirst) this.actions.resized();
  }

  forget = () => [(this.root.dataset.gone = "yes"),
    URL.revokeObjectURL(this.picture.src), this.picture.removeAttribute("src"), this.rest(true)];

  /** Nodes 2.0 puts a panel on the page once; where an undo has made the node `id` anew, the old one may stay. */
  takePlace = (id) => [delete this.root.dataset.gone, this.root.isConnected ||
    document.querySelector(`[data-node-id="${id}"] .cldis-panel[data-gone]`)?.replaceWith(this.root)];

  rest = (isResting) => showing(this.picture, !isResting && this.picture.src);

  showPresets(names) {
    const options = [["", "Presets"], ...names.map((name) => [name, name])];
    this.presets.replaceChildren(...options.map(([value, textContent]) => make("option", "", { value, textContent })));
    showing(this.presets, names.length, "");
  }

  showUnknown = (text) => [showing(this.unknown, text), (this.unknown.textContent = text)];

  /** What a slider does: its lowest, its middle and its highest image. */
  showStrip(slider) {
    showing(this.strip, slider?.strip);
    if (this.shown === slider || !slider?.strip) return;
    this.shown = slider;
    const caption = make("div", "display:flex;justify-content:space-between;");
    caption.append(...[slider.low || "−", slider.name, slider.high || "+"].map((textContent) =>
      make("span", "", { textContent })));
    this.strip.replaceChildren(make("img", "width:100%;height:64px;object-fit:contain;",
      { src: slider.strip, alt: slider.name }), caption);
  }

  /** A small form in place of a dialog; `done` gets the values, true or false for boxes. */
  ask(fields, done) {
    const inputs = fields.map(([, , value]) => (typeof value === "boolean"
      ? make("input", "", { type: "checkbox", checked: value }) : make("input", FIELD, { type: "text", value })));
    const labels = inputs.map((input, index) => {
      const isBox = input.type === "checkbox", text = make("span", "", { textContent: fields[index][1] });
      const label = make("label", isBox ? ROW : COLUMN);
      label.append(...(isBox ? [input, text] : [text, input]));
      return label;
    });
    this.form.replaceChildren(...labels);
    const valueOf = ({ type, checked, value }) => (type === "checkbox" ? checked : value);
    const finish = () => {
      this.closeForm();
      done(Object.fromEntries(fields.map(([key], index) => [key, valueOf(inputs[index])])));
    };
    this.button(this.form, "OK", "", finish);
    this.button(this.form, "Cancel", "", () => this.closeForm());
    this.form.onkeydown = (event) => {
      if (event.isComposing || event.keyCode === 229) return; // a key of the input method
      // On a button, it presses that; as a shortcut, it runs the workflow.
      const isDone = event.key === "Enter" && inputs.includes(event.target) && !isShortcut(event);
      if (!isDone && event.key !== "Escape") return;
      event.stopPropagation(); // Escape would leave the subgraph
      isDone ? finish() : this.closeForm();
    };
    showing(this.form, true, "flex");
    this.actions.resized();
    inputs[0].focus();
  }

  closeForm = () => [showing(this.form, false), this.actions.resized()];
}
