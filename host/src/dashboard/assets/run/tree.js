// From the calls of a run to the lines of its tree. No DOM.

/** A line without calls below it. */
export const LEAF = 0;
/** A line whose calls are not shown. */
export const COLLAPSED = 1;
/** A line whose calls follow it. */
export const EXPANDED = 2;

/** Returns the key of a line: of a call, or of an attempt of a step. */
export function keyOf(seq, attempt = 0) {
  return attempt * 2 ** 32 + seq;
}

/** The shown lines of a tree, as parallel lists: a run may have many thousands. */
export class Lines {
  /** The position of the call; of an attempt, that of its step. */
  seq = [];
  /** The number of the attempt whose calls follow; 0 if the line is a call. */
  attempt = [];
  /** The depth, from 1. */
  level = [];
  /** The line that it is below; -1 at the top level. */
  parent = [];
  /** Its place among the lines below the same line, from 1, and their number. */
  place = [];
  of = [];
  /** `LEAF`, `COLLAPSED` or `EXPANDED`. */
  state = [];
  #lineOf = new Map();

  get length() {
    return this.seq.length;
  }

  /** Returns the line of a call or an attempt; -1 if it is not shown. */
  indexOf(seq, attempt = 0) {
    return this.#lineOf.get(keyOf(seq, attempt)) ?? -1;
  }

  /** Returns the key of a line. */
  keyAt(index) {
    return keyOf(this.seq[index], this.attempt[index]);
  }

  push(seq, attempt, level, parent, place, of, state) {
    this.#lineOf.set(keyOf(seq, attempt), this.seq.length);
    this.seq.push(seq);
    this.attempt.push(attempt);
    this.level.push(level);
    this.parent.push(parent);
    this.place.push(place);
    this.of.push(of);
    this.state.push(state);
  }
}

/**
 * Returns the calls below a call. The calls of a step with several attempts are in groups, `{ attempt, calls }`; the others
 * are positions.
 */
export function callsBelow(journal, seq, isShown) {
  const calls = journal.below.get(seq);
  if (calls === undefined) return [];
  const shown = isShown === undefined ? calls : calls.filter(isShown);
  const step = journal.rows[seq];
  if (step === undefined || step.attempt <= 1) return shown;
  const entries = [];
  let last = null;
  for (const call of shown) {
    const row = journal.rows[call];
    const attempt = row.kind === "compensation" ? null : row.parent_attempt;
    if (attempt == null) entries.push(call);
    else if (attempt === last) entries.at(-1).calls.push(call);
    else entries.push({ attempt, calls: [call] });
    last = attempt ?? null;
  }
  return entries;
}

/**
 * Returns the lines of the tree. `collapsed` has the keys of the lines whose calls are not shown, and `isShown` tells which
 * calls are shown.
 */
export function flatten(journal, { collapsed = new Set(), isShown } = {}) {
  const lines = new Lines();
  // A workflow can nest calls deeper than the stack of the interpreter.
  const stack = [{ entries: callsBelow(journal, 0, isShown), at: 0, level: 1, parent: -1, step: 0 }];
  while (stack.length > 0) {
    const frame = stack[stack.length - 1];
    if (frame.at === frame.entries.length) {
      stack.pop();
      continue;
    }
    const entry = frame.entries[frame.at];
    frame.at += 1;
    const isGroup = typeof entry === "object";
    const seq = isGroup ? frame.step : entry;
    const attempt = isGroup ? entry.attempt : 0;
    const entries = isGroup ? entry.calls : callsBelow(journal, entry, isShown);
    const isCollapsed = collapsed.has(keyOf(seq, attempt));
    const state = entries.length === 0 ? LEAF : isCollapsed ? COLLAPSED : EXPANDED;
    lines.push(seq, attempt, frame.level, frame.parent, frame.at, frame.entries.length, state);
    if (state === EXPANDED) {
      stack.push({ entries, at: 0, level: frame.level + 1, parent: lines.length - 1, step: seq });
    }
  }
  return lines;
}

/** Returns the keys of all lines that have calls below them. */
export function expandable(journal) {
  const keys = new Set();
  for (const seq of journal.below.keys()) {
    if (seq === 0) continue;
    keys.add(keyOf(seq));
    if (journal.rows[seq]?.attempt > 1) {
      for (const entry of callsBelow(journal, seq)) {
        if (typeof entry === "object") keys.add(keyOf(seq, entry.attempt));
      }
    }
  }
  return keys;
}
