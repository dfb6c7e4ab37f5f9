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
  const { counts: workflow, version } = place.dataset;
  const query = new URLSearchParams({ workflow, ...(version === undefined ? {} : { version }) });
  try {
    const { counts, capped } = await request(`runs/counts?${query}`);
    place.replaceChildren(...words(counts, capped));
  } catch (error) {
    place.replaceChildren(make("span", { className: "soft", title: error.message }, "not counted"));
  }
}

function words(counts, capped) {
  const found = ORDER.filter((status) => counts[status] > 0);
  if (found.length === 0) return [make("span", { className: "soft" }, "none")];
  return found.map((status) => {
    const count = counts[status] >= capped ? `${capped}+` : String(counts[status]);
    return make("span", { className: "status", "data-status": status }, `${count} ${status}`);
  });
}
