import assert from "node:assert/strict";
import { test } from "node:test";

import { Calls } from "../../host/src/dashboard/assets/run/calls.js";
import { meaning } from "../../host/src/dashboard/assets/run/keys.js";
import { keyOf } from "../../host/src/dashboard/assets/run/tree.js";
import { START, call } from "./calls.mjs";

// The requests read the page's element, of which nothing is there.
globalThis.document = { documentElement: { dataset: {} } };
const { Poll, readAll } = await import("../../host/src/dashboard/assets/run/source.js");

const inside = (seq, parent, fields = {}) => call(seq, { parent, parent_attempt: 1, kind: "http", ...fields });

/** Returns what a run with these calls shows, 100 ms after its start. */
function shownOf(...rows) {
  const calls = new Calls(START, NaN);
  calls.journal.merge(rows);
  calls.update(START + 100);
  return calls;
}

/** Presses a key, and returns the position of the call on which the keyboard is. */
function press(calls, key, { shift = false } = {}) {
  const does = meaning({ key, shift }, calls, 10);
  if (does.expand !== undefined) {
    calls.activate(does.line);
    calls.setExpanded(does.line, does.expand);
    calls.update(calls.now);
  } else if (does.line !== undefined) calls.activate(does.line);
  return calls.lines.seq[calls.activeLine];
}

test("the arrow keys move through the tree, and open and close it", () => {
  const calls = shownOf(call(1), inside(2, 1), inside(3, 1), call(4));
  assert.equal(calls.activeLine, 0);
  const walk = ["ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowRight", "End", "Home"];
  assert.deepEqual(walk.map((key) => press(calls, key)), [2, 3, 1, 1, 4, 1, 1, 2, 4, 1]);
  assert.deepEqual(["PageDown", "ArrowDown", "ArrowRight"].map((key) => press(calls, key)), [4, 4, 4]);
  assert.deepEqual(meaning({ key: "Enter" }, calls, 10), { open: true });
  assert.deepEqual(meaning({ key: "ArrowLeft", shift: true }, calls, 10), { move: -0.2 });
  assert.equal(meaning({ key: "a" }, calls, 10), undefined);
});

test("a tree without calls has no line for the keyboard", () => {
  const calls = shownOf();
  assert.equal(calls.activeLine, -1);
  assert.equal(meaning({ key: "ArrowDown" }, calls, 10), undefined);
});

test("the keyboard stays on its call, and goes to what it is in when it is hidden", () => {
  const calls = shownOf(call(2), inside(3, 2));
  press(calls, "End");
  calls.journal.merge([call(1)]);
  calls.update(START + 100);
  assert.equal(calls.lines.seq[calls.activeLine], 3);
  calls.collapseAll();
  calls.update(START + 100);
  assert.equal(calls.lines.seq[calls.activeLine], 2);
});

test("a call that a link names is shown, whatever is collapsed or searched for", () => {
  const calls = shownOf(call(1, { attempt: 2 }), inside(2, 1), inside(3, 1, { parent_attempt: 2 }), inside(4, 1, { kind: "time" }));
  calls.collapseAll();
  calls.search = { text: "nothing", status: "", kind: "" };
  calls.update(START);
  assert.equal(calls.lines.length, 0);
  assert.equal(calls.reveal(2), true);
  calls.update(START);
  assert.notEqual(calls.lines.indexOf(2), -1);
  assert.equal(calls.active, keyOf(2));
  calls.quiet = false;
  assert.equal(calls.reveal(4), true);
  calls.update(START);
  assert.notEqual(calls.lines.indexOf(4), -1);
  assert.equal(calls.reveal(99), false);
});

test("what a search finds is shown in closed steps, too", () => {
  const calls = shownOf(call(1), inside(2, 1));
  calls.collapseAll();
  calls.search = { text: "#2", status: "", kind: "" };
  calls.update(START);
  assert.deepEqual(calls.lines.seq, [1, 2]);
  assert.equal(calls.found, 1);
  assert.equal(calls.canCollapse(0), false);
  calls.search = { text: "", status: "", kind: "" };
  calls.update(START);
  assert.deepEqual(calls.lines.seq, [1]);
});

test("the shown part of the time stays while the run goes on", () => {
  const calls = shownOf(call(1, { from: 0, to: null }));
  calls.view = { from: 0.2, to: 0.4 };
  calls.update(START + 200);
  assert.ok(Math.abs(calls.view.from - 0.1) < 1e-9 && Math.abs(calls.view.to - 0.2) < 1e-9, JSON.stringify(calls.view));
});

/** Lets the API have these calls, and returns the requests for them. */
function served(rows) {
  const asked = [];
  globalThis.fetch = async (url) => {
    const query = new URL(url, "http://host/").searchParams;
    const [cursor, limit] = [Number(query.get("cursor")), Number(query.get("limit"))];
    asked.push(cursor);
    const after = rows.filter((row) => row.seq > cursor);
    const steps = after.slice(0, limit);
    const body = { steps, next_cursor: after.length > limit ? steps.at(-1).seq : null };
    return new Response(JSON.stringify(body), { status: 200 });
  };
  return asked;
}

test("all calls are read in pages, and a look reads new calls and open ones again", async () => {
  const rows = Array.from({ length: 1_234 }, (_, at) => call(at + 1, { to: at === 700 ? null : at * 10 }));
  const calls = new Calls(START, NaN);
  const take = (records) => calls.journal.merge(records);
  served(rows);
  await readAll("run", rows.length, take);
  assert.equal(calls.journal.size, 1_234);
  const asked = served([...rows.slice(0, 700), call(701), ...rows.slice(701), call(1_235)]);
  await new Poll("run", calls.journal, take).look();
  assert.deepEqual(asked, [1_234, 500]);
  assert.deepEqual([calls.journal.size, calls.journal.open.size], [1_235, 0]);
});
