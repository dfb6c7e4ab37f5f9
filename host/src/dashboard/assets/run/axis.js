// The time axis above the bars: its marks, and the ways to zoom with a pointer.

import { make } from "../dom.js";
import { folds, ticks } from "./ticks.js";
import { between, isWhole, moved, zoomed } from "./view.js";
import { duration } from "./words.js";

/** The pixels that a pointer moves before it drags: less is a click. */
const LEAST_DRAG = 4;

/** The part by which a turn of the wheel zooms. */
const WHEEL = 1.2;

/** The time axis of a tree grid. `onView` is called when another part of the time is shown. */
export class Axis {
  /** Whether the last press of the pointer was a drag: the click that follows it is none. */
  #hasDragged = false;

  constructor(grid, calls, { onView }) {
    this.grid = grid;
    this.calls = calls;
    this.onView = onView;
    this.head = grid.querySelector(".wf-head .wf-axis");
    this.marks = make("span", { className: "wf-marks", "aria-hidden": "true" });
    this.head.append(this.marks);
    this.lines = make("div", { className: "wf-lines", "aria-hidden": "true" });
    this.range = make("div", { className: "wf-range", hidden: true });
    this.sheet = make("div", { className: "wf-sheet" }, this.lines, this.range);
    grid.prepend(make("div", { className: "wf-under", "aria-hidden": "true" }, this.sheet));
    grid.addEventListener("pointerdown", (event) => this.#drag(event));
    grid.addEventListener("click", (event) => this.#hasDragged && event.stopPropagation(), { capture: true });
    grid.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** Draws the marks. */
  refresh() {
    const { calls, head } = this;
    const width = head.clientWidth;
    if (width === 0) return;
    const percent = (place) => `${(place * 100).toFixed(3)}%`;
    const marks = [];
    const lines = [];
    for (const { at, text, isBefore } of ticks(calls.scale, calls.view, width)) {
      const mark = make("span", { className: "wf-mark" }, text);
      mark.style.left = percent(at);
      if (isBefore) mark.classList.add("last");
      const line = make("i", {});
      line.style.left = percent(at);
      marks.push(mark);
      lines.push(line);
    }
    for (const { from, to, milliseconds } of folds(calls.scale, calls.view)) {
      const fold = make("i", { className: "wf-fold", title: `Idle for ${duration(milliseconds)}` });
      fold.style.left = percent(from);
      fold.style.width = percent(to - from);
      lines.push(fold);
      marks.push(fold.cloneNode());
    }
    this.marks.replaceChildren(...marks);
    this.lines.replaceChildren(...lines);
  }

  /** Returns where a pointer is on the axis: 0 is the left edge of what is shown, 1 the right one. */
  #across({ clientX }) {
    const { left, width } = this.head.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width));
  }

  #place(across) {
    const { view } = this.calls;
    return view.from + across * (view.to - view.from);
  }

  #drag(down) {
    this.#hasDragged = false;
    const cell = down.target.closest(".wf-axis");
    // A finger on the rows scrolls them.
    const isMeant = cell !== null && down.button === 0 && (down.pointerType === "mouse" || this.head.contains(cell));
    if (!isMeant) return;
    const from = this.#across(down);
    let to;
    const move = (event) => {
      if (to === undefined && Math.abs(event.clientX - down.clientX) < LEAST_DRAG) return;
      if (to === undefined) this.grid.setPointerCapture(down.pointerId);
      to = this.#across(event);
      this.range.hidden = false;
      this.range.style.left = `${Math.min(from, to) * 100}%`;
      this.range.style.width = `${Math.abs(to - from) * 100}%`;
    };
    const listeners = new AbortController();
    const end = (event) => {
      listeners.abort();
      this.range.hidden = true;
      if (to === undefined || event.type !== "pointerup") return;
      this.#hasDragged = true;
      this.calls.view = between(this.#place(from), this.#place(to));
      this.onView();
    };
    const { signal } = listeners;
    this.grid.addEventListener("pointermove", move, { signal });
    this.grid.addEventListener("pointerup", end, { signal });
    this.grid.addEventListener("pointercancel", end, { signal });
  }

  #wheel(event) {
    if (event.target.closest?.(".wf-axis") == null) return;
    const { calls } = this;
    if (event.ctrlKey) {
      calls.view = zoomed(calls.view, event.deltaY > 0 ? WHEEL : 1 / WHEEL, this.#place(this.#across(event)));
    } else if ((event.shiftKey || event.deltaX !== 0) && !isWhole(calls.view)) {
      calls.view = moved(calls.view, (event.deltaX || event.deltaY) / this.head.clientWidth);
    } else {
      return;
    }
    event.preventDefault();
    this.onView();
  }
}
