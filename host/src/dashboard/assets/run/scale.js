// From time to a place on the axis, between 0 and 1, with long idle gaps folded. No DOM.

import { hasScope, isWait } from "./journal.js";

/** The shortest gap that is folded, in milliseconds: shorter ones tell something about the run. */
const SHORTEST_GAP = 5_000;

/** A gap is folded if it takes more than this part of the run's time. */
const GAP_PART = 1 / 50;

/**
 * The time that must be left without the gaps, in milliseconds. Less is mostly the host's own work between two waits: folded, the
 * axis would show that instead of the run.
 */
const LEAST_LEFT = 100;

/** The width of a folded gap, as a part of the time that is not folded. */
const FOLDED_PART = 1 / 40;

/** The width of all folded gaps together is at most this part of the time that is not folded. */
const ALL_FOLDED = 1 / 2;

/**
 * Returns the gaps `[from, to]` in which nothing of a run begins, ends or works: it only waits. A step works while its calls
 * do. There are none if little else is left of the run.
 */
export function idleGaps(journal, from, to, now) {
  const starts = new Float64Array(2 * journal.size + 2);
  const ends = new Float64Array(2 * journal.size + 2);
  let count = 0;
  const busy = (start, end) => {
    starts[count] = start;
    ends[count] = end;
    count += 1;
  };
  busy(from, from);
  busy(to, to);
  for (let seq = 1; seq < journal.rows.length; seq += 1) {
    const row = journal.rows[seq];
    if (row === undefined) continue;
    const [start, end] = [journal.starts[seq], journal.endOf(seq, now)];
    if (hasScope(row) || isWait(row)) {
      busy(start, start);
      busy(end, end);
    } else {
      busy(start, end);
    }
  }
  // Nothing works between the last of some ends and the next start, if all that began before has ended.
  const begun = starts.subarray(0, count).sort();
  const ended = ends.subarray(0, count).sort();
  const shortest = Math.max(SHORTEST_GAP, (to - from) * GAP_PART);
  const gaps = [];
  let left = to - from;
  for (let at = 1; at < count; at += 1) {
    if (begun[at] - ended[at - 1] < shortest) continue;
    gaps.push([ended[at - 1], begun[at]]);
    left -= begun[at] - ended[at - 1];
  }
  return left < LEAST_LEFT ? [] : gaps;
}

/** A monotone map from the time of a run to the places between 0 and 1. */
export class Scale {
  /** The parts of the axis in their order: `time` and `place` where each begins, and whether it is folded. */
  #parts = [];

  /** `gaps` are folded: `[from, to]`, in their order, without overlaps. */
  constructor(from, to, gaps = []) {
    // A run of no time has an axis, too.
    to = Math.max(to, from + 1);
    this.from = from;
    this.to = to;
    const idle = gaps.reduce((sum, [start, end]) => sum + end - start, 0);
    const busy = Math.max(to - from - idle, 1);
    const width = gaps.length === 0 ? 0 : Math.min(FOLDED_PART, ALL_FOLDED / gaps.length) * busy;
    const whole = to - from - idle + width * gaps.length;
    let [time, place] = [from, 0];
    const add = (end, length, folded) => {
      if (end <= time) return;
      this.#parts.push({ time, place, end, length: length / whole, folded });
      [time, place] = [end, place + length / whole];
    };
    for (const [start, end] of gaps) {
      add(start, start - time, false);
      add(end, width, true);
    }
    add(to, to - time, false);
  }

  /** Returns the parts of the axis: `{ time, end, place, length, folded }`. */
  get parts() {
    return this.#parts;
  }

  /** Returns the place of a time. */
  place(time) {
    if (!(time > this.from)) return 0;
    if (time >= this.to) return 1;
    const part = this.#partWith((part) => part.time <= time);
    return part.place + (part.length * (time - part.time)) / (part.end - part.time);
  }

  /** Returns the time at a place. */
  time(place) {
    if (!(place > 0)) return this.from;
    if (place >= 1) return this.to;
    const part = this.#partWith((part) => part.place <= place);
    return part.time + ((part.end - part.time) * (place - part.place)) / part.length;
  }

  /** Returns the last part that begins so; the first part always does. */
  #partWith(begins) {
    let [low, high] = [0, this.#parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (begins(this.#parts[middle])) low = middle;
      else high = middle - 1;
    }
    return this.#parts[low];
  }
}
