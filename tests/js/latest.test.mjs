import assert from "node:assert/strict";
import { test } from "node:test";
import { Latest } from "../../comfyui_cldis/web/latest.js";
import { settled } from "./fake.mjs";

test("one request at a time, and the newest next", async () => {
  const sent = [], shown = [], answers = [];
  const send = (value) => new Promise((done) => { sent.push(value); answers.push(() => done(value)); });
  const latest = new Latest(send, (value) => shown.push(value), assert.fail);
  for (const value of [1, 2, 3, 4]) latest.ask(value);
  assert.deepEqual(sent, [1]);
  answers[0]();
  await settled();
  assert.deepEqual(sent, [1, 4]);
  answers[1]();
  await settled();
  assert.deepEqual(shown, [1, 4]);
  latest.ask(5);
  assert.deepEqual(sent, [1, 4, 5]);
});

test("a failure is told, and the next one goes out", async () => {
  const shown = [], failed = [];
  const send = async (value) => { if (value === 1) throw new Error("no"); return value; };
  const latest = new Latest(send, (value) => shown.push(value), (error) => failed.push(error.message));
  latest.ask(1);
  latest.ask(2);
  await settled();
  assert.deepEqual([shown, failed], [[2], ["no"]]);
});

test("after it is closed nothing is shown", async () => {
  const latest = new Latest(async (value) => value, assert.fail, assert.fail);
  latest.ask(1);
  latest.close();
  await settled();
});
