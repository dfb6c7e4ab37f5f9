// The list as the server renders it: read again, and brought up to date where it differs.

import { root } from "../api.js";
import { refresh } from "../time.js";

/** The milliseconds between two announcements of new runs to a screen reader. */
const QUIET = 10000;

/** Why a page could not be read: with a message for people, and whether the login has ended. */
export class Unreadable extends Error {
  constructor(message, { isLoggedOut = false } = {}) {
    super(message);
    this.isLoggedOut = isLoggedOut;
  }
}

export class List {
  #part;
  /** The newest page, if rows of it are not shown yet because somebody works with those that are. */
  #held;
  #announced = 0;
  /** Reports that the rows have changed. */
  onChange = () => {};
  /** Returns whether rows must stay where they are. */
  isBusy = () => false;

  constructor(part) {
    this.#part = part;
  }

  rows() {
    return [...this.#part.querySelectorAll("tbody tr[data-run]")];
  }

  /** Reads the page at this address, and shows it. `isOther`: it has another selection, so nothing of the old one stays. */
  async read(address, { isOther = false, signal } = {}) {
    if (isOther) this.#part.setAttribute("aria-busy", "true");
    try {
      const next = await page(address, signal);
      refresh(Date.now(), next);
      if (isOther) this.#replace(next);
      else this.#update(next);
    } finally {
      this.#part.removeAttribute("aria-busy");
    }
  }

  /** Shows the rows that were held back. */
  release() {
    const held = this.#held;
    if (held) this.#update(held, true);
  }

  #replace(next) {
    this.#held = undefined;
    this.#part.replaceChildren(...next.childNodes);
    this.#note(0);
    this.onChange();
  }

  #update(next, isWanted = false) {
    const [body, newer] = [this.#part, next].map((part) => part.querySelector("tbody"));
    if (!body || !newer) {
      if (body || !this.#part.isEqualNode(next)) this.#replace(next);
      return;
    }
    const shown = new Map(this.rows().map((row) => [row.dataset.run, row]));
    const rows = [...newer.querySelectorAll("tr[data-run]")];
    const fresh = rows.filter((row) => !shown.has(row.dataset.run));
    for (const row of rows) {
      const old = shown.get(row.dataset.run);
      if (old) patch(old, row);
    }
    if (!isWanted && fresh.length > 0 && this.isBusy()) {
      this.#held = next;
      this.#note(fresh.length);
    } else {
      this.#held = undefined;
      const wanted = rows.map((row) => shown.get(row.dataset.run) ?? row);
      const isSame = wanted.length === body.children.length && wanted.every((row, at) => row === body.children[at]);
      if (!isSame) body.replaceChildren(...wanted);
      for (const row of fresh) row.classList.add("fresh");
      replaceNav(this.#part, next);
      this.#note(0);
      if (fresh.length > 0) this.#announce(fresh.length);
    }
    this.onChange();
  }

  /** Shows how many new runs are held back. */
  #note(count) {
    const button = document.getElementById("held");
    button.hidden = count === 0;
    button.textContent = count === 1 ? "1 new run: show it" : `${count} new runs: show them`;
  }

  #announce(count) {
    const now = Date.now();
    if (now - this.#announced < QUIET) return;
    this.#announced = now;
    document.getElementById("news").textContent = count === 1 ? "1 new run." : `${count} new runs.`;
  }
}

/** Returns the list of the page at this address, in a document of its own: nothing in it is executed. */
async function page(address, signal) {
  let response, text;
  try {
    response = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" }, signal });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreadable("The host cannot be reached. The page goes on when it answers.");
  }
  if (response.redirected && new URL(response.url).pathname === new URL(`${root}login`, location).pathname) {
    throw new Unreadable("The session has ended.", { isLoggedOut: true });
  }
  const document = new DOMParser().parseFromString(text, "text/html");
  const part = document.querySelector('[data-part="list"]');
  if (part) return part;
  const message = document.querySelector("main p")?.textContent;
  throw new Unreadable(message ?? `The answer (HTTP ${response.status}) is not from this host.`);
}

/** Brings a row up to date, cell by cell, so that what has the focus stays. */
function patch(old, row) {
  old.dataset.status = row.dataset.status;
  for (const [index, cell] of [...row.children].entries()) {
    const present = old.children[index];
    if (present.className === "pick" || present.isEqualNode(cell)) continue;
    present.replaceWith(cell);
    old.classList.remove("fresh");
  }
}

function replaceNav(part, next) {
  const [old, nav] = [part, next].map((part) => part.querySelector("nav.pages"));
  if (old && nav && old.isEqualNode(nav)) return;
  old?.remove();
  if (nav) part.append(nav);
}
