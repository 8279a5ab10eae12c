// The text of the input `edits` <-> the amounts that sliders show. No DOM, no ComfyUI.
//
// Edits are written with the names, and in the sense, of the model file (`id`), so that a workflow
// means the same to everybody; `flipped` sliders show the negative. Directions that the connected
// model lacks are kept as "#name", which Python passes over, until a model that has them is back.
const PARKED = "#";

/** {amounts: {id: number}, parked: {name: number}}, or null for text that sliders cannot show. */
export function readEdits(text, sliders) {
  let found;
  try {
    found = JSON.parse(text.trim() || "{}");
  } catch {
    return null;
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) return null;
  const amounts = {}, parked = {};
  for (const [key, amount] of Object.entries(found)) {
    if (typeof amount !== "number") return null;
    const name = key.startsWith(PARKED) ? key.slice(1) : key;
    const byId = sliders.find((each) => each.id === name);
    const slider = byId ?? sliders.find((each) => each.name === name);
    if (slider) amounts[slider.id] = byId || !slider.flipped ? amount : -amount;
    else parked[name] = amount;
  }
  return { amounts, parked };
}

/** The text for amounts; those of 0 are left out. */
export function writeEdits({ amounts, parked }) {
  const away = Object.entries(parked).map(([name, amount]) => [PARKED + name, amount]);
  return JSON.stringify(Object.fromEntries([...Object.entries(amounts).filter(([, each]) => each), ...away]));
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
