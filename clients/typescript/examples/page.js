// Shows a run live. The URL has what a backend would put into the page: `?host=…&run=…#token`.

import { subscribeWorkflow } from "@forge-workflows/client";

const parameters = new URLSearchParams(location.search);
const url = parameters.get("host") ?? "http://127.0.0.1:7070";
const runId = parameters.get("run") ?? "";

// A server does not see what comes after the `#`. A page of a shop would fetch a token from its backend here instead.
const token = location.hash.slice(1);

const element = (id) => document.getElementById(id);

const run = subscribeWorkflow(runId, {
  url,
  token,
  onConnection: (connected) => {
    element("connection").textContent = connected ? "" : "The connection is lost. Connecting again …";
  },
});

run.subscribe((value) => {
  if (!value) return;
  element("name").textContent = value.workflow_name;
  element("status").textContent = value.status;
  element("steps").replaceChildren(...value.steps.filter(({ kind }) => kind === "step").map(line));
});

try {
  element("result").textContent = JSON.stringify(await run.result, null, 2);
} catch (error) {
  element("result").textContent = error.message;
}

function line({ step_name, status, error }) {
  const item = document.createElement("li");
  item.textContent = `${step_name}: ${error ?? status}`;
  return item;
}
