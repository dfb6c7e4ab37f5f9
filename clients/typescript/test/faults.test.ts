// Subscriptions through lost connections, killed hosts and expired tokens.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { subscribeWorkflow, type Client, type RunToken } from "../src/index.ts";
import { Host } from "./host.ts";
import { assertSame, call, event, repeat, step, until } from "./programs.ts";

/** How often the host is killed while a client is subscribed. */
const KILLS = 20;

test("a subscriber through 20 SIGKILLs of the host ends with exactly the rows that the API has", async () => {
  await using host = await Host.withProgram();
  const rounds = Array.from({ length: KILLS }, (_, round) => [event(`round ${round}`), step(`work ${round}`, repeat(50, call))]);
  const id = await host.run(rounds.flat());
  const run = subscribeWorkflow(id, { url: host.url });
  const { result } = run;
  const before = host.watched;
  for (let round = 0; round < KILLS; round++) {
    await until(run, ({ waits_for }) => waits_for?.[0]?.name === `round ${round}`);
    // The state may have come before the last kill.
    await host.untilWatching(1);
    // It is killed somewhere in the round: between no time and what the round takes.
    await host.client().sendEvent(id, `round ${round}`, round);
    await setTimeout(Math.random() * 100);
    await host.kill();
    await host.untilWatching(0);
    await host.launch();
  }
  await result;
  assert(host.watched - before >= KILLS, `${host.watched - before} connections`);
  assertSame(run.value?.steps, await Array.fromAsync(host.client().steps(id)));
  const { status, output } = await host.client().run(id);
  assert.deepEqual([run.value?.status, run.value?.output], [status, output]);
});

test("a run that ends while its subscriber is cut off is known when it is back", async () => {
  await using host = await Host.withProgram();
  const id = await host.run([repeat(10, call), event("go"), repeat(10, call)]);
  const states: boolean[] = [];
  const run = subscribeWorkflow(id, { url: host.url, onConnection: (is) => states.push(is) });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  host.reachable = false;
  const inside = host.client({ url: host.direct });
  await inside.sendEvent(id, "go", 1);
  await inside.wait(id);
  assert.equal(run.value?.status, "waiting");
  host.reachable = true;
  await result;
  assertSame(run.value?.steps, await Array.fromAsync(inside.steps(id)));
  assert.deepEqual(states, [true, false, true]);
});

test("a subscriber that was cut off gets only what is new", async () => {
  await using host = await Host.withProgram();
  const id = await host.run([repeat(10, call), event("go")]);
  const sent: { subscribe?: { since?: number } }[] = [];
  const frames: { type: string; steps?: unknown[] }[] = [];
  class Recorded extends WebSocket {
    constructor(url: string) {
      super(url);
      this.addEventListener("message", ({ data }) => frames.push(JSON.parse(data)));
    }
    override send(message: string): void {
      sent.push(JSON.parse(message));
      super.send(message);
    }
  }
  const run = subscribeWorkflow(id, { url: host.url, WebSocket: Recorded });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  host.reachable = false;
  host.reachable = true;
  await host.client().sendEvent(id, "go", 1);
  await result;
  const since = sent.map(({ subscribe }) => subscribe?.since);
  assert(since.length === 2 && since[0] === undefined && since[1]! > 0, `${since}`);
  assert.equal(frames.filter(({ type }) => type === "snapshot").length, 1);
});

/** A host with keys, and a run that waits for an event. */
async function guarded(): Promise<{ host: Host; admin: Client; id: string } & AsyncDisposable> {
  const host = await Host.start();
  const key = await host.key("admin");
  await host.deploy(key);
  const admin = host.client({ token: key });
  const id = await host.run([event("go")], admin);
  return { host, admin, id, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

/** Calls back with a promise that is fulfilled when it was called so many times. */
function counted<A extends unknown[], R>(times: number, call: (...args: A) => R): [(...args: A) => R, Promise<void>] {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = times;
  const counting = (...args: A) => {
    if (!--left) resolve();
    return call(...args);
  };
  return [counting, promise];
}

test("a token is renewed before it expires, and the subscriber notices nothing", async () => {
  await using stage = await guarded();
  const { host, admin, id } = stage;
  const states: boolean[] = [];
  const make = () => admin.createToken(id, { ttl: "2s" });
  const [token, renewed] = counted<[], Promise<RunToken>>(3, make);
  const run = subscribeWorkflow(id, { url: host.url, token, onConnection: (is) => states.push(is) });
  const { result } = run;
  await renewed;
  await admin.sendEvent(id, "go", 1);
  assert.deepEqual(await result, [1]);
  assert.deepEqual(states, [true]);
});

test("a token whose expiry is not known is renewed when the host has ended the connection", async () => {
  await using stage = await guarded();
  const { host, admin, id } = stage;
  const make = async () => (await admin.createToken(id, { ttl: "1s" })).token;
  const [token, renewed] = counted(2, make);
  const run = subscribeWorkflow(id, { url: host.url, token });
  const { result } = run;
  await renewed;
  await admin.sendEvent(id, "go", 1);
  assert.deepEqual(await result, [1]);
});

test("a token that cannot be had is asked for again", async () => {
  await using stage = await guarded();
  const { host, admin, id } = stage;
  const errors: (string | undefined)[] = [];
  let calls = 0;
  const token = async () => {
    if (++calls < 3) throw new Error("the backend is away");
    return admin.createToken(id);
  };
  const onConnection = (_: boolean, error?: Error) => errors.push(error?.message);
  const run = subscribeWorkflow(id, { url: host.url, token, onConnection });
  const { result } = run;
  await until(run, ({ status }) => status === "waiting");
  assert.deepEqual([calls, errors], [3, ["the backend is away", undefined]]);
  await admin.sendEvent(id, "go", 1);
  await result;
});

test("a token that the host refuses is asked for once more, and then the subscription ends", async () => {
  await using stage = await guarded();
  const { host, id } = stage;
  let calls = 0;
  const run = subscribeWorkflow(id, { url: host.url, token: () => `forge_run_wrong${++calls}` });
  await assert.rejects(run.result, { name: "ForgeError", code: "unauthorized" });
  assert.equal(calls, 2);
  await host.untilWatching(0);
});

test("a token for another run ends the subscription", async () => {
  await using stage = await guarded();
  const { host, admin, id } = stage;
  const other = await host.run([], admin);
  const run = subscribeWorkflow(id, { url: host.url, token: () => admin.createToken(other) });
  await assert.rejects(run.result, { name: "ForgeError", code: "token_scope" });
});

test("a token without payloads shows a run without its input", async () => {
  await using stage = await guarded();
  const { host, admin, id } = stage;
  const run = subscribeWorkflow(id, { url: host.url, token: () => admin.createToken(id, { payloads: false }) });
  const { result } = run;
  const { input, workflow_name } = await until(run, ({ status }) => status === "waiting");
  assert.deepEqual([input, workflow_name], [null, "program"]);
  await admin.sendEvent(id, "go", 1);
  assert.equal(await result, null);
});
