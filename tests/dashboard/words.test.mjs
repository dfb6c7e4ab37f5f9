import assert from "node:assert/strict";
import { test } from "node:test";

import { count, duration, facts, label, offset, size } from "../../host/src/dashboard/assets/run/words.js";

test("durations have the words of the command line", () => {
  const cases = [
    [0, "0 ms"],
    [999, "999 ms"],
    [1_240, "1.24 s"],
    [59_999, "59.9 s"],
    [125_000, "2 min 5 s"],
    [11_520_000, "3 h 12 min"],
    [183_600_000, "2 d 3 h"],
  ];
  for (const [milliseconds, text] of cases) assert.equal(duration(milliseconds), text);
});

test("sizes and numbers have units and nouns", () => {
  assert.deepEqual([812, 75_900, 1_300_000].map(size), ["812 B", "74.1 KiB", "1.2 MiB"]);
  assert.deepEqual([count(1, "call"), count(40_000, "call")], ["1 call", "40,000 calls"]);
});

test("a mark of the axis has as many decimals as the marks beside it need", () => {
  assert.equal(offset(0, 100), "0");
  assert.equal(offset(250, 50), "250 ms");
  assert.equal(offset(1_250, 50), "1.25 s");
  assert.equal(offset(1_500, 500), "1.5 s");
  assert.equal(offset(90_000, 30_000), "1 min 30 s");
  assert.equal(offset(3_600_000, 600_000), "1 h");
  assert.equal(offset(90_000_000, 3_600_000), "1 d 1 h");
});

test("a call is named by its kind unless its name tells it", () => {
  const call = (kind, step_name) => label({ kind, step_name });
  assert.deepEqual(call("step", "charge"), { kind: "", name: "charge" });
  assert.deepEqual(call("compensation", "charge"), { kind: "undo", name: "charge" });
  assert.deepEqual(call("send_event", "approval"), { kind: "send event", name: "approval" });
});

test("only a call that goes on tells the time that is left", () => {
  const step = { kind: "step", status: "running", attempt: 3 };
  assert.deepEqual(facts(step, 61_000, 1_000), ["3 attempts", "next attempt in 1 min 0 s"]);
  assert.deepEqual(facts({ ...step, status: "completed" }, 61_000, 1_000), ["3 attempts"]);
  assert.deepEqual(facts({ kind: "sleep", status: "running", attempt: 1 }, 3_000, 1_000), ["2.00 s left"]);
  assert.deepEqual(facts({ kind: "step", status: "failed", attempt: 1, optional: true }, NaN, 0), ["optional"]);
});
