// Keeps the page up to date: reads all calls, and then looks at the run until it is final.

import { Poll, readAll } from "./source.js";

/** The milliseconds between two looks at a run that changes, and the most between looks at one that does not. */
const SOON = 1_000;
const LATE = 10_000;

/** Follows a run. */
export class Follow {
  /** Ends the pause between two looks. */
  #wake = () => {};
  #pause = SOON;

  /**
   * `take(records)` takes calls over and returns how many have changed, `onRun()` is called after the parts of the page were
   * read again, and `onTrouble(error)` when something could not be read; `undefined` when it could again.
   */
  constructor({ run, journal, parts, take, onRun, onTrouble }) {
    Object.assign(this, { run, parts, onRun, onTrouble });
    /** Whether all calls that the run had when the page was made have been read. */
    this.isLoaded = false;
    this.hasChanged = false;
    this.take = (records) => {
      if (take(records) > 0) this.hasChanged = true;
    };
    this.poll = new Poll(run, journal, this.take);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.soon();
    });
  }

  /** Looks at once. */
  soon() {
    this.#pause = SOON;
    this.#wake();
  }

  async start() {
    await this.#until(async () => {
      await readAll(this.run, this.parts.state.calls, this.take);
      this.isLoaded = true;
      this.onRun();
    });
    let isOver = this.parts.state.isFinal;
    while (!isOver) {
      await this.#rest();
      await this.#until(async () => {
        this.hasChanged = false;
        const before = this.parts.state.status;
        await this.parts.refresh();
        isOver = this.parts.state.isFinal;
        await this.poll.look({ all: isOver });
        if (this.hasChanged || this.parts.state.status !== before) this.#pause = SOON;
        else this.#pause = Math.min(LATE, this.#pause * 1.5);
        this.onRun();
      });
    }
  }

  /** Tries something until it succeeds, with growing pauses. */
  async #until(attempt) {
    for (;;) {
      try {
        await attempt();
        this.onTrouble(undefined);
        return;
      } catch (error) {
        this.onTrouble(error);
        if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
        this.#pause = Math.min(LATE, this.#pause * 2);
        await this.#rest();
      }
    }
  }

  /** Waits, and while nobody sees the page. */
  async #rest() {
    await new Promise((resolve) => {
      this.#wake = resolve;
      if (document.visibilityState === "visible") setTimeout(resolve, this.#pause);
    });
  }
}
