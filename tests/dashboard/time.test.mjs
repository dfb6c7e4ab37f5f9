import assert from "node:assert/strict";
import { test } from "node:test";

import { relative } from "../../host/src/dashboard/assets/time.js";

test("the time that is left has two units, and the time since has one", () => {
  const now = Date.parse("2026-11-30T12:00:00.000Z");
  const at = (seconds) => relative(new Date(now + seconds * 1_000).toISOString(), now);
  const cases = [
    [-200_000, "2 d ago"],
    [-10, "10 s ago"],
    [1, "now"],
    [42, "in 42 s"],
    [312, "in 5 min 12 s"],
    [7_200, "in 2 h"],
    [3 * 86_400 - 60, "in 2 d 23 h"],
  ];
  for (const [seconds, text] of cases) assert.equal(at(seconds), text);
});
