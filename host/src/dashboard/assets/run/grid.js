// The tree of the calls as a tree grid. Only the rows on the screen are elements.

import { setAttribute } from "../dom.js";
import { meaning } from "./keys.js";
import { RowView } from "./row.js";
import { moved, zoomed, WHOLE } from "./view.js";

/** The rows above and below the screen that are elements, too, so that a fast scroll does not show holes. */
const BEYOND = 8;

/** The tree grid. `onChange` is called after the lines have changed, `onOpen(seq)` when a call shall be shown. */
export class Grid {
  #views = new Map();
  #free = [];
  #frame;
  #height = 28;

  constructor(element, calls, { onChange, onOpen, onClose, onView }) {
    this.element = element;
    this.calls = calls;
    this.head = element.querySelector(".wf-head");
    this.rows = element.querySelector(".wf-rows");
    this.on = { change: onChange, open: onOpen, close: onClose, view: onView };
    /** The call whose details are shown. */
    this.shown = undefined;
    element.addEventListener("scroll", () => this.#soon(), { passive: true });
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("focus", () => this.refresh());
    this.rows.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#measure()).observe(element);
  }

  /** Draws the rows on the screen again, after the calls have changed. */
  refresh() {
    const { calls, element, rows } = this;
    setAttribute(element, "aria-rowcount", calls.lines.length + 1);
    rows.style.height = `${calls.lines.length * this.#height}px`;
    element.style.setProperty("--lines", calls.lines.length);
    this.#draw(true);
  }

  /** Scrolls to a line, unless it is on the screen. */
  scrollTo(line) {
    const { element } = this;
    const head = this.head.offsetHeight;
    const top = line * this.#height;
    if (top < element.scrollTop) element.scrollTop = top;
    const below = top + this.#height + head - element.clientHeight;
    if (below > element.scrollTop) element.scrollTop = below;
  }

  /** Puts the keyboard on a line. */
  activate(line) {
    if (line < 0) return;
    this.calls.activate(line);
    this.scrollTo(line);
    this.refresh();
  }

  get #rowsOnScreen() {
    return Math.max(1, Math.floor((this.element.clientHeight - this.head.offsetHeight) / this.#height) - 1);
  }

  #measure() {
    this.#height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 28;
    this.on.view();
  }

  #soon() {
    this.#frame ??= requestAnimationFrame(() => this.#draw(false));
  }

  /** Draws rows: all of them, or those that have come to the screen. */
  #draw(all) {
    cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
    const { calls, element } = this;
    const count = calls.lines.length;
    const first = Math.max(0, Math.floor(element.scrollTop / this.#height) - BEYOND);
    const last = Math.min(count, Math.ceil((element.scrollTop + element.clientHeight) / this.#height) + BEYOND);
    const active = calls.activeLine;
    for (const [line, view] of this.#views) {
      if ((line >= first && line < last) || (line === active && line < count)) continue;
      this.#views.delete(line);
      this.#free.push(view);
    }
    for (let line = first; line < last; line += 1) this.#show(line, active, all);
    // What `aria-activedescendant` names must be an element.
    if (active !== -1) this.#show(active, active, all);
    for (const view of this.#free) view.element.hidden = true;
    setAttribute(element, "aria-activedescendant", active === -1 ? undefined : this.#views.get(active).element.id);
  }

  #show(line, active, all) {
    let view = this.#views.get(line);
    if (view !== undefined && !all) return;
    if (view === undefined) {
      view = this.#free.pop();
      if (view === undefined) {
        view = new RowView();
        this.rows.append(view.element);
      }
      view.element.hidden = false;
      this.#views.set(line, view);
    }
    view.show(this.calls, line, {
      height: this.#height,
      isActive: line === active,
      isOpen: this.calls.lines.seq[line] === this.shown && this.calls.lines.attempt[line] === 0,
    });
  }

  #click(event) {
    const { calls } = this;
    if (event.target.closest("a") !== null || event.defaultPrevented) return;
    const element = event.target.closest(".wf-row");
    const line = [...this.#views.values()].find((view) => view.element === element)?.line;
    if (line === undefined) return;
    calls.activate(line);
    const isGroup = calls.lines.attempt[line] > 0;
    if (isGroup || event.target.closest(".wf-toggle") !== null) {
      this.#expand(line, calls.canExpand(line));
      return;
    }
    this.on.open(calls.lines.seq[line]);
  }

  #expand(line, isExpanded) {
    this.calls.activate(line);
    this.calls.setExpanded(line, isExpanded);
    this.on.change();
  }

  #key(event) {
    if (event.target !== this.element || event.ctrlKey || event.altKey || event.metaKey) return;
    const { calls } = this;
    const does = meaning({ key: event.key, shift: event.shiftKey }, calls, this.#rowsOnScreen);
    if (does === undefined) return;
    event.preventDefault();
    if (does.expand !== undefined) this.#expand(does.line, does.expand);
    else if (does.line !== undefined) this.activate(does.line);
    else if (does.open) {
      const line = calls.activeLine;
      if (calls.lines.attempt[line] > 0) this.#expand(line, calls.canExpand(line));
      else this.on.open(calls.lines.seq[line], { focus: true });
    } else if (does.close) this.on.close();
    else {
      if (does.whole) calls.view = WHOLE;
      if (does.zoom !== undefined) calls.view = zoomed(calls.view, does.zoom);
      if (does.move !== undefined) calls.view = moved(calls.view, does.move);
      this.on.view();
    }
  }
}
