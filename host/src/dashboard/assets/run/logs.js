// What the run has logged: a list with a filter, and the lines of one step.

import { request } from "../api.js";
import { button, make, setText } from "../dom.js";
import { explained } from "../errors.js";
import { lines as printable, line } from "../printable.js";
import { count } from "./words.js";

/** The most lines of a page of the API. */
const PAGE = 500;

/** The most pages that are read for the lines of one step: they have the lines of all its passes in a loop. */
const STEP_PAGES = 8;

/** Reads a page of lines. */
async function page(run, { after = 0, level = "", step, limit = PAGE, signal }) {
  const query = new URLSearchParams({ cursor: after, limit });
  if (level !== "") query.set("level", level);
  if (step !== undefined) query.set("step", step);
  return request(`runs/${run}/logs?${query}`, { signal });
}

/** Returns the element of a line. */
function lineElement({ at, level, step, step_seq: seq, attempt, message }, isInList) {
  const time = make("span", { className: "log-at", title: at }, new Date(at).toISOString().slice(11, 23));
  const word = make("span", { className: "log-level" }, level);
  const place = step === undefined ? "" : `${line(step)}${attempt > 1 ? `, attempt ${attempt}` : ""}`;
  const link = isInList && seq !== undefined && make("a", { className: "log-step", href: `#call-${seq}` }, place);
  const element = make("li", {}, time, " ", word, " ", link, " ", make("span", { className: "log-message" }, printable(message)));
  element.dataset.level = level;
  return element;
}

/** The list of the lines. */
export class Logs {
  #last = 0;
  #isWhole = false;
  #reading;

  constructor(run, { list, counter, select }) {
    Object.assign(this, { run, list, counter, select });
    select.addEventListener("change", () => this.#restart());
    this.#empty();
  }

  /** Reads the lines that have come, unless there are more than are shown. */
  refresh() {
    if (this.#reading !== undefined || (this.#last > 0 && !this.#isWhole)) return;
    void this.#read();
  }

  #empty() {
    this.#last = 0;
    this.#isWhole = false;
    this.lines = make("ol", { className: "logs" });
    this.rest = make("p", { className: "soft" });
    this.shown = 0;
  }

  #restart() {
    this.#reading?.abort();
    this.#reading = undefined;
    this.#empty();
    void this.#read();
  }

  async #read() {
    const reading = new AbortController();
    this.#reading = reading;
    try {
      const { lines, next_cursor: next } = await page(this.run, {
        after: this.#last,
        level: this.select.value,
        signal: reading.signal,
      });
      this.#isWhole = next == null;
      this.#last = lines.at(-1)?.seq ?? this.#last;
      this.shown += lines.length;
      this.lines.append(...lines.map((one) => lineElement(one, true)));
      this.#show();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.rest.replaceChildren(
        make("span", { className: "error-text" }, ...explained(error)),
        " ",
        button("Try again", { className: "small", onclick: () => this.#read() }),
      );
      this.list.replaceChildren(this.lines, this.rest);
    } finally {
      if (this.#reading === reading) this.#reading = undefined;
    }
  }

  #show() {
    const isFiltered = this.select.value !== "";
    const none = isFiltered ? "There are no lines of this level." : "The workflow has logged nothing.";
    this.rest.replaceChildren();
    if (this.shown === 0) this.rest.append(none);
    else if (!this.#isWhole) this.rest.append(button("Show more", { className: "small", onclick: () => this.#read() }));
    this.rest.hidden = this.shown > 0 && this.#isWhole;
    if (!this.lines.isConnected) this.list.replaceChildren(this.lines, this.rest);
    setText(this.counter, this.shown === 0 ? "" : `${this.#isWhole ? "" : "first "}${count(this.shown, "line")}`);
  }
}

/** Returns the lines of one step or compensation, and nothing if there are none. */
export function stepLogs(run, row, signal) {
  const place = make("section", { className: "call-logs", "aria-label": "Logs", hidden: true });
  const read = async () => {
    const own = [];
    let next = 0;
    for (let pages = 0; next != null && pages < STEP_PAGES && own.length < PAGE; pages += 1) {
      const { lines, next_cursor } = await page(run, { after: next, step: row.step_name, signal });
      own.push(...lines.filter((one) => one.step_seq === row.seq).map((one) => lineElement(one, false)));
      next = next_cursor;
    }
    if (own.length === 0) return;
    const more = next != null && make("p", { className: "hint" }, "There are more lines in the list of the logs.");
    place.replaceChildren(make("h4", {}, "Logs"), make("ol", { className: "logs" }, ...own), ...(more ? [more] : []));
    place.hidden = false;
  };
  read().catch((error) => {
    if (error.name === "AbortError") return;
    place.replaceChildren(make("p", { className: "error-text" }, ...explained(error)));
    place.hidden = false;
  });
  return place;
}
