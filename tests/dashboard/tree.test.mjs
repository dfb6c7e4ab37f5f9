import assert from "node:assert/strict";
import { test } from "node:test";

import { Journal } from "../../host/src/dashboard/assets/run/journal.js";
import { choices, shown } from "../../host/src/dashboard/assets/run/search.js";
import { COLLAPSED, EXPANDED, LEAF, expandable, flatten, keyOf } from "../../host/src/dashboard/assets/run/tree.js";
import { call, journal } from "./calls.mjs";

/** Returns the lines as texts: the depth as dots, the position, the attempt after a slash. */
function drawn(lines) {
  return lines.seq.map((seq, at) => {
    const attempt = lines.attempt[at] > 0 ? `/${lines.attempt[at]}` : "";
    return `${"·".repeat(lines.level[at] - 1)}${seq}${attempt}`;
  });
}

const inside = (seq, parent, fields = {}) => call(seq, { parent, parent_attempt: 1, kind: "http", ...fields });

test("calls are below the step that has made them", () => {
  const run = journal(call(1), inside(2, 1), inside(3, 1), call(4), inside(5, 4));
  const lines = flatten(run);
  assert.deepEqual(drawn(lines), ["1", "·2", "·3", "4", "·5"]);
  assert.deepEqual(lines.state, [EXPANDED, LEAF, LEAF, EXPANDED, LEAF]);
  assert.deepEqual(lines.parent, [-1, 0, 0, -1, 3]);
  assert.deepEqual(lines.place.map((place, at) => [place, lines.of[at]]), [[1, 2], [1, 2], [2, 2], [2, 2], [1, 1]]);
  assert.equal(lines.indexOf(5), 4);
  assert.equal(lines.indexOf(6), -1);
});

test("a collapsed line hides what is below it", () => {
  const run = journal(call(1), inside(2, 1, { kind: "step" }), inside(3, 2), call(4));
  const lines = flatten(run, { collapsed: new Set([keyOf(1)]) });
  assert.deepEqual(drawn(lines), ["1", "4"]);
  assert.deepEqual(lines.state, [COLLAPSED, LEAF]);
  assert.deepEqual([...expandable(run)].sort(), [1, 2]);
});

test("the calls of a step with several attempts are grouped by attempt", () => {
  const run = journal(
    call(1, { attempt: 3 }),
    inside(2, 1),
    inside(3, 1, { parent_attempt: 2 }),
    inside(4, 1, { parent_attempt: 2 }),
    inside(5, 1, { parent_attempt: null, kind: "compensation" }),
    inside(6, 5),
  );
  const lines = flatten(run);
  assert.deepEqual(drawn(lines), ["1", "·1/1", "··2", "·1/2", "··3", "··4", "·5", "··6"]);
  assert.deepEqual([...expandable(run)].sort((one, other) => one - other), [1, 5, keyOf(1, 1), keyOf(1, 2)]);
  assert.deepEqual(drawn(flatten(run, { collapsed: new Set([keyOf(1, 2)]) })).slice(2, 5), ["··2", "·1/2", "·5"]);
});

test("a row whose parent comes later is at the top level", () => {
  const run = journal(call(1, { parent: 1 }), call(2, { parent: 9 }));
  assert.deepEqual(drawn(flatten(run)), ["1", "2"]);
});

test("calls may be nested deeper than the stack", () => {
  const deep = Array.from({ length: 40_000 }, (_, at) => call(at + 1, { parent: at === 0 ? null : at, parent_attempt: 1 }));
  const lines = flatten(journal(...deep));
  assert.equal(lines.length, 40_000);
  assert.equal(lines.level.at(-1), 40_000);
});

test("rows that come late take their place, and new states replace old ones", () => {
  const run = new Journal();
  assert.deepEqual(run.merge([call(1, { to: null }), call(4)]), [1, 4]);
  run.merge([inside(3, 1), inside(2, 1)]);
  assert.deepEqual(drawn(flatten(run)), ["1", "·2", "·3", "4"]);
  assert.deepEqual([...run.open], [1]);
  const ended = call(1);
  assert.deepEqual(run.merge([ended]), [1]);
  assert.deepEqual(run.merge([ended]), [], "a row that has not changed");
  assert.deepEqual([run.size, run.open.size], [4, 0]);
  assert.deepEqual(run.ancestors(3), [1]);
});

test("a search keeps the calls that fit, and the steps that they are in", () => {
  const run = journal(
    call(1, { step_name: "reserve" }),
    inside(2, 1, { step_name: "POST http://shop/stock" }),
    call(3, { step_name: "charge" }),
    inside(4, 3, { step_name: "POST http://bank/charges", status: "failed", error: "no funds" }),
    inside(5, 3, { kind: "timeout", step_name: "30s" }),
  );
  const found = (search) => {
    const { isShown, found: count } = shown(run, { search });
    return [drawn(flatten(run, { isShown })), count];
  };
  assert.deepEqual(found({ text: "Bank post" }), [["3", "·4"], 1]);
  assert.deepEqual(found({ text: "funds" }), [["3", "·4"], 1]);
  assert.deepEqual(found({ text: "#2" }), [["1", "·2"], 1]);
  assert.deepEqual(found({ status: "failed" }), [["3", "·4"], 1]);
  assert.deepEqual(found({ kind: "http" }), [["1", "·2", "3", "·4"], 2]);
  assert.deepEqual(found({ kind: "http", text: "nothing" }), [[], 0]);
  const calm = shown(run, {});
  assert.deepEqual(drawn(flatten(run, calm)), ["1", "·2", "3", "·4"]);
  assert.equal(calm.found, undefined);
  assert.equal(flatten(run, shown(run, { quiet: true })).length, 5);
  assert.deepEqual(choices(run), { kinds: ["http", "step", "timeout"], statuses: ["completed", "failed"] });
});

test("a run of 40,000 calls is laid out in a fraction of a second", () => {
  const many = Array.from({ length: 40_000 }, (_, at) => {
    const seq = at + 1;
    return seq % 2 === 1 ? call(seq) : inside(seq, seq - 1);
  });
  const run = journal(...many);
  const begun = performance.now();
  for (let round = 0; round < 5; round += 1) flatten(run, shown(run, { search: { text: "s" } }));
  const took = (performance.now() - begun) / 5;
  assert.ok(took < 500, `${took} ms`);
});
