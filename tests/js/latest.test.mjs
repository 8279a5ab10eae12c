import assert from "node:assert/strict";
import { test } from "node:test";
import { Latest } from "../../comfyui_cldis/web/latest.js";
import { settled } from "./fake.mjs";

function held() {
  const made = { sent: [], shown: [], failed: [], answers: [] };
  made.latest = new Latest(
    (value) => new Promise((done, fail) => { made.sent.push(value); made.answers.push([() => done(value), fail]); }),
    (value) => made.shown.push(value), (error) => made.failed.push(error.message));
  made.answer = async (index) => { made.answers[index][0](); await settled(); };
  return made;
}

test("two requests at a time, and the newest next", async () => {
  const { latest, sent, shown, answer } = held();
  for (const value of [1, 2, 3, 4]) latest.ask(value);
  assert.deepEqual(sent, [1, 2]);
  await answer(0);
  assert.deepEqual(sent, [1, 2, 4]);
  await answer(1);
  await answer(2);
  assert.deepEqual(shown, [1, 2, 4]);
  latest.ask(5);
  assert.deepEqual(sent, [1, 2, 4, 5]);
});

test("an older answer is not shown after a newer one", async () => {
  const { latest, shown, answer } = held();
  latest.ask(1);
  latest.ask(2);
  await answer(1);
  await answer(0);
  assert.deepEqual(shown, [2]);
});

test("a failure is told, and the next one goes out", async () => {
  const { latest, sent, shown, failed, answers, answer } = held();
  for (const value of [1, 2, 3]) latest.ask(value);
  answers[0][1](new Error("no"));
  await settled();
  assert.deepEqual([sent, failed], [[1, 2, 3], ["no"]]);
  await answer(2);
  assert.deepEqual(shown, [3]);
});

test("what has not been sent can be dropped, and the next one goes out", async () => {
  const { latest, sent, shown, answer } = held();
  for (const value of [1, 2, 3]) latest.ask(value);
  latest.drop();
  await answer(0);
  await answer(1);
  assert.deepEqual([sent, shown], [[1, 2], [1, 2]]);
  latest.ask(4);
  assert.deepEqual(sent, [1, 2, 4]);
});
