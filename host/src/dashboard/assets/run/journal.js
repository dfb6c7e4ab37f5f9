// The calls of a run, as far as the page has them. No DOM.

/** Returns the milliseconds since 1970 of a time of the API; NaN if there is none. */
function milliseconds(time) {
  return time == null ? NaN : Date.parse(time);
}

/** Returns whether a call has begun and not ended. */
export function isOpen(row) {
  return row.status === "running" || row.status === "pending";
}

/** Returns whether a call contains code of the workflow, and so calls of its own. */
export function hasScope(row) {
  return row.kind === "step" || row.kind === "compensation";
}

/** Returns whether a call only waits: for a time, an event or another run. */
export function isWait(row) {
  return row.kind === "sleep" || row.kind === "timeout" || row.kind === "event" || row.kind === "child";
}

/** Returns whether a call says nothing beside what it bounds or measures: reads of the clock and timers of timeouts. */
export function isQuiet(row) {
  return row.kind === "time" || row.kind === "timeout";
}

/** The calls of a run by their position. Position 0 is the body of the workflow. */
export class Journal {
  /** The records of the API. Positions that are not known have none. */
  rows = [];
  /** When each call began and ended, and when its timer ends; NaN if that is not known. */
  starts = [];
  ends = [];
  wakes = [];
  /** The positions of the calls that each call has made, in their order. */
  below = new Map();
  /** The positions of the calls that have not ended. */
  open = new Set();
  /** The number of calls. */
  size = 0;
  /** When the last call began or ended: a little after the run, if the clocks of two nodes differ. */
  latest = 0;

  /** Takes records over: new ones, and new states of known ones. Returns the positions of those that changed. */
  merge(records) {
    const changed = [];
    for (const row of records) {
      const { seq } = row;
      if (this.rows[seq] === row) continue;
      if (this.rows[seq] === undefined) this.#add(row);
      this.rows[seq] = row;
      this.starts[seq] = milliseconds(row.started_at);
      this.ends[seq] = milliseconds(row.completed_at);
      this.wakes[seq] = milliseconds(row.wake_at);
      this.latest = Math.max(this.latest, this.starts[seq], this.ends[seq] || 0);
      if (isOpen(row)) this.open.add(seq);
      else this.open.delete(seq);
      changed.push(seq);
    }
    return changed;
  }

  #add(row) {
    this.size += 1;
    const parent = this.parentOf(row);
    const siblings = this.below.get(parent);
    if (siblings === undefined) {
      this.below.set(parent, [row.seq]);
      return;
    }
    // Pages come in order. A row that comes late takes its place.
    let at = siblings.length;
    while (at > 0 && siblings[at - 1] > row.seq) at -= 1;
    siblings.splice(at, 0, row.seq);
  }

  /** Returns the position of the call that has made this one; 0 for the body of the workflow. */
  parentOf(row) {
    // A parent has a lower position than its calls. A row that contradicts this is at the top level.
    return row.parent != null && row.parent < row.seq ? row.parent : 0;
  }

  /** Returns when a call ended, or `now` if it goes on. */
  endOf(seq, now) {
    const end = this.ends[seq];
    if (!Number.isNaN(end)) return end;
    return this.open.has(seq) ? Math.max(now, this.starts[seq]) : this.starts[seq];
  }

  /** Returns the positions of the calls that this one is in, from the inside out. */
  ancestors(seq) {
    const found = [];
    for (let row = this.rows[seq]; row !== undefined; row = this.rows[found.at(-1)]) {
      const parent = this.parentOf(row);
      if (parent === 0) break;
      found.push(parent);
    }
    return found;
  }
}
