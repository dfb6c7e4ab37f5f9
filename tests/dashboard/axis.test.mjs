import assert from "node:assert/strict";
import { test } from "node:test";

import { bars, placed } from "../../host/src/dashboard/assets/run/bars.js";
import { Scale, idleGaps } from "../../host/src/dashboard/assets/run/scale.js";
import { folds, ticks } from "../../host/src/dashboard/assets/run/ticks.js";
import { WHOLE, across, between, isWhole, moved, zoomed } from "../../host/src/dashboard/assets/run/view.js";
import { START, call, journal, time } from "./calls.mjs";

const HOUR = 3_600_000;
const close = (one, other) => assert.ok(Math.abs(one - other) < 1e-6, `${one} is not ${other}`);

/** Returns the idle gaps of a run, in milliseconds from its start. */
function gaps(run, to) {
  return idleGaps(run, START, START + to, START + to).map((gap) => gap.map((time) => time - START));
}

test("the time in which a run only waits is a gap", () => {
  const run = journal(
    call(1, { from: 0, to: 100 }),
    call(2, { kind: "sleep", from: 100, to: HOUR }),
    call(3, { from: HOUR, to: HOUR + 200 }),
    call(4, { kind: "http", parent: 3, parent_attempt: 1, from: HOUR, to: HOUR + 200 }),
  );
  assert.deepEqual(gaps(run, HOUR + 200), [[100, HOUR]]);
});

test("a request under way is work, whatever waits beside it", () => {
  const run = journal(
    call(1, { kind: "sleep", from: 0, to: HOUR }),
    call(2, { kind: "http", from: 0, to: HOUR - 10 }),
  );
  assert.deepEqual(gaps(run, HOUR), []);
  const open = journal(call(1, { kind: "http", from: 0, to: null }));
  assert.deepEqual(gaps(open, HOUR), []);
});

test("a short wait and a wait that is a small part of a run are no gaps", () => {
  assert.deepEqual(gaps(journal(call(1, { kind: "sleep", from: 0, to: 4_900 })), 4_900), []);
  const run = journal(call(1, { kind: "sleep", from: 0, to: 2_000 }), call(2, { kind: "http", from: 2_000, to: HOUR }));
  assert.deepEqual(gaps(run, HOUR), []);
});

test("nothing is folded of a run that does little but wait", () => {
  const sleeps = (work) => {
    const calls = Array.from({ length: 4 }, (_, at) => call(at + 1, { kind: "sleep", from: at * (6_000 + work) + work, to: (at + 1) * (6_000 + work) }));
    return gaps(journal(...calls), 4 * (6_000 + work));
  };
  assert.deepEqual(sleeps(2), []);
  assert.equal(sleeps(40).length, 4);
});

test("the axis is monotone, and a folded gap is narrow", () => {
  const scale = new Scale(START, START + HOUR + 200, [[START + 100, START + HOUR]]);
  assert.deepEqual([scale.place(START - 5), scale.place(START), scale.place(START + 2 * HOUR)], [0, 0, 1]);
  const [from, to] = [scale.place(START + 100), scale.place(START + HOUR)];
  assert.ok(from > 0.3 && to - from < 0.03 && to < 0.4, `${from} ${to}`);
  for (let at = 0; at <= 1; at += 1 / 64) close(scale.place(scale.time(at)), at);
  let last = -1;
  for (let at = 0; at <= HOUR + 200; at += HOUR / 97) {
    const place = scale.place(START + at);
    assert.ok(place > last);
    last = place;
  }
});

test("an axis without gaps is linear, and a run of no time has one", () => {
  const scale = new Scale(START, START + 1_000);
  close(scale.place(START + 250), 0.25);
  const none = new Scale(START, START);
  assert.deepEqual([none.place(START), none.place(START + 1), none.time(0)], [0, 1, START]);
});

test("many folded gaps leave room for what is between them", () => {
  const many = Array.from({ length: 200 }, (_, at) => [START + at * HOUR + 10, START + (at + 1) * HOUR]);
  const scale = new Scale(START, START + 200 * HOUR + 10, many);
  const folded = scale.parts.filter((part) => part.folded).reduce((sum, part) => sum + part.length, 0);
  assert.ok(folded < 0.5, `${folded}`);
  close(scale.parts.reduce((sum, part) => sum + part.length, 0), 1);
});

test("a view is zoomed around a place and stays on the axis", () => {
  const half = zoomed(WHOLE, 0.5, 0.5);
  assert.deepEqual(half, { from: 0.25, to: 0.75 });
  const near = zoomed(half, 0.5, 0.3);
  close(across(near, 0.3), across(half, 0.3));
  assert.ok(isWhole(zoomed(half, 4)));
  close(moved(half, 1).to, 1);
  close(moved(half, -0.25).from, 0.125);
  assert.deepEqual(between(0.6, 0.2), { from: 0.2, to: 0.6 });
  const smallest = zoomed({ from: 0.5, to: 0.5 + 1e-7 }, 0.001);
  close((smallest.to - smallest.from) / 1e-7, 1);
});

test("marks have round times and enough distance, also beside a folded gap", () => {
  const scale = new Scale(START, START + 1_000);
  assert.deepEqual(ticks(scale, WHOLE, 850).map((mark) => mark.text).slice(0, 3), ["0", "100 ms", "200 ms"]);
  assert.deepEqual(ticks(scale, { from: 0.5, to: 0.6 }, 850)[1].text, "510 ms");
  const folded = new Scale(START, START + HOUR + 200, [[START + 100, START + HOUR]]);
  const marks = ticks(folded, WHOLE, 900);
  for (let at = 1; at < marks.length; at += 1) assert.ok((marks[at].at - marks[at - 1].at) * 900 > 40, JSON.stringify(marks));
  assert.equal(marks[0].text, "0");
  assert.match(marks.at(-1).text, /^1 h/);
  // Texts are about 6 pixels for each character, and do not touch.
  const gap = new Scale(START, START + 9 * HOUR, [[START + HOUR + 7_250, START + 8 * HOUR + 61_111]]);
  for (let width = 200; width <= 1_200; width += 50) {
    const ends = ticks(gap, WHOLE, width).map(({ at, text, isBefore }) => {
      const from = at * width - (isBefore ? text.length * 6 : 0);
      return [from, from + text.length * 6];
    });
    for (let at = 1; at < ends.length; at += 1) assert.ok(ends[at][0] > ends[at - 1][1], `${width}: ${JSON.stringify(ends)}`);
    assert.ok(ends.at(-1)[1] <= width, `${width}: ${JSON.stringify(ends)}`);
  }
  const [fold] = folds(folded, WHOLE);
  assert.equal(fold.milliseconds, HOUR - 100);
  assert.deepEqual(folds(folded, { from: 0.9, to: 1 }), []);
});

test("marks of any zoom are few", () => {
  const scale = new Scale(START, START + 365 * 24 * HOUR);
  for (let view = WHOLE; view.to - view.from > 1e-6; view = zoomed(view, 0.3)) {
    const number = ticks(scale, view, 1_000).length;
    assert.ok(number <= 100, `${number}`);
  }
});

test("a bar is work, a wait or code of the workflow", () => {
  const now = START + 1_000;
  const run = journal(call(1, { from: 0, to: 50 }), call(2, { kind: "http", from: 10, to: 20 }), call(3, { kind: "event", to: null }));
  const drawn = (seq, attempt = 0) => bars(run, seq, attempt, now).map(({ from, to, what }) => [from - START, to - START, what]);
  assert.deepEqual(drawn(1), [[0, 50, "scope"]]);
  assert.deepEqual(drawn(2), [[10, 20, "work"]]);
  assert.deepEqual(drawn(3), [[30, 1_000, "wait"]]);
});

test("the bars of a step with several attempts show the waits between them", () => {
  const inside = (seq, parent_attempt, from, to) => call(seq, { parent: 1, parent_attempt, kind: "http", from, to });
  const run = journal(call(1, { attempt: 2, from: 0, to: 900 }), inside(2, 1, 10, 100), inside(3, 2, 600, 880));
  const drawn = (seq, attempt, now) => bars(run, seq, attempt, now).map(({ from, to, what }) => [from - START, to - START, what]);
  assert.deepEqual(drawn(1, 0, START), [[0, 100, "scope"], [100, 600, "wait"], [600, 900, "scope"]]);
  assert.deepEqual(drawn(1, 2, START), [[600, 880, "scope"]]);
  // The next attempt has not begun.
  run.merge([call(1, { attempt: 2, from: 0, to: null, wake_at: time(9_000) })]);
  assert.deepEqual(drawn(1, 0, START + 1_000).at(-1), [880, 1_000, "wait"]);
});

test("a bar outside of the view is not drawn, and one that crosses its edge is cut", () => {
  const scale = new Scale(START, START + 1_000);
  const view = { from: 0.5, to: 1 };
  assert.equal(placed({ from: START, to: START + 400 }, scale, view), undefined);
  assert.deepEqual(placed({ from: START, to: START + 750 }, scale, view), { left: 0, width: 0.5 });
});
