// How many runs a workflow or a version has, by status.

import { request } from "../api.js";
import { make } from "../dom.js";

/** The requests at once. The host counts for one request at a time as fast as for several. */
const AT_ONCE = 3;

/** The order of the statuses: what is under way, what needs somebody, what has ended. */
const ORDER = ["created", "running", "waiting", "compensating", "paused", "failed", "compensated", "completed"];

/** Fills the places for numbers of runs, from the first on. */
export async function showCounts(places) {
  const waiting = [...places];
  const next = async () => {
    for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) await show(place);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

async function show(place) {
  const { counts: query, runs } = place.dataset;
  try {
    place.replaceChildren(...links(await request(`runs/counts?${query}`), runs));
  } catch {
    // The link to the runs stays: their number is not worth an error.
  }
}

/** Returns a link to the runs of each status. */
function links({ counts, at_least: atLeast }, runs) {
  const found = ORDER.filter((status) => counts[status] > 0 || atLeast.includes(status));
  if (found.length === 0) return [make("span", { className: "soft" }, "none")];
  return found.map((status) => {
    const count = `${counts[status]}${atLeast.includes(status) ? "+" : ""}`;
    return make("a", { className: "status", "data-status": status, href: `${runs}&status=${status}` }, `${count} ${status}`);
  });
}
