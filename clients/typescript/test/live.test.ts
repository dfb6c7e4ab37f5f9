// Subscriptions, with a real host.

import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { WebSocket as Ws } from "ws";
import { ForgeError, RunError, subscribeRuns, subscribeWorkflow, type Workflow } from "../src/index.ts";
import { Host } from "./host.ts";
import { assertSame, call, event, fail, repeat, step, until } from "./programs.ts";

const host = await Host.withProgram();
after(() => host[Symbol.asyncDispose]());

/** More calls than one frame has. */
const ROWS = 1_000;

/** Checks that a subscriber has what the API has. */
async function assertCurrent(value: Workflow | undefined, of: Host = host): Promise<void> {
  assert(value);
  const { steps, logs: _, ...run } = value;
  const record = await of.client().run(value.id);
  assert.deepEqual(run, { ...record, step_results: {}, has_more_steps: run.has_more_steps });
  assertSame(steps, await Array.fromAsync(of.client().steps(value.id)));
}

test("a subscriber is called at once, then with each change until the run has ended", async () => {
  const id = await host.run([step("ask", event("answer"))]);
  const run = subscribeWorkflow(id, { url: host.url });
  const seen: (string | undefined)[] = [];
  const unsubscribe = run.subscribe((value) => {
    if (value?.status !== seen.at(-1) || !seen.length) seen.push(value?.status);
  });
  assert.deepEqual(seen, [undefined]);
  const waiting = await until(run, ({ status }) => status === "waiting");
  assert.deepEqual(waiting.waits_for?.map(({ kind, name }) => [kind, name]), [["event", "answer"]]);
  await host.client().sendEvent(id, "answer", "yes");
  assert.deepEqual(await run.result, [["yes"]]);
  assert.equal(seen.at(-1), "completed");
  await assertCurrent(run.value);
  await host.untilWatching(0);
  unsubscribe();
});

test("the first subscriber opens the connection and the last one closes it", async () => {
  const id = await host.run([event("never")]);
  const run = subscribeWorkflow(id, { url: host.url });
  assert.equal(run.value, undefined);
  await host.untilWatching(0);
  const first = run.subscribe(() => {});
  await until(run, ({ status }) => status === "waiting");
  let called = 0;
  const second = run.subscribe((value) => {
    called++;
    assert.equal(value, run.value);
  });
  assert.equal(called, 1);
  first();
  first();
  assert.equal(host.watching, 1);
  second();
  await host.untilWatching(0);

  run.subscribe(() => {})();
  const again = run.subscribe(() => {});
  await host.untilWatching(1);
  again();
  await host.untilWatching(0);
});

test("subscriptions share a connection, unless each run has its token", async () => {
  const ids = await Promise.all([host.run([event("never")]), host.run([event("never")])]);
  const open = async (options: object) => {
    const runs = ids.map((id) => subscribeWorkflow(id, { url: host.url, ...options }));
    const leave = [...runs, runs[0]!].map((run) => run.subscribe(() => {}));
    await Promise.all(runs.map((run) => until(run, ({ status }) => status === "waiting")));
    const { watching } = host;
    for (const unsubscribe of leave) unsubscribe();
    await host.untilWatching(0);
    return watching;
  };
  assert.equal(await open({}), 1);
  const made: string[] = [];
  assert.equal(await open({ token: () => (made.push("all"), "") }), 1);
  assert.equal(await open({ token: (run: string) => (made.push(run), "") }), 2);
  assert.deepEqual(made, ["all", ...ids]);
});

test("a run that has ended is read once, and its store keeps it", async () => {
  const id = await host.run([repeat(3, call)]);
  await host.client().wait(id);
  const run = subscribeWorkflow(id, { url: host.url });
  assert.deepEqual(await run.result, await host.client().wait(id));
  await assertCurrent(run.value);
  const before = host.watched;
  let value: Workflow | undefined;
  run.subscribe((given) => (value = given))();
  assert.equal(value?.status, "completed");
  assert.equal(host.watched, before);
});

test("the result of a run that fails is an error with its kind, its message and the run", async () => {
  const id = await host.run([step("charge", fail("the card is declined", "declined"))]);
  const run = subscribeWorkflow(id, { url: host.url });
  await assert.rejects(run.result, (error) => {
    assert(error instanceof RunError, `${error}`);
    assert.equal(error.kind, "declined");
    assert.match(error.message, /the card is declined/);
    assert.equal(error.run.id, id);
    return true;
  });
  assert.equal(run.error, undefined);
});

test("a result that nobody awaits is no unhandled rejection", async () => {
  const id = await host.run([fail("no", "no")]);
  const run = subscribeWorkflow(id, { url: host.url });
  void run.result;
  await host.untilWatching(1);
  await host.untilWatching(0);
  assert.equal(run.value?.status, "failed");
});

test("a result keeps the connection open when the subscribers have left", async () => {
  const id = await host.run([event("go")]);
  const run = subscribeWorkflow(id, { url: host.url });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  assert.equal(host.watching, 1);
  await host.client().sendEvent(id, "go", 7);
  assert.deepEqual(await result, [7]);
  await host.untilWatching(0);
});

test("a refusal is the error of the store and of its result", async () => {
  const run = subscribeWorkflow("01a20694-8ff8-7748-89c8-fa96129b4a72", { url: host.url });
  let calls = 0;
  run.subscribe(() => calls++);
  await assert.rejects(run.result, (error) => {
    assert(error instanceof ForgeError, `${error}`);
    assert.equal(error.code, "unknown_run");
    assert.equal(run.error, error);
    return true;
  });
  assert.equal(calls, 2);
  await host.untilWatching(0);
});

test("without payloads, the run has no input, output or results", async () => {
  const id = await host.run([call]);
  const run = subscribeWorkflow(id, { url: host.url, payloads: false });
  assert.equal(await run.result, null);
  assert.equal(run.value?.input, null);
  assert.deepEqual(run.value?.steps.map(({ input, result }) => [input, result]), [[null, null]]);
});

test("a journal that comes in several frames is seen as a whole", async () => {
  const id = await host.run([repeat(ROWS, call)]);
  await host.client().wait(id);
  const run = subscribeWorkflow(id, { url: host.url });
  const sizes = new Set<number | undefined>();
  run.subscribe((value) => sizes.add(value?.steps.length));
  await run.result;
  assert.deepEqual([...sizes], [undefined, ROWS]);
  await assertCurrent(run.value);
});

test("a reader that is slow has the whole run in the end", async () => {
  const id = await host.run([event("go"), repeat(ROWS, call)]);
  const run = subscribeWorkflow(id, { url: host.url });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  host.holding = true;
  await host.client().sendEvent(id, "go", 1);
  await host.client().wait(id);
  host.holding = false;
  await result;
  await assertCurrent(run.value);
});

test("a run has the lines that it logs, if they are asked for", async () => {
  const id = await host.run([{ log: "before" }, event("go"), { log: "after" }]);
  const silent = subscribeWorkflow(id, { url: host.url });
  const run = subscribeWorkflow(id, { url: host.url, logs: true });
  const messages = ({ logs }: Workflow) => logs.map(({ message }) => message);
  assert.deepEqual(messages(await until(run, ({ status }) => status === "waiting")), ["before"]);
  const { result } = run;
  await host.client().sendEvent(id, "go", 1);
  await result;
  assert.deepEqual(messages(run.value!), ["before", "after"]);
  await silent.result;
  assert.deepEqual(messages(silent.value!), []);
});

test("a silent connection is used now and then, so that a host that is gone is noticed", async (t) => {
  const id = await host.run([event("go")]);
  const sent: string[] = [];
  class Recorded extends WebSocket {
    override send(message: string): void {
      sent.push(message);
      super.send(message);
    }
  }
  t.mock.timers.enable({ apis: ["setInterval"] });
  const run = subscribeWorkflow(id, { url: host.url, WebSocket: Recorded });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  t.mock.timers.tick(60_000);
  assert.deepEqual(sent.slice(1), ['{"unsubscribe":""}', '{"unsubscribe":""}']);
  await host.client().sendEvent(id, "go", 1);
  await result;
  t.mock.timers.tick(60_000);
  assert.equal(sent.length, 3);
});

test("a list follows the runs that it would have, the newest first", async () => {
  await using host = await Host.withProgram();
  const first = await host.run([event("go")]);
  const runs = subscribeRuns({ status: ["waiting", "paused"], limit: 2 }, { url: host.url });
  const leave = runs.subscribe(() => {});
  const lists = (...ids: string[]) => until(runs, (list) => JSON.stringify(list.map(({ id }) => id)) === JSON.stringify(ids));
  await lists(first);
  const second = await host.run([event("go")]);
  await lists(second, first);
  const third = await host.run([event("go")]);
  await lists(third, second);
  await host.client().sendEvent(third, "go");
  await lists(second, first);
  leave();
  await host.untilWatching(0);
});

test("a filter that the host refuses is the error of the store", async () => {
  const runs = subscribeRuns({ colour: "red" }, { url: host.url });
  const error = await new Promise<Error | undefined>((resolve) => {
    runs.subscribe(() => runs.error && resolve(runs.error));
  });
  assert(error instanceof ForgeError && error.code === "invalid_parameter", `${error}`);
});

test("a signal ends a subscription", async () => {
  const id = await host.run([event("never")]);
  const end = new AbortController();
  const run = subscribeWorkflow(id, { url: host.url, signal: end.signal });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  end.abort();
  await assert.rejects(result, { name: "AbortError" });
  await host.untilWatching(0);
});

test("another WebSocket serves where there is no global one", async (t) => {
  const { WebSocket } = globalThis;
  Reflect.deleteProperty(globalThis, "WebSocket");
  t.after(() => Object.assign(globalThis, { WebSocket }));
  const id = await host.run([call]);
  assert.throws(() => subscribeWorkflow(id, { url: host.url }).subscribe(() => {}), /has no WebSocket/);
  const run = subscribeWorkflow(id, { url: host.url, WebSocket: Ws as unknown as typeof WebSocket });
  await run.result;
  await assertCurrent(run.value);
});
