// One row of the tree of the calls.

import { href } from "../api.js";
import { make, setAttribute, setText } from "../dom.js";
import { line as printable } from "../printable.js";
import { bars, placed } from "./bars.js";
import { COLLAPSED, LEAF } from "./tree.js";
import { duration, facts, label, requestParts, status } from "./words.js";

/** The deepest indent. Deeper calls are told apart by `aria-level` alone. */
const DEEPEST = 24;

/** The most characters of a name that a row holds; the details have all. */
const LONGEST_NAME = 400;

/** A row, which shows one line after another while it is scrolled. */
export class RowView {
  constructor() {
    this.toggle = make("span", { className: "wf-toggle", "aria-hidden": "true" });
    this.kind = make("span", { className: "wf-kind" });
    this.name = make("span", { className: "wf-name" });
    this.facts = make("span", { className: "wf-facts" });
    this.child = make("a", { className: "wf-child", tabIndex: -1 }, "run");
    this.position = make("a", { className: "wf-position", tabIndex: -1 });
    this.status = make("span", { className: "wf-status", role: "gridcell" });
    this.took = make("span", { className: "wf-took", role: "gridcell" });
    this.bars = make("span", { className: "wf-axis", role: "gridcell" });
    const call = make(
      "span",
      { className: "wf-call", role: "gridcell" },
      ...[this.toggle, this.kind, this.name, this.facts, this.child, this.position],
    );
    this.element = make("div", { className: "wf-row", role: "row" }, call, this.status, this.took, this.bars);
  }

  /** Shows a line at its place. */
  show(calls, line, { height, isActive, isOpen }) {
    const { lines, journal } = calls;
    const [seq, attempt, state] = [lines.seq[line], lines.attempt[line], lines.state[line]];
    const row = journal.rows[seq];
    const { element } = this;
    this.line = line;
    element.id = `line-${lines.keyAt(line)}`;
    element.style.transform = `translateY(${line * height}px)`;
    element.style.setProperty("--level", Math.min(lines.level[line], DEEPEST) - 1);
    setAttribute(element, "aria-level", lines.level[line]);
    setAttribute(element, "aria-posinset", lines.place[line]);
    setAttribute(element, "aria-setsize", lines.of[line]);
    // The head is the first row.
    setAttribute(element, "aria-rowindex", line + 2);
    setAttribute(element, "aria-expanded", state === LEAF ? undefined : state !== COLLAPSED);
    setAttribute(element, "aria-selected", isOpen);
    element.classList.toggle("active", isActive);
    if (attempt > 0) this.#attempt(attempt);
    else this.#call(row, calls);
    const tone = attempt > 0 ? "faint" : status(row.status).tone;
    element.dataset.tone = tone;
    this.#bars(calls, seq, attempt);
  }

  #call(row, calls) {
    const { kind, name } = label(row);
    const { sign, word } = status(row.status);
    setText(this.kind, kind);
    this.#name(row, name);
    setText(this.facts, facts(row, calls.journal.wakes[row.seq], calls.now).join(", "));
    this.child.hidden = row.child_run === undefined;
    if (row.child_run !== undefined) this.child.href = href(`runs/${row.child_run}`);
    setText(this.position, `#${row.seq}`);
    this.position.hidden = false;
    this.position.href = `#call-${row.seq}`;
    if (this.status.dataset.word !== row.status) {
      this.status.dataset.word = row.status;
      this.status.replaceChildren(make("span", { "aria-hidden": "true" }, sign), make("span", { className: "wf-word" }, ` ${word}`));
    }
    const { journal, until } = calls;
    const lasts = !Number.isNaN(journal.ends[row.seq]) || journal.open.has(row.seq);
    setText(this.took, lasts ? duration(journal.endOf(row.seq, until) - journal.starts[row.seq]) : "");
  }

  #name(row, name) {
    const shown = printable(name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name);
    if (this.name.textContent === shown) return;
    const parts = requestParts({ kind: row.kind, step_name: shown });
    this.name.classList.toggle("parts", parts !== undefined);
    if (parts === undefined) {
      this.name.textContent = shown;
      return;
    }
    this.name.replaceChildren(
      make("span", { className: "wf-method" }, parts.method),
      make("span", { className: "wf-host" }, parts.server),
      make("span", {}, parts.path),
    );
  }

  #attempt(attempt) {
    this.name.classList.remove("parts");
    setText(this.kind, "");
    setText(this.name, `attempt ${attempt}`);
    setText(this.facts, "");
    setText(this.took, "");
    this.child.hidden = true;
    this.position.hidden = true;
    this.status.dataset.word = "";
    this.status.replaceChildren();
  }

  #bars(calls, seq, attempt) {
    const shown = [];
    for (const bar of bars(calls.journal, seq, attempt, calls.until)) {
      const place = placed(bar, calls.scale, calls.view);
      if (place !== undefined) shown.push({ what: bar.what, ...place });
    }
    while (this.bars.childElementCount > shown.length) this.bars.lastChild.remove();
    while (this.bars.childElementCount < shown.length) this.bars.append(make("i", { className: "bar" }));
    shown.forEach(({ what, left, width }, index) => {
      const bar = this.bars.children[index];
      bar.dataset.what = what;
      bar.style.left = `${(left * 100).toFixed(4)}%`;
      bar.style.width = `${(width * 100).toFixed(4)}%`;
    });
  }
}
