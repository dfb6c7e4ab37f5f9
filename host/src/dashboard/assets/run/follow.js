// Keeps the page up to date: by the live view of the run, and where that is not to be had, by looking at the run.

import { Live } from "./live.js";
import { Poll, readAll } from "./source.js";

/** The milliseconds between two looks at a run that changes, and the most between looks at one that does not. */
const SOON = 1_000;
const LATE = 10_000;

/** The milliseconds for which the page waits for the live view, before it reads the calls in another way. */
const PATIENCE = 1_500;

/** The milliseconds between two readings of the parts that the server renders. */
const PARTS = 700;

/** Follows a run. */
export class Follow {
  /** Ends the pause between two looks. */
  #wake = () => {};
  #pause = SOON;
  #isOver = false;
  /** When the parts were read last, and whether a change has come since. */
  #partsAt = 0;
  #reading;
  #isStale = false;
  /** Whether the host could not be reached since something was read. */
  #isAway = false;

  /**
   * `take(records)` takes calls over and returns how many have changed, `onRun()` is called after the parts of the page were
   * read again, `onTrouble(error)` when something could not be read; with `undefined` when it could again; and `onBack()` when the
   * host can be reached again.
   */
  constructor({ run, journal, parts, take, onRun, onTrouble, onBack }) {
    Object.assign(this, { run, parts, onRun, onTrouble, onBack });
    /** Whether the calls that the run had when the page was made are there. */
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
    if (this.#isConnected) void this.#readParts();
  }

  async start() {
    this.#isOver = this.parts.state.isFinal;
    if (!this.#isOver) await this.#watch();
    if (!this.isLoaded) {
      await this.#until(async () => {
        await readAll(this.run, this.parts.state.calls, this.take);
        this.#loaded();
      });
    }
    while (!this.#isOver) {
      await this.#rest();
      if (!this.#isConnected && !this.#isOver) await this.#until(() => this.#look());
    }
  }

  get #isConnected() {
    return this.live?.isConnected === true;
  }

  #loaded() {
    this.isLoaded = true;
    this.onRun();
  }

  /** Begins the live view, and waits for its first state. */
  #watch() {
    return new Promise((resolve) => {
      const patience = setTimeout(resolve, PATIENCE);
      this.live = new Live(this.run, {
        onChange: ({ steps }) => {
          this.take(steps);
          if (!this.isLoaded) this.#loaded();
          // Also after the first state: the run may have changed since the page was made, and may not change again for days.
          void this.#readParts();
          this.#told(undefined);
          clearTimeout(patience);
          resolve();
        },
        onConnection: (isConnected) => {
          this.#isAway ||= !isConnected;
          if (!isConnected) return;
          this.#told(undefined);
          // What could not be read meanwhile.
          if (this.isLoaded) void this.#readParts();
        },
        onEnd: () => {
          this.#isOver = true;
          this.#wake();
          void this.#until(() => this.#refresh());
        },
      });
    });
  }

  /** Reads the parts again, some time after the last reading. */
  async #readParts() {
    this.#isStale = true;
    if (this.#reading !== undefined) return;
    const wait = Math.max(0, this.#partsAt + PARTS - Date.now());
    this.#reading = new Promise((resolve) => setTimeout(resolve, wait));
    await this.#reading;
    this.#isStale = false;
    try {
      await this.#refresh();
    } catch (error) {
      this.#told(error);
    }
    this.#reading = undefined;
    // A change that came meanwhile may not be in it.
    if (this.#isStale) void this.#readParts();
  }

  async #refresh() {
    await this.parts.refresh();
    this.#partsAt = Date.now();
    this.onRun();
  }

  async #look() {
    this.hasChanged = false;
    const before = this.parts.state.status;
    await this.parts.refresh();
    const isOver = this.parts.state.isFinal;
    await this.poll.look({ all: isOver });
    this.#isOver = isOver;
    const isQuiet = !this.hasChanged && this.parts.state.status === before;
    this.#pause = isQuiet ? Math.min(LATE, this.#pause * 1.5) : SOON;
    this.onRun();
  }

  /** Tells that something was read, or why it was not. */
  #told(error) {
    const wasAway = this.#isAway;
    this.#isAway = error !== undefined;
    if (wasAway && error === undefined) this.onBack();
    this.onTrouble(error);
  }

  /** Tries something until it succeeds, with growing pauses. A refusal is final. */
  async #until(attempt) {
    for (;;) {
      try {
        await attempt();
        this.#told(undefined);
        return;
      } catch (error) {
        this.#told(error);
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
