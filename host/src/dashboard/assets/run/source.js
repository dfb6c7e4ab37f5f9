// Loads the calls of a run, and what changes of them.

import { request } from "../api.js";

/** The most calls of a page of the API. */
const PAGE = 500;

/** The pages that are read at once. */
const AT_ONCE = 4;

/** The most pages with open calls that one look reads again. The next look begins with the others. */
const MOST_AGAIN = 4;

/** Reads the calls `from` to `to`, in pages, and hands each page to `take`. */
async function range(run, from, to, take, signal) {
  for (let cursor = from - 1; cursor < to; ) {
    const limit = Math.min(PAGE, to - cursor);
    const { steps, next_cursor: next } = await request(
      `runs/${run}/steps?payloads=false&limit=${limit}&cursor=${cursor}`,
      { signal },
    );
    take(steps);
    if (next == null) return;
    cursor = next;
  }
}

/** Reads all calls of a run that has `count` of them, several pages at once. `take` gets them in any order. */
export async function readAll(run, count, take, signal) {
  let begun = 0;
  const reader = async () => {
    while (begun < count) {
      const from = begun + 1;
      begun += PAGE;
      await range(run, from, Math.min(count, from + PAGE - 1), take, signal);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, reader));
}

/** Reads what a look at the run shows: new calls, and the present state of those that were open. */
export class Poll {
  /** The pages with open calls that the last look has not read. */
  #waiting = [];

  constructor(run, journal, take) {
    this.run = run;
    this.journal = journal;
    this.take = take;
  }

  /** Reads new calls and some open ones, or all open ones. */
  async look({ all = false, signal } = {}) {
    const { journal, run, take } = this;
    // Before new ones come, which are as they are now.
    const pages = new Set([...journal.open].map((seq) => Math.floor((seq - 1) / PAGE)));
    await range(run, Math.max(1, journal.rows.length), Infinity, take, signal);
    this.#waiting = this.#waiting.filter((page) => pages.has(page));
    for (const page of pages) if (!this.#waiting.includes(page)) this.#waiting.push(page);
    const again = this.#waiting.splice(0, all ? Infinity : MOST_AGAIN);
    for (const page of again) await range(run, page * PAGE + 1, (page + 1) * PAGE, take, signal);
  }
}
