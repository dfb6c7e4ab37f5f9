// Makes records of calls as the API returns them.

import { Journal } from "../../host/src/dashboard/assets/run/journal.js";

/** Returns the time of the API this many milliseconds after the start of the run. */
export function time(milliseconds) {
  return milliseconds === null ? null : new Date(START + milliseconds).toISOString();
}

export const START = Date.parse("2026-11-30T12:00:00.000Z");

/** Returns a step that takes from `from` to `to`, with other fields. It goes on if `to` is null. */
export function call(seq, fields = {}) {
  const { from = seq * 10, to = seq * 10 + 5, ...others } = fields;
  return {
    seq,
    parent: null,
    parent_attempt: null,
    kind: "step",
    step_name: `s${seq}`,
    status: to === null ? "running" : "completed",
    attempt: 1,
    optional: false,
    error: null,
    wake_at: null,
    started_at: time(from),
    completed_at: time(to),
    ...others,
  };
}

/** Returns a journal with these calls. */
export function journal(...calls) {
  const journal = new Journal();
  journal.merge(calls);
  return journal;
}
