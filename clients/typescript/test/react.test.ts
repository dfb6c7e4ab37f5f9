// The hooks in React.

import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { createElement, StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { useRuns, useWorkflow } from "../src/react.ts";
import { Host } from "./host.ts";
import { place, untilShown } from "./page.ts";
import { event, step } from "./programs.ts";

// React looks for a document when it is loaded.
const { createRoot } = await import("react-dom/client");

const host = await Host.withProgram();
after(() => host[Symbol.asyncDispose]());

let renders = 0;

function Status({ id }: { id?: string }) {
  renders++;
  const { workflow, error } = useWorkflow(id, { url: host.url });
  if (error) return error.message;
  if (!workflow) return "…";
  return [workflow.status, ...workflow.steps.map(({ step_name }) => step_name)].join(", ");
}

function List({ url }: { url: string }) {
  const { runs } = useRuns({ status: "waiting" }, { url });
  return runs ? `${runs.length} waiting` : "…";
}

test("on a server, a component is rendered without a connection", async () => {
  assert.equal(renderToString(createElement(Status, { id: "a" })), "…");
  assert.equal(host.watched, 0);
});

test("a component shows a run live, and another one when its id changes", async () => {
  const [first, second] = [await host.run([step("ask", event("go"))]), await host.run([event("never")])];
  const target = place();
  const root = createRoot(target);
  const show = (id?: string) => root.render(createElement(StrictMode, null, createElement(Status, { id })));
  show();
  await untilShown(target, "…");
  show(first);
  await untilShown(target, "waiting, ask, go");
  show(second);
  await untilShown(target, "waiting, never");
  assert.equal(host.watching, 1);
  show(first);
  await host.client().sendEvent(first, "go");
  await untilShown(target, "completed, ask, go");
  root.unmount();
  await host.untilWatching(0);
});

test("a component that is rendered again for another reason keeps its subscription", async () => {
  const id = await host.run([event("never")]);
  const target = place();
  const root = createRoot(target);
  root.render(createElement(Status, { id }));
  await untilShown(target, "waiting, never");
  const [before, rendered] = [host.watched, renders];
  root.render(createElement(Status, { id }));
  while (renders === rendered) await new Promise(setImmediate);
  assert.deepEqual([host.watched, host.watching], [before, 1]);
  root.unmount();
  await host.untilWatching(0);
});

test("a component shows why the host refuses its subscription", async () => {
  const nobody = "01a20694-8ff8-7748-89c8-fa96129b4a72";
  const { message } = await host.client().run(nobody).catch((error) => error);
  const target = place();
  const root = createRoot(target);
  root.render(createElement(Status, { id: nobody }));
  await untilShown(target, message);
  root.unmount();
});

test("a component shows a list of runs live", async () => {
  await using host = await Host.withProgram();
  const target = place();
  const root = createRoot(target);
  root.render(createElement(List, { url: host.url }));
  await untilShown(target, "0 waiting");
  const id = await host.run([event("go")]);
  await untilShown(target, "1 waiting");
  await host.client().sendEvent(id, "go");
  await untilShown(target, "0 waiting");
  root.unmount();
  await host.untilWatching(0);
});
