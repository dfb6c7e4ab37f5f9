// Reads the list again when runs have changed, as long as the page is seen and nobody has paused it.

import { tell } from "../errors.js";
import { Changes } from "./changes.js";

/** The least milliseconds between two reads. */
const LEAST = 1000;

/** The milliseconds between two reads while the host does not tell of changes. */
const PAUSE = 2000;

/** The milliseconds between two reads while it does: the numbers by status are about all runs, not only those of the page. */
const LONG_PAUSE = 10000;

/** The longest pause after failures. */
const LONGEST = 30000;

/** Keeps a list up to date. */
export function live(list) {
  return new Live(list);
}

class Live {
  #list;
  #button = document.getElementById("live");
  #trouble = document.getElementById("trouble");
  #timer;
  #reading;
  #readAt = 0;
  #failures = 0;
  /** Whether the runs have changed since the list was asked for. */
  #isStale = false;
  #changes = new Changes(() => {
    this.#isStale = true;
    this.#in(LEAST - (performance.now() - this.#readAt));
  });

  constructor(list) {
    this.#list = list;
    this.#button.hidden = false;
    this.#button.addEventListener("click", () => {
      this.#button.setAttribute("aria-pressed", String(!this.#isOn));
      this.#turn();
    });
    document.addEventListener("visibilitychange", () => this.#turn());
    document.getElementById("held").addEventListener("click", () => list.release());
    this.again();
  }

  /** Reads the list now. */
  async now() {
    clearTimeout(this.#timer);
    this.#reading ??= this.#read();
    await this.#reading;
  }

  /** Goes on after the list was read. */
  again() {
    clearTimeout(this.#timer);
    this.#readAt = performance.now();
    // Filters that cannot be read stay so.
    if (!this.#goesOn || this.#list.query === undefined) {
      this.#changes.stop();
      return;
    }
    this.#changes.follow(location.href, this.#list.query);
    const pause = this.#isStale ? LEAST : this.#changes.isConnected ? LONG_PAUSE : PAUSE;
    this.#in(Math.min(LONGEST, pause * 2 ** this.#failures));
  }

  /** Says why the list cannot be read. */
  tell(error) {
    tell(this.#trouble, error);
  }

  get #isOn() {
    return this.#button.getAttribute("aria-pressed") === "true";
  }

  get #goesOn() {
    return this.#isOn && document.visibilityState === "visible";
  }

  /** Begins or stops to follow the host. */
  #turn() {
    if (this.#goesOn) {
      this.now();
    } else {
      clearTimeout(this.#timer);
      this.#changes.stop();
    }
  }

  #in(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.now(), Math.max(0, milliseconds));
  }

  async #read() {
    this.#isStale = false;
    try {
      await this.#list.read(location.href);
      this.#failures = 0;
      this.#trouble.hidden = true;
    } catch (error) {
      this.#failures++;
      this.tell(error);
      if (error.status === 401) {
        this.#changes.stop();
        return;
      }
    } finally {
      this.#reading = undefined;
    }
    this.again();
  }
}
