// The text of the input `edits` <-> the amounts that sliders show. No DOM, no ComfyUI.
//
// Edits are written with the names, and in the sense, of the model file (`id`), so that a workflow
// means the same to everybody; `flipped` sliders show the negative. Directions of a model that was
// connected before are kept as "#name", which Python passes over, until a model that has them is back.
const PARKED = "#";

/**
 * {amounts: {id: number}, parked: {name: number}, unknown: {name: number}, back: [name], isOld}, or null
 * for text that sliders cannot show. `unknown` are names without a slider that are not parked, `back`
 * those that were, and that change the image now; `isOld` is a text with names that are parked no more.
 * Unless it `isSure` that a run takes the model of these sliders, none comes back.
 */
export function readEdits(text, sliders, isSure = true) {
  let found;
  try {
    found = JSON.parse(text.trim() || "{}");
  } catch {
    return null;
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) return null;
  const amounts = {}, parked = {}, unknown = {}, returned = [];
  for (const [key, amount] of Object.entries(found)) {
    if (typeof amount !== "number") return null;
    const isParked = key.startsWith(PARKED), name = isParked ? key.slice(1) : key;
    const slider = sliderOf(name, sliders);
    const own = slider && (slider.id === name || !slider.flipped ? amount : -amount);
    if (isParked && (!slider || !isSure)) parked[name] = amount;
    else if (!slider) unknown[name] = amount;
    else if (!isParked) amounts[slider.id] = own;
    else returned.push([name, slider.id, own]);
  }
  const back = [];
  for (const [name, id, own] of returned) {
    if (id in amounts) continue; // the text gives it twice
    amounts[id] = own;
    if (own) back.push(name);
  }
  return { amounts, parked, unknown, back, isOld: returned.length > 0 };
}

/** The slider that a text means by a name: that of the model file, or else somebody's own. */
export const sliderOf = (name, sliders) =>
  sliders.find((each) => each.id === name) ?? sliders.find((each) => each.name === name);

const marked = (parked) => Object.fromEntries(Object.entries(parked).map(([name, amount]) => [PARKED + name, amount]));

/** The text for amounts; those of 0 are left out. */
export const writeEdits = ({ amounts, parked, unknown = {} }) => JSON.stringify({
  ...Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount)), ...unknown, ...marked(parked),
});

/** The text of a preset, which may be a list with the edits of each image, and of what is kept beside it. */
export function withKept(preset, { parked, unknown }) {
  const both = (edits) => ({ ...unknown, ...edits, ...marked(parked) });
  return JSON.stringify(Array.isArray(preset) ? preset.map(both) : both(preset));
}

/** What is to be said of names that have no slider. */
export function aboutNames({ parked, unknown }, isSure) {
  const [kept, wrong] = [parked, unknown].map((names) => Object.keys(names).join(", "));
  const why = isSure ? `The model has no ${wrong}, so a run stops. Press Text and correct it.`
    : `These sliders have no ${wrong}. Run once; then they are those of the model that runs.`;
  const them = Object.keys(parked).length === 1 ? "it" : "them";
  return [kept && `Kept for a model that has ${them}: ${kept}.`, wrong && why].filter(Boolean).join(" ");
}

/** An amount as a slider shows it -> as it is written, or back. */
export const turned = (slider, amount) => (slider.flipped && amount !== 0 ? -amount : amount);

/** Rounded, and 0 when a slider shows hardly more. */
export const snapped = ({ min, max }, amount) =>
  Math.abs(amount) < Math.min(0.02, (max - min) / 100) ? 0 : Math.round(amount * 1000) / 1000;

/** Amounts within the safe ranges of the sliders, most of them small. */
export function randomAmounts(sliders, random = Math.random) {
  const draw = ({ min, max }, share) => (share < 0 ? -share * min : share * max);
  return Object.fromEntries(sliders.map((each) =>
    [each.id, turned(each, snapped(each, draw(each, random() + random() - 1)))]));
}

/** "light: dark ... bright", or the name alone where the ends are not known. */
export const labelOf = ({ name, low, high }) => (low || high ? `${name}: ${low} … ${high}` : name);

/** The stops of a track that is brightest at zero. */
export function gradientOf({ min, max }) {
  const zero = -min / (max - min), dark = [58, 62, 70], mark = [235, 235, 235];
  const at = (offset, color) => ({ offset: Math.min(1, Math.max(0, offset)), color });
  return [at(0, [72, 110, 168]), at(zero - 0.012, dark), at(zero - 0.011, mark), at(zero + 0.011, mark),
    at(zero + 0.012, dark), at(1, [190, 120, 70])];
}
