// Commands for all selected runs.

import { href, request } from "../api.js";
import { ask } from "../dialog.js";
import { explained } from "../errors.js";
import { line } from "../printable.js";

/** The requests that are sent at once: a resume loads the run, and others use the host, too. */
const AT_ONCE = 4;

/** What can be done. `allows` tells for which statuses the host does something. */
const ACTIONS = {
  cancel: {
    verb: "Cancel",
    doing: "Cancelling",
    done: "cancelled",
    isDanger: true,
    effect: "Their completed steps are compensated. This cannot be undone.",
    rest: ["is over or rolls back already", "are over or roll back already"],
    allows: (status) => !["completed", "compensated", "compensating"].includes(status),
  },
  resume: {
    verb: "Resume",
    doing: "Resuming",
    done: "resumed",
    isDanger: false,
    effect: "Paused runs continue. Failed compensations are tried again.",
    rest: ["is neither paused nor failed", "are neither paused nor failed"],
    allows: (status) => ["paused", "failed"].includes(status),
  },
};

/** Lets the buttons act on a selection. `refresh` brings the list up to date. */
export function bulk(selection, refresh) {
  const bar = document.getElementById("bulk");
  if (!bar) return;
  bar.addEventListener("click", async (event) => {
    const name = event.target.closest("[data-bulk]")?.dataset.bulk;
    if (name === "clear") selection.clear();
    const action = ACTIONS[name];
    if (!action) return;
    const selected = selection.rows().map((row) => ({ id: row.dataset.run, status: row.dataset.status }));
    const runs = selected.filter(({ status }) => action.allows(status));
    if (!(await confirm(action, runs.length, selected.length - runs.length))) return;
    const buttons = [...bar.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      report(action, runs, await send(name, runs, (done) => progress(action, done, runs.length)));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
    selection.clear();
    refresh();
  });
}

/** Asks whether this number of runs is meant. */
function confirm({ verb, effect, rest, isDanger }, count, others) {
  const runs = (number) => (number === 1 ? "1 run" : `${number} runs`);
  const [is, are] = rest;
  const left = others === 1 ? `1 run of the selection ${is}.` : `${others} runs of the selection ${are}.`;
  if (count === 0) {
    show([left], "warn");
    return false;
  }
  const body = others === 0 ? effect : `${effect} ${left}`;
  return ask({ title: `${verb} ${runs(count)}?`, body, confirm: `${verb} ${runs(count)}`, danger: isDanger });
}

/** Sends the commands, a few at once. Returns those that were refused, with their errors. */
async function send(name, runs, report) {
  const left = [...runs];
  const refused = [];
  let done = 0;
  const worker = async () => {
    for (let run = left.shift(); run; run = left.shift()) {
      try {
        await request(`runs/${run.id}/${name}`, { method: "POST" });
      } catch (error) {
        refused.push({ ...run, error });
      }
      report(++done);
    }
  };
  report(0);
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return refused;
}

function progress({ doing }, done, all) {
  show([`${doing}: ${done} of ${all}.`], "busy");
}

/** Says what has happened, and why which runs were refused. */
function report({ done }, runs, refused) {
  const count = runs.length - refused.length;
  const title = document.createElement("p");
  title.textContent = `${count} of ${runs.length} ${runs.length === 1 ? "run was" : "runs were"} ${done}.`;
  const reasons = document.createElement("ul");
  const out = refused.find(({ error }) => error.status === 401);
  if (out !== undefined) title.append(" ", ...explained(out.error));
  for (const { id, error } of refused.filter(({ error }) => error.status !== 401)) {
    const link = Object.assign(document.createElement("a"), {
      className: "id",
      href: href(`runs/${encodeURIComponent(id)}`),
      textContent: id,
    });
    const item = document.createElement("li");
    item.append(link, `: ${line(error.message)}`);
    reasons.append(item);
  }
  const outcome = show([title, reasons], refused.length === 0 ? "good" : "bad");
  outcome.focus();
}

function show(content, kind) {
  const outcome = document.getElementById("outcome");
  outcome.dataset.kind = kind;
  outcome.replaceChildren(...content);
  outcome.hidden = false;
  return outcome;
}
