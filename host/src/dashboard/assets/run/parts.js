// The parts of the page that the server renders, brought up to date while the run goes on.

import { ApiError } from "../api.js";
import { readPage } from "../document.js";
import { refresh as refreshTimes } from "../time.js";

/** The parts of a page, by their names. */
function partsOf(root) {
  return new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

/** The parts that the server renders. */
export class Parts {
  /** The parts as the server has rendered them last. What a person has opened in them is not a change. */
  #rendered;
  /** Counts the readings. An answer that comes after that of a later reading is older than what is shown. */
  #begun = 0;
  #shown = 0;

  constructor(root) {
    this.root = root;
    this.#rendered = new Map([...partsOf(root)].map(([name, part]) => [name, content(part)]));
  }

  /** Returns what the head says of the run. */
  get state() {
    const head = this.root.querySelector('[data-part="head"]').dataset;
    return {
      status: head.status,
      pause: head.pause,
      hasDoubt: head.doubt !== undefined,
      isFinal: head.final !== undefined,
      started: Date.parse(head.started),
      ended: head.ended === undefined ? NaN : Date.parse(head.ended),
      calls: Number(head.calls),
    };
  }

  /** Reads the page again, and replaces the parts that have changed. Throws an ApiError. */
  async refresh(signal) {
    const reading = (this.#begun += 1);
    const { page: fresh, error } = await readPage(location.href.split("#")[0], { signal });
    if (error?.status === 404) throw new ApiError(404, "unknown_run", "The run does not exist any longer.");
    if (error) throw error;
    if (reading < this.#shown) return;
    this.#shown = reading;
    document.title = fresh.title;
    const now = partsOf(this.root);
    for (const [name, part] of partsOf(fresh)) {
      if (this.#rendered.get(name) === content(part)) continue;
      this.#rendered.set(name, content(part));
      const old = now.get(name);
      const focused = old.contains(document.activeElement) ? document.activeElement : undefined;
      keepOpen(old, part);
      old.replaceWith(part);
      if (focused !== undefined) focusLike(part, focused);
    }
    refreshTimes();
  }
}

/** Returns what a part says, without what only tells that time has passed. */
function content(part) {
  return part.outerHTML.replace(/(<time[^>]*>|<span data-took[^>]*>)[^<]*/g, "$1");
}

/** Opens what is open in the old part. */
function keepOpen(old, part) {
  const before = [...old.querySelectorAll("details")];
  [...part.querySelectorAll("details")].forEach((details, index) => {
    details.open = before[index]?.open ?? false;
  });
}

function focusLike(part, { dataset: { action, copy }, tagName }) {
  const found = [...part.querySelectorAll(tagName)].find(
    (other) => other.dataset.action === action && other.dataset.copy === copy,
  );
  found?.focus();
}
