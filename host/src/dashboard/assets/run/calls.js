// What the tree of the calls shows: which lines, and which part of the time. No DOM.

import { Journal } from "./journal.js";
import { Scale, idleGaps } from "./scale.js";
import { shown } from "./search.js";
import { COLLAPSED, EXPANDED, expandable, flatten, keyOf } from "./tree.js";
import { WHOLE, isWhole } from "./view.js";

const NO_SEARCH = Object.freeze({ text: "", status: "", kind: "" });

/** The calls of a run as they are shown. */
export class Calls {
  journal = new Journal();
  search = NO_SEARCH;
  /** Whether reads of the clock and timers of timeouts are shown. */
  quiet = false;
  /** Whether idle time is folded. */
  fold = true;
  /** The part of the time axis that is shown. */
  view = WHOLE;
  /** The line on which the keyboard is, by its key; `undefined` before the first one. */
  active;
  /** The number of calls that fit the search; `undefined` without one. */
  found;
  #collapsed = new Set();

  /** `started` and `ended` are those of the run, in milliseconds; `ended` is NaN while it goes on. */
  constructor(started, ended) {
    this.started = started;
    this.ended = ended;
    this.update(started);
  }

  /** Brings the lines and the axis up to date, after any change. `now` is the time of the host. */
  update(now) {
    const { isShown, found } = shown(this.journal, { search: this.search, quiet: this.quiet });
    this.now = now;
    this.found = found;
    // A search opens what is collapsed: what it finds is seen.
    this.lines = flatten(this.journal, { collapsed: found === undefined ? this.#collapsed : undefined, isShown });
    this.scaleTo(now);
  }

  /** Brings the axis alone up to date: the time goes on. */
  scaleTo(now) {
    this.now = now;
    const end = Number.isNaN(this.ended) ? now : this.ended;
    const to = Math.max(end, this.journal.latest);
    const gaps = this.fold ? idleGaps(this.journal, this.started, to, end) : [];
    const before = this.scale;
    this.scale = new Scale(this.started, to, gaps);
    if (before === undefined || isWhole(this.view)) return;
    // The shown time stays the same when the axis grows.
    const [from, until] = [before.time(this.view.from), before.time(this.view.to)];
    this.view = { from: this.scale.place(from), to: Math.max(this.scale.place(until), this.scale.place(from) + 1e-7) };
  }

  /** Returns the time until which what goes on is drawn. */
  get until() {
    return Number.isNaN(this.ended) ? this.now : this.ended;
  }

  /** Returns the line on which the keyboard is. If it is not shown, that is the nearest line that it is in, or the first. */
  get activeLine() {
    if (this.active === undefined) return this.lines.length > 0 ? 0 : -1;
    const [seq, attempt] = [this.active % 2 ** 32, Math.floor(this.active / 2 ** 32)];
    const line = this.lines.indexOf(seq, attempt);
    if (line !== -1) return line;
    for (const outer of [seq, ...this.journal.ancestors(seq)]) {
      const found = this.lines.indexOf(outer);
      if (found !== -1) return found;
    }
    return this.lines.length > 0 ? 0 : -1;
  }

  /** Puts the keyboard on a line. */
  activate(line) {
    this.active = this.lines.keyAt(line);
  }

  canExpand(line) {
    return this.lines.state[line] === COLLAPSED;
  }

  /** Returns whether a line can be closed. While a search finds calls, the lines that they are in stay open. */
  canCollapse(line) {
    return this.lines.state[line] === EXPANDED && this.found === undefined;
  }

  /** Opens or closes a line that can be. */
  setExpanded(line, isExpanded) {
    if (isExpanded) this.#collapsed.delete(this.lines.keyAt(line));
    else if (this.canCollapse(line)) this.#collapsed.add(this.lines.keyAt(line));
  }

  collapseAll() {
    this.#collapsed = expandable(this.journal);
  }

  expandAll() {
    this.#collapsed.clear();
  }

  /** Lets a call be shown, whatever is collapsed or searched for. Returns whether the call is known. */
  reveal(seq) {
    const { journal } = this;
    const row = journal.rows[seq];
    if (row === undefined) return false;
    for (let inner = row, outer = journal.parentOf(row); outer !== 0; ) {
      this.#collapsed.delete(keyOf(outer));
      if (inner.parent_attempt != null) this.#collapsed.delete(keyOf(outer, inner.parent_attempt));
      inner = journal.rows[outer];
      if (inner === undefined) break;
      outer = journal.parentOf(inner);
    }
    const { isShown } = shown(journal, { search: this.search, quiet: this.quiet });
    if (isShown !== undefined && !isShown(seq)) {
      this.search = NO_SEARCH;
      this.quiet = true;
    }
    this.active = keyOf(seq);
    return true;
  }
}
