// The list as the server renders it: read again, and brought up to date where it differs.

import { readPage } from "../document.js";
import { setText } from "../dom.js";
import { refresh } from "../time.js";

/** The milliseconds between two announcements of new runs to a screen reader. */
const QUIET = 10000;

export class List {
  #part;
  /** Counts the selections: what was read for an earlier one is not shown. */
  #selection = 0;
  /** The newest page, if its rows are not shown yet because somebody works with those that are. */
  #held;
  #announced = 0;
  /** Reports that the rows have changed. */
  onChange = () => {};
  /** Returns whether rows must stay where they are. */
  isBusy = () => false;

  constructor(part) {
    this.#part = part;
  }

  /** Returns the query of the API that selects these runs; `undefined` if the filters cannot be read. */
  get query() {
    return this.#part.dataset.query;
  }

  /** Returns the rows that are shown. */
  rows() {
    return [...this.#part.querySelectorAll("tbody tr[data-run]")];
  }

  /**
   * Reads the page at this address and shows it. `isOther`: it has another selection, so nothing of the old one stays. Returns
   * where the page is; `undefined` if another selection came meanwhile. Throws an ApiError.
   */
  async read(address, { isOther = false } = {}) {
    if (isOther) {
      this.#selection++;
      this.#part.setAttribute("aria-busy", "true");
    }
    const selection = this.#selection;
    try {
      const { url, page, next } = await readList(address);
      if (selection !== this.#selection) return undefined;
      const now = Date.now();
      for (const part of [this.#part, next]) refresh(now, part);
      count(page);
      if (isOther) this.#replace(next);
      else this.#update(next);
      return url;
    } finally {
      if (isOther && selection === this.#selection) this.#part.removeAttribute("aria-busy");
    }
  }

  /** Shows the rows that were held back. */
  release() {
    if (this.#held) this.#update(this.#held, { isWanted: true });
  }

  #replace(next) {
    this.#hold(undefined, 0);
    if (next.dataset.query === undefined) delete this.#part.dataset.query;
    else this.#part.dataset.query = next.dataset.query;
    this.#part.replaceChildren(...next.childNodes);
    this.onChange();
  }

  /** Brings the rows up to date. Rows come and go only while nobody works with them, or if somebody wants it. */
  #update(next, { isWanted = false } = {}) {
    const body = this.#part.querySelector("tbody");
    const newer = next.querySelector("tbody");
    if (!body || !newer) {
      if (!this.#part.isEqualNode(next)) this.#replace(next);
      return;
    }
    const shown = new Map(this.rows().map((row) => [row.dataset.run, row]));
    const rows = [...newer.rows];
    const fresh = rows.filter((row) => !shown.has(row.dataset.run));
    for (const row of rows) patch(shown.get(row.dataset.run) ?? row, row);
    const wanted = rows.map((row) => shown.get(row.dataset.run) ?? row);
    const isSame = wanted.length === body.rows.length && wanted.every((row, at) => row === body.rows[at]);
    if (!isSame && !isWanted && this.isBusy()) {
      this.#hold(next, fresh.length);
    } else {
      this.#hold(undefined, 0);
      if (!isSame) body.replaceChildren(...wanted);
      for (const row of fresh) row.classList.add("fresh");
      replaceNav(this.#part, next);
      if (fresh.length > 0) this.#announce(fresh.length);
    }
    this.onChange();
  }

  /** Keeps a page for later, and says how many new runs it has. */
  #hold(next, count) {
    this.#held = next;
    const button = document.getElementById("held");
    button.hidden = count === 0;
    setText(button, count === 1 ? "1 new run: show it" : `${count} new runs: show them`);
  }

  #announce(count) {
    const now = Date.now();
    if (now - this.#announced < QUIET) return;
    this.#announced = now;
    document.getElementById("news").textContent = count === 1 ? "1 new run." : `${count} new runs.`;
  }
}

/** Reads the page at this address, and finds its list. */
async function readList(address) {
  const { page, url, error } = await readPage(address);
  const next = page.querySelector('[data-part="list"]');
  if (!next) throw error ?? new Error("The page has no list.");
  return { page, url, next };
}

/** Takes over the numbers of runs by status. */
function count(page) {
  for (const element of document.querySelectorAll("[data-count]")) {
    const next = page.querySelector(`[data-count="${element.dataset.count}"]`);
    if (next) setText(element, next.textContent);
  }
}

/** Brings a row up to date, cell by cell, so that what has the focus stays. */
function patch(old, row) {
  old.dataset.status = row.dataset.status;
  [...row.cells].forEach((cell, index) => {
    const present = old.cells[index];
    if (present.classList.contains("pick") || present.isEqualNode(cell)) return;
    present.replaceWith(cell.cloneNode(true));
    old.classList.remove("fresh");
  });
}

function replaceNav(part, next) {
  const [old, nav] = [part, next].map((list) => list.querySelector("nav.pages"));
  if (old && nav && old.isEqualNode(nav)) return;
  old?.remove();
  if (nav) part.append(nav.cloneNode(true));
}
