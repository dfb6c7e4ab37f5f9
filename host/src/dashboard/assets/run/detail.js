// The details of one call.

import { href, request } from "../api.js";
import { button, make, setText } from "../dom.js";
import { explained } from "../errors.js";
import { line, lines } from "../printable.js";
import { element as timeElement, full } from "../time.js";
import { attempts } from "./bars.js";
import { callDocuments } from "./documents.js";
import { hasScope, isOpen } from "./journal.js";
import { stepLogs } from "./logs.js";
import { duration, label, status } from "./words.js";

/** The words of kinds of calls. Other ones are shown as they are. */
const KINDS = {
  step: "Step",
  compensation: "Compensation",
  http: "HTTP request",
  sleep: "Timer",
  timeout: "Timeout",
  event: "Event",
  child: "Child run",
  time: "Time of the workflow",
};

/** The details of the call that is chosen. */
export class Detail {
  /** The record that is shown. */
  #row;
  /** Ends the requests for documents of the call that was shown before. */
  #loading;

  /** `state()` returns what the page knows of the run: `{ mayResolve, status, pause, hasDoubt }`. */
  constructor(aside, calls, { run, state, onClose }) {
    this.aside = aside;
    this.calls = calls;
    this.run = run;
    this.state = state;
    this.onClose = onClose;
    aside.addEventListener("keydown", (event) => {
      if (event.key === "Escape") onClose();
    });
  }

  /** Shows a call. */
  show(seq) {
    const row = this.calls.journal.rows[seq];
    if (row === undefined) return;
    this.#loading?.abort();
    this.#loading = new AbortController();
    this.#row = row;
    this.child = make("span");
    const { kind, name } = label(row);
    this.facts = make("div", {}, ...this.#facts(row));
    const close = button("Close", { className: "quiet small", onclick: () => this.onClose() });
    this.aside.replaceChildren(
      make("header", {}, make("h3", { id: "call-title" }, kind === "" ? "" : `${kind} `, line(name)), close),
      this.facts,
      ...this.#loaded(row),
    );
    this.aside.hidden = false;
    this.aside.scrollTop = 0;
  }

  hide() {
    this.#loading?.abort();
    this.#row = undefined;
    this.aside.hidden = true;
    this.aside.replaceChildren();
  }

  /** Brings the details up to date. The documents are read again once the call has ended. */
  refresh() {
    if (this.#row === undefined) return;
    const row = this.calls.journal.rows[this.#row.seq];
    if (row === this.#row) {
      setText(this.took, this.#duration(row));
      return;
    }
    const hasEnded = isOpen(this.#row) && !isOpen(row);
    this.#row = row;
    this.facts.replaceChildren(...this.#facts(row));
    if (!hasEnded) return;
    this.#loading.abort();
    this.#loading = new AbortController();
    this.aside.querySelector(".call-logs")?.remove();
    this.aside.querySelector(".call-documents").replaceWith(...this.#loaded(row));
  }

  /** Returns what is read from the host when the details are opened. */
  #loaded(row) {
    const { signal } = this.#loading;
    const documents = callDocuments(this.run, row, signal);
    if (row.child_run !== undefined) void showStatus(row.child_run, this.child, signal);
    return hasScope(row) ? [stepLogs(this.run, row, signal), documents] : [documents];
  }

  #duration({ seq }) {
    const { journal, until } = this.calls;
    return duration(journal.endOf(seq, until) - journal.starts[seq]);
  }

  #facts(row) {
    const { calls } = this;
    const { sign, word, tone } = status(row.status);
    const list = make("dl", { className: "facts" });
    const fact = (name, ...value) => list.append(make("dt", {}, name), make("dd", {}, ...value));
    const said = make("span", { className: "call-status" }, `${sign} ${word}`);
    said.dataset.tone = tone;
    fact("Status", said, row.optional ? " (optional: its failure does not fail the run)" : "");
    fact("Kind", KINDS[row.kind] ?? row.kind.replaceAll("_", " "), row.compensable ? ", with a compensation" : "");
    fact("Began", at(row.started_at), ` ${sinceStart(calls, row.seq)}`);
    if (row.completed_at != null) fact("Ended", at(row.completed_at));
    this.took = make("span", {}, this.#duration(row));
    fact(isOpen(row) ? "Runs for" : "Took", this.took);
    if (row.wake_at != null && isOpen(row)) fact(hasScope(row) ? "Next attempt" : "Waits until", at(row.wake_at), " ", timeElement(row.wake_at));
    if (hasScope(row) || row.attempt > 1) fact("Attempts", String(row.attempt), attemptList(calls, row));
    const outer = calls.journal.parentOf(row);
    if (outer !== 0) {
      const inside = calls.journal.rows[outer];
      const name = inside === undefined ? `call ${outer}` : line(inside.step_name);
      fact(row.kind === "compensation" ? "Undoes" : "In", make("a", { href: `#call-${outer}` }, name));
    }
    if (row.child_run !== undefined) fact("Run", make("a", { className: "id", href: href(`runs/${row.child_run}`) }, row.child_run), " ", this.child);
    fact("Position", make("a", { href: `#call-${row.seq}` }, `#${row.seq}`));
    const parts = [list];
    if (row.error != null) parts.unshift(failure(row));
    const resolve = this.#resolve(row);
    if (resolve !== undefined) parts.push(resolve);
    return parts;
  }

  /** Returns the button with which a person gives the outcome, if this call may need it. The API has the last word. */
  #resolve(row) {
    const { mayResolve, status: runStatus, pause, hasDoubt } = this.state();
    const isUndone = row.status === "failed" && row.kind === "compensation";
    const isNotUndone = row.compensable && row.status === "completed" && ["failed", "compensating"].includes(runStatus);
    const isInDoubt = row.kind === "http" && (pause === "in_doubt" ? isOpen(row) : hasDoubt && row.status !== "completed");
    if (!mayResolve || !(isUndone || isNotUndone || isInDoubt)) return undefined;
    const resolve = button("Resolve", { className: "small" });
    resolve.dataset.action = "resolve";
    resolve.dataset.call = row.seq;
    return make("div", { className: "actions" }, resolve);
  }
}

/** Shows the status of a run, with what went wrong. */
async function showStatus(run, place, signal) {
  try {
    const { status: word, error } = await request(`runs/${run}`, { signal });
    const said = make("span", { className: "status" }, word);
    said.dataset.status = word;
    place.replaceChildren(said, error == null ? "" : ` ${line(error)}`);
  } catch (error) {
    if (error.name !== "AbortError") place.replaceChildren(...explained(error));
  }
}

function failure({ error, error_kind: kind, status: word }) {
  return make(
    "div",
    { className: "notice call-error", role: "group", "aria-label": "Error" },
    make("p", {}, word === "failed" ? "" : "The last attempt failed: ", lines(error)),
    kind != null && make("span", { className: "chip" }, line(kind)),
  );
}

/** Returns a time with its milliseconds. */
function at(time) {
  return make("span", { title: full(time), className: "exact" }, new Date(time).toISOString().slice(0, 23).replace("T", " "));
}

function sinceStart(calls, seq) {
  return `(+${duration(calls.journal.starts[seq] - calls.started)})`;
}

/** Returns when each attempt that has made calls began, and how long it took. */
function attemptList(calls, row) {
  const found = row.attempt > 1 ? attempts(calls.journal, row.seq, calls.until) : [];
  if (found.length === 0) return undefined;
  const item = ({ attempt, from, to }) => make("li", {}, `${attempt}: +${duration(from - calls.started)}, for ${duration(to - from)}`);
  return make("ul", { className: "attempts" }, ...found.map(item));
}
