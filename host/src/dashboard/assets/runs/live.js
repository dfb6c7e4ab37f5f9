// Reads the list again when runs have changed, as long as the page is seen and nobody has paused it.

import { root } from "../api.js";

/** The milliseconds between two reads. */
const PAUSE = 2000;

/** The longest pause after failures. */
const LONGEST = 30000;

/** Keeps a list up to date. Returns how to bring it up to date now, and how to go on with another selection. */
export function live(list) {
  const button = document.getElementById("live");
  const trouble = document.getElementById("trouble");
  let timer, reading, failures = 0;

  const isOn = () => button.getAttribute("aria-pressed") === "true";
  const isSeen = () => document.visibilityState === "visible";

  async function now() {
    clearTimeout(timer);
    reading ??= read();
    await reading;
  }

  async function read() {
    let goesOn = true;
    try {
      await list.read(location.href);
      failures = 0;
      trouble.hidden = true;
    } catch (error) {
      failures++;
      goesOn = error.status !== 401;
      tell(error);
    } finally {
      reading = undefined;
    }
    if (goesOn) again();
  }

  function again() {
    clearTimeout(timer);
    // Filters that cannot be read stay so.
    if (isOn() && isSeen() && list.query !== undefined) timer = setTimeout(now, Math.min(LONGEST, PAUSE * 2 ** failures));
  }

  function tell(error) {
    trouble.replaceChildren(error.message);
    if (error.status === 401) {
      const login = Object.assign(document.createElement("a"), {
        href: `${root}login?next=${encodeURIComponent(`runs${location.search}`)}`,
        textContent: "Log in again",
      });
      trouble.append(" ", login, ".");
    }
    trouble.hidden = false;
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!isOn()));
    if (isOn()) now();
    else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => {
    if (isSeen() && isOn()) now();
    else clearTimeout(timer);
  });
  document.getElementById("held").addEventListener("click", () => list.release());
  again();
  return { now, again };
}
