// The page of a run.

import { setText } from "./dom.js";
import { tell } from "./errors.js";
import { Actions } from "./run/actions.js";
import { Axis } from "./run/axis.js";
import { Calls } from "./run/calls.js";
import { Detail } from "./run/detail.js";
import { watchDocuments } from "./run/documents.js";
import { Follow } from "./run/follow.js";
import { Grid } from "./run/grid.js";
import { Logs } from "./run/logs.js";
import { Parts } from "./run/parts.js";
import { Tools } from "./run/tools.js";
import { duration } from "./run/words.js";

/** The milliseconds between two frames of a run that goes on. */
const TICK = 1_000;

const page = document.querySelector("#run");
const { run, workflow } = page.dataset;
const clockAhead = Date.parse(page.dataset.now) - Date.now();
const now = () => Date.now() + clockAhead;
const find = (selector) => page.querySelector(selector);

const parts = new Parts(page);
const calls = new Calls(parts.state.started, parts.state.ended);
const mayResolve = find(".run-calls").dataset.mayResolve !== undefined;

const detail = new Detail(find("#call"), calls, {
  run,
  state: () => ({ mayResolve, ...parts.state }),
  onClose: () => show(undefined),
});
const grid = new Grid(find("#calls"), calls, {
  onChange: () => changed(),
  onView: () => redraw(),
  onOpen: (seq, how) => show(seq, how),
  onClose: () => show(undefined),
});
const axis = new Axis(grid.element, calls, { onView: () => redraw() });
const logs = new Logs(run, { list: find("#logs"), counter: find("#logs-count"), select: find("#logs-level") });
const tools = new Tools(find("#calls-search"), find("#calls-count"), calls, {
  onChange: () => changed(),
  onView: () => redraw(),
});

/** The call that the address names, until it is there. */
let wanted = named();

/** Returns the call that the address names. */
function named() {
  const found = /^#call-(\d+)$/.exec(location.hash);
  return found === null ? undefined : Number(found[1]);
}

/** Draws everything again, after the calls or what is shown of them have changed. */
function changed() {
  calls.update(now());
  if (wanted !== undefined && calls.reveal(wanted)) {
    const seq = wanted;
    wanted = undefined;
    calls.update(now());
    show(seq);
    grid.scrollTo(calls.activeLine);
    grid.element.scrollIntoView({ block: "nearest" });
  }
  detail.refresh();
  redraw();
}

/** Draws the rows and the axis again. */
function redraw() {
  tools.refresh({ isLoading: !follow.isLoaded, total: parts.state.calls });
  axis.refresh();
  grid.refresh();
}

/** Shows the details of a call, or none. */
function show(seq, { focus = false } = {}) {
  grid.shown = seq;
  const hash = seq === undefined ? "" : `#call-${seq}`;
  if (location.hash !== hash) history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  if (seq === undefined) {
    const hadFocus = detail.aside.contains(document.activeElement);
    detail.hide();
    if (hadFocus) grid.element.focus();
  } else {
    detail.show(seq);
    if (focus) detail.aside.focus();
  }
  redraw();
}

/** Several changes in a row are drawn once. Drawing takes a tenth of the time at most, however many calls there are. */
let waiting;
let cost = 0;
function changedSoon() {
  waiting ??= setTimeout(() => {
    const begun = performance.now();
    changed();
    cost = performance.now() - begun;
    waiting = undefined;
  }, Math.min(TICK, cost * 9));
}

const trouble = find("#run-trouble");

/** What cannot be read now, and what an action has failed for. */
const troubles = {};

function say(what, error) {
  troubles[what] = error;
  tell(trouble, troubles.action ?? troubles.reading);
}

const news = find("#run-news");
let status = parts.state.status;

const follow = new Follow({
  run,
  journal: calls.journal,
  parts,
  take: (records) => {
    const { length } = calls.journal.merge(records);
    if (length > 0) changedSoon();
    return length;
  },
  onRun: () => {
    const { ended, status: present } = parts.state;
    calls.ended = ended;
    if (present !== status) setText(news, `The run is ${present}.`);
    status = present;
    logs.refresh();
    changedSoon();
  },
  onTrouble: (error) => say("reading", error),
  onBack: () => {
    if (troubles.action?.code === "unreachable") say("action", undefined);
  },
});

new Actions(page, {
  run,
  workflow,
  calls,
  onDone: (text) => {
    setText(news, text);
    say("action", undefined);
    follow.soon();
  },
  onFail: (error) => say("action", error),
});
watchDocuments(page, run);

addEventListener("hashchange", () => {
  wanted = named();
  if (wanted === undefined) show(undefined);
  else changed();
});

// What goes on grows.
setInterval(() => {
  const { isFinal, started } = parts.state;
  if (isFinal || document.visibilityState !== "visible") return;
  setText(find("[data-took]"), duration(now() - started));
  calls.scaleTo(now());
  detail.refresh();
  redraw();
}, TICK);

// A failure has been said on the page.
follow.start().catch((error) => say("reading", error));
