import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutNames, gradientOf, labelOf, randomAmounts, readEdits, snapped, turned, withKept, writeEdits }
  from "../../comfyui_cldis/web/edits.js";
import { SLIDERS } from "./fake.mjs";

test("text is read and written without loss", () => {
  const text = '{"light":1.5,"#smile":2}';
  assert.equal(writeEdits(readEdits(text, SLIDERS)), text);
  assert.deepEqual(readEdits("  ", SLIDERS), { amounts: {}, parked: {}, unknown: {}, back: [], isOld: false });
  assert.equal(writeEdits(readEdits('{"light": 0}', SLIDERS)), "{}");
});

test("unknown names stay as they are; what is parked comes back with a model that surely has it", () => {
  assert.equal(writeEdits(readEdits('{"smile": 2, "light": 1}', SLIDERS)), '{"light":1,"smile":2}');
  const smile = { id: "smile", name: "smile", min: -1, max: 1 };
  assert.equal(writeEdits(readEdits('{"#smile":2}', [smile])), '{"smile":2}');
  assert.equal(writeEdits(readEdits('{"#smile":2}', [smile], false)), '{"#smile":2}');
  for (const both of ['{"#smile":2,"smile":1}', '{"smile":1,"#smile":2}'])
    assert.equal(writeEdits(readEdits(both, [smile])), '{"smile":1}');
});

test("what comes back is named only where it changes the image", () => {
  const found = (text) => { const { amounts, back, isOld } = readEdits(text, SLIDERS); return [amounts, back, isOld]; };
  assert.deepEqual(found('{"#sleeve":1,"#light":0}'), [{ "shape 3": -1, light: 0 }, ["sleeve"], true]);
  for (const both of ['{"#light":2,"light":1}', '{"light":1,"#light":2}'])
    assert.deepEqual(found(both), [{ light: 1 }, [], true], both);
  assert.deepEqual(found('{"light":1,"#smile":2}'), [{ light: 1 }, [], false]);
});

test("presets of one image and of several keep what is parked, and what may be right", () => {
  const kept = { parked: { smile: 2 }, unknown: { grin: 1 } };
  assert.equal(withKept({ light: 1 }, kept), '{"grin":1,"light":1,"#smile":2}');
  assert.equal(withKept({ grin: 3 }, kept), '{"grin":3,"#smile":2}');
  assert.equal(withKept([{ light: 1 }, {}], { ...kept, unknown: {} }), '[{"light":1,"#smile":2},{"#smile":2}]');
});

test("names without a slider are named, with what to do", () => {
  assert.equal(aboutNames(readEdits('{"light": 1}', SLIDERS), true), "");
  assert.equal(aboutNames(readEdits('{"#smile": 1}', SLIDERS), true), "Kept for a model that has it: smile.");
  assert.equal(aboutNames(readEdits('{"#smile": 1, "#tail": 1}', SLIDERS), true), "Kept for a model that has them: smile, tail.");
  assert.match(aboutNames(readEdits('{"lihgt": 1}', SLIDERS), true), /no lihgt, so a run stops. Press Text/);
  assert.match(aboutNames(readEdits('{"smile": 1}', SLIDERS), false), /no smile. Run once/);
});

test("a name of one's own means the same as what is written, turned where it is flipped", () => {
  assert.deepEqual(readEdits('{"sleeve": 1}', SLIDERS).amounts, { "shape 3": -1 });
  assert.deepEqual(readEdits('{"shape 3": 1}', SLIDERS).amounts, { "shape 3": 1 });
  assert.equal(turned(SLIDERS[1], 1), -1);
  assert.equal(Object.is(turned(SLIDERS[1], 0), 0), true);
});

test("text that sliders cannot show is left alone", () => {
  for (const text of ["{", "[]", "3", "null", '{"light": "1"}', '[{"light": 1}]']) {
    assert.equal(readEdits(text, SLIDERS), null, text);
  }
});

test("amounts near zero are zero, all others rounded", () => {
  assert.equal(snapped(SLIDERS[0], 0.01), 0);
  assert.equal(snapped(SLIDERS[0], -0.03), -0.03); // somebody typed it, and reads it in the slider
  assert.equal(snapped(SLIDERS[0], -1.23456), -1.235);
});

test("chance stays within the safe ranges", () => {
  for (const chance of [0, 0.25, 0.5, 0.75, 1]) {
    const amounts = randomAmounts(SLIDERS, () => chance);
    for (const slider of SLIDERS) {
      const shown = turned(slider, amounts[slider.id]);
      assert.ok(shown >= slider.min && shown <= slider.max, `${slider.id} ${shown}`);
    }
  }
  assert.deepEqual(randomAmounts(SLIDERS, () => 1), { light: 3, "shape 3": -2 });
  assert.deepEqual(randomAmounts(SLIDERS, () => 0), { light: -2, "shape 3": 1 });
});

test("labels have both ends, tracks a mark at zero", () => {
  assert.equal(labelOf(SLIDERS[0]), "light: left … right");
  assert.equal(labelOf({ name: "x", low: "", high: "" }), "x");
  const stops = gradientOf(SLIDERS[0]);
  assert.ok(stops.every(({ offset }, i) => offset >= 0 && offset <= 1 && (!i || offset >= stops[i - 1].offset)));
  assert.ok(Math.abs((stops[2].offset + stops[3].offset) / 2 - 0.4) < 1e-9);
});
