// The bars of a line on the time axis. No DOM.

import { hasScope, isWait } from "./journal.js";
import { callsBelow } from "./tree.js";
import { across } from "./view.js";

/** Returns the time that calls take together. */
function extent(journal, calls, now) {
  let [from, to] = [Infinity, -Infinity];
  for (const seq of calls) {
    from = Math.min(from, journal.starts[seq]);
    to = Math.max(to, journal.endOf(seq, now));
  }
  return { from, to };
}

/** Returns the attempts of a step that have made calls: `{ attempt, from, to }`. */
export function attempts(journal, seq, now) {
  return callsBelow(journal, seq)
    .filter((entry) => typeof entry === "object")
    .map(({ attempt, calls }) => ({ attempt, ...extent(journal, calls, now) }));
}

/**
 * Returns the bars of a line: `{ from, to, what }` in milliseconds. `what` is `scope` for code of the workflow, `work` for a
 * request, and `wait` for a timer, an event, a child, or the time between two attempts.
 */
export function bars(journal, seq, attempt, now) {
  const row = journal.rows[seq];
  if (attempt > 0) {
    const own = attempts(journal, seq, now).find((group) => group.attempt === attempt);
    return own === undefined ? [] : [{ from: own.from, to: own.to, what: "scope" }];
  }
  const whole = { from: journal.starts[seq], to: journal.endOf(seq, now) };
  if (!hasScope(row)) return [{ ...whole, what: isWait(row) ? "wait" : "work" }];
  if (row.attempt <= 1 && !(journal.wakes[seq] > now)) return [{ ...whole, what: "scope" }];
  // The first attempt begins with the step, and the last one ends with it, unless the next one is still to come.
  const pieces = attempts(journal, seq, now);
  const found = [];
  let from = whole.from;
  pieces.forEach((piece, index) => {
    const isLast = index === pieces.length - 1;
    const waits = isLast && journal.wakes[seq] > now;
    const start = index === 0 ? whole.from : piece.from;
    const end = isLast && !waits ? whole.to : piece.to;
    if (start > from) found.push({ from, to: start, what: "wait" });
    found.push({ from: start, to: end, what: "scope" });
    from = end;
  });
  if (found.length === 0) return [{ ...whole, what: "scope" }];
  if (whole.to > from) found.push({ from, to: whole.to, what: "wait" });
  return found;
}

/** Returns where a bar is in a view: `{ left, width }`, as parts of its width; `undefined` if it is outside of it. */
export function placed(bar, scale, view) {
  const left = across(view, scale.place(bar.from));
  const right = across(view, scale.place(bar.to));
  if (right < 0 || left > 1) return undefined;
  const [from, to] = [Math.max(0, left), Math.min(1, right)];
  return { left: from, width: to - from };
}
