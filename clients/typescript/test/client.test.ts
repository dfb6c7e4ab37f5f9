// The HTTP API, with a real host.

import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { createClient, ForgeError, RunError } from "../src/index.ts";
import { Host } from "./host.ts";
import { call, event, fail, repeat, step } from "./programs.ts";

const host = await Host.withProgram();
after(() => host[Symbol.asyncDispose]());

test("a run is started, gets an event, and its output is awaited", async () => {
  const client = host.client();
  const id = await host.run([step("ask", event("answer"))]);
  const output = client.wait<string[][]>(id);
  const sent = await client.sendEvent(id, "answer", "yes", { key: "1" });
  assert.deepEqual(sent, { seq: 1, duplicate: false });
  assert.deepEqual(await client.sendEvent(id, "answer", "no", { key: "1" }), { seq: 1, duplicate: true });
  assert.deepEqual(await output, [["yes"]]);
  assert.equal((await client.run(id)).status, "completed");
});

test("starts with the same key are one run", async () => {
  const start = () => host.client().start("program", { services: "http://a", body: [] }, { key: "order-1" });
  const [first, second] = [await start(), await start()];
  assert.equal(first.run_id, second.run_id);
  assert.deepEqual([first.existing, second.existing !== undefined], [undefined, true]);
});

test("the calls of a run are read page by page", async () => {
  const id = await host.run([repeat(25, call)]);
  await host.client().wait(id);
  const seqs: number[] = [];
  for await (const { seq } of host.client().steps(id, { limit: 10, payloads: false })) seqs.push(seq);
  assert.deepEqual(seqs, Array.from({ length: 25 }, (_, index) => index + 1));
});

test("the wait for a run that fails rejects with the kind and the message", async () => {
  const id = await host.run([step("charge", fail("the card is declined", "declined"))]);
  await assert.rejects(host.client().wait(id), (error) => {
    assert(error instanceof RunError, `${error}`);
    assert.equal(error.kind, "declined");
    assert.match(error.message, /the card is declined/);
    assert.equal(error.run.id, id);
    return true;
  });
});

test("the wait for a run that is cancelled rejects", async () => {
  const id = await host.run([event("never")]);
  const output = host.client().wait(id);
  await host.client().cancel(id);
  await assert.rejects(output, { name: "RunError", kind: "cancelled" });
});

test("a refusal has its code, its status and what to do", async () => {
  await assert.rejects(host.client().start("prorgam"), (error) => {
    assert(error instanceof ForgeError, `${error}`);
    assert.deepEqual([error.code, error.status], ["unknown_workflow", 404]);
    assert.match(error.message, /did you mean `program`/);
    return true;
  });
  const nobody = "01a20694-8ff8-7748-89c8-fa96129b4a72";
  await assert.rejects(host.client().wait(nobody), { name: "ForgeError", code: "unknown_run" });
});

test("a refusal of an input says which place of it does not fit", async () => {
  const error = { code: "invalid_input", message: "expected at least 1, found 0", path: "$.count" };
  const fetch = async () => Response.json({ error }, { status: 400 });
  const client = createClient({ url: host.url, fetch });
  await assert.rejects(client.start("order", { count: 0 }), { name: "ForgeError", status: 400, ...error });
});

test("a wait goes on when the host was killed", async () => {
  await using host = await Host.withProgram();
  const id = await host.run([event("go")]);
  const output = host.client().wait(id);
  await host.kill();
  await host.launch();
  await host.client().sendEvent(id, "go", 1);
  assert.deepEqual(await output, [1]);
});

test("a wait ends with its signal", async () => {
  const id = await host.run([event("never")]);
  await assert.rejects(host.client().wait(id, { signal: AbortSignal.timeout(100) }), { name: "TimeoutError" });
});

test("a client sends its key, and without one it is refused", async () => {
  await using host = await Host.start();
  const key = await host.key("admin");
  await host.deploy(key);
  const client = host.client({ token: async () => key });
  const id = await host.run([], client);
  assert.equal((await client.run(id)).workflow_name, "program");
  await assert.rejects(host.client().run(id), { code: "unauthorized", status: 401 });
});
