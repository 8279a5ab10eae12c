// What stands above the sliders: the picture, what a slider does, and the buttons. DOM only.

const make = (tag, style, props = {}) => {
  const element = Object.assign(document.createElement(tag), props);
  element.style.cssText = style;
  return element;
};
const FIELD = "background:var(--comfy-input-bg,#222);color:var(--input-text,#ddd);" +
  "border:1px solid var(--border-color,#4e4e4e);border-radius:4px;padding:2px 6px;font-size:11px;";
const ROW = "display:flex;gap:4px;flex-wrap:wrap;align-items:center;";

export const PICTURE_HEIGHT = 256;

/** Elements by name; `actions` are called when a button is pressed. */
export class Panel {
  constructor(actions) {
    this.root = make("div", "display:flex;flex-direction:column;gap:4px;overflow:hidden;" +
      "font-size:11px;color:var(--input-text,#ddd);padding:2px 4px;box-sizing:border-box;");
    this.picture = make("img", `height:${PICTURE_HEIGHT}px;width:100%;object-fit:contain;` +
      "background:var(--comfy-input-bg,#222);border-radius:4px;display:none;", { alt: "" });
    this.picture.dataset.cldis = "picture";
    this.status = make("div", "color:var(--descrip-text,#999);min-height:14px;");
    this.status.dataset.cldis = "status";
    this.strip = make("div", "display:none;");
    this.unknown = make("div", "color:var(--descrip-text,#777);display:none;");
    this.buttons = make("div", ROW);
    for (const [name, title, action] of [
      ["Reset", "All sliders to zero", actions.reset],
      ["Randomise", "Chance amounts within the safe ranges", actions.randomise],
    ]) this.button(this.buttons, name, title, action);
    this.presets = make("select", FIELD + "max-width:110px;", { title: "Saved edits" });
    this.presets.addEventListener("change", () => {
      if (this.presets.value) actions.choosePreset(this.presets.value);
      this.presets.value = "";
    });
    this.buttons.append(this.presets);
    this.button(this.buttons, "Save", "Save the edits as a preset", () =>
      this.ask([["name", "Name of the preset", ""]], ({ name }) => actions.savePreset(name)));
    this.button(this.buttons, "Rename", "Name or turn round the slider moved last", actions.rename);
    this.button(this.buttons, "Text", "Show the edits as text", actions.toggleText);
    this.search = make("input", FIELD + "display:none;", { placeholder: "Search sliders" });
    this.search.addEventListener("input", () => actions.search(this.search.value));
    this.form = make("div", ROW + "display:none;");
    this.root.append(this.picture, this.status, this.strip, this.unknown, this.buttons, this.form,
      this.search);
    // Typing and dragging in here is not for the canvas.
    for (const type of ["pointerdown", "keydown", "wheel"]) {
      this.root.addEventListener(type, (event) => {
        if (type !== "wheel" && event.target.matches("input,select,button")) event.stopPropagation();
      });
    }
  }

  button(parent, text, title, action) {
    const button = make("button", FIELD + "cursor:pointer;", { textContent: text, title });
    button.addEventListener("click", action);
    parent.append(button);
    return button;
  }

  say(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  show(blob) {
    const old = this.picture.src;
    this.picture.src = URL.createObjectURL(blob);
    this.picture.style.display = "block";
    if (old) URL.revokeObjectURL(old);
  }

  showPresets(names) {
    const option = (value, text) => Object.assign(document.createElement("option"),
      { value, textContent: text });
    this.presets.replaceChildren(option("", "Presets"), ...names.map((name) => option(name, name)));
    this.presets.style.display = names.length ? "" : "none";
  }

  showUnknown(names) {
    this.unknown.textContent = `Kept for a model that has them: ${names.join(", ")}`;
    this.unknown.style.display = names.length ? "" : "none";
  }

  /** What a slider does: its lowest, its middle and its highest image. */
  showStrip(slider) {
    if (this.shown === slider) return;
    this.shown = slider;
    this.strip.style.display = slider?.strip ? "block" : "none";
    if (!slider?.strip) return;
    const caption = make("div", "display:flex;justify-content:space-between;");
    for (const text of [slider.low || "−", slider.name, slider.high || "+"]) {
      caption.append(make("span", "", { textContent: text }));
    }
    const image = make("img", "width:100%;max-height:96px;object-fit:contain;",
      { src: slider.strip, alt: slider.name });
    this.strip.replaceChildren(image, caption);
  }

  /** A small form in place of a dialog; `done` gets the values, whose boxes are true or false. */
  ask(fields, done) {
    const inputs = fields.map(([key, title, value]) => {
      const isBox = typeof value === "boolean";
      const input = make("input", FIELD + (isBox ? "" : "width:84px;"),
        { type: isBox ? "checkbox" : "text", placeholder: title, title, value, checked: value === true });
      const label = make("label", "", { title });
      if (isBox) label.append(input, title);
      return [key, input, isBox ? label : input];
    });
    this.form.replaceChildren(...inputs.map(([, , shown]) => shown));
    const close = () => (this.form.style.display = "none");
    const finish = () => {
      close();
      done(Object.fromEntries(inputs.map(([key, input]) =>
        [key, input.type === "checkbox" ? input.checked : input.value])));
    };
    this.button(this.form, "OK", "", finish);
    this.button(this.form, "Cancel", "", close);
    this.form.onkeydown = (event) => {
      if (event.key === "Enter") finish();
      if (event.key === "Escape") close();
    };
    this.form.style.display = "flex";
    inputs[0][1].focus();
  }
}
