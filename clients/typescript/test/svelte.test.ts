// The stores in Svelte, as its compiler and its runtime use them.

import { strict as assert } from "node:assert";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { compile } from "svelte/compiler";
import { derived, get } from "svelte/store";
import { configure, subscribeWorkflow } from "../src/index.ts";
import { Host } from "./host.ts";
import { place, untilShown } from "./page.ts";
import { event, step, until } from "./programs.ts";

const host = await Host.withProgram();
after(() => host[Symbol.asyncDispose]());

/** A component that is on a page. */
interface Shown {
  show(target: HTMLElement, properties: Record<string, unknown>): () => Promise<void>;
}

/** Compiles a component for browsers, with Svelte and the client. */
async function compiled(source: string): Promise<Shown> {
  const component = compile(source, { generate: "client", dev: false }).js.code;
  const contents = `
    import { mount, unmount } from "svelte";
    ${component.replace("export default function", "function")}
    export function show(target, props) {
      const shown = mount(${component.match(/export default function (\w+)/)![1]}, { target, props });
      return () => unmount(shown);
    }`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    alias: { "@forge-workflows/client": fileURLToPath(new URL("../src/index.ts", import.meta.url)) },
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["browser", "production"],
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString("base64")}`);
}

test("`get` and `derived` read the store", async () => {
  const id = await host.run([event("go")]);
  const run = subscribeWorkflow(id, { url: host.url });
  assert.equal(get(run), undefined);
  const status = derived(run, (value) => value?.status ?? "unknown");
  const seen: string[] = [];
  const unsubscribe = status.subscribe((value) => seen.push(value));
  await until(run, ({ status }) => status === "waiting");
  assert.deepEqual([seen[0], get(status), get(run)?.id], ["unknown", "waiting", id]);
  unsubscribe();
  await host.untilWatching(0);
});

test("the example of the specification shows a run live", async () => {
  const { show } = await compiled(`
    <script>
      import { configure, subscribeWorkflow } from "@forge-workflows/client";
      export let url;
      export let runId;
      export let print;
      configure({ url });
      const workflow = subscribeWorkflow(runId);
      $: if ($workflow) print($workflow.status, $workflow.steps);
    </script>
    {#if $workflow}{$workflow.status}{#each $workflow.steps as step (step.seq)}, {step.step_name} {step.status}{/each}{/if}`);
  const id = await host.run([step("ask", event("go"))]);
  const printed: unknown[][] = [];
  const target = place();
  const close = show(target, { url: host.url, runId: id, print: (...all: unknown[]) => printed.push(all) });
  await untilShown(target, "waiting, ask running, go running");
  await host.client().sendEvent(id, "go", 1);
  await untilShown(target, "completed, ask completed, go completed");
  await host.untilWatching(0);
  assert.deepEqual(printed.at(-1), ["completed", await Array.fromAsync(host.client().steps(id))]);
  await close();
});

test("a component that leaves the page closes the connection", async () => {
  const { show } = await compiled(`
    <script>
      let { workflow } = $props();
    </script>
    {$workflow?.status ?? "…"}`);
  configure({ url: host.url });
  const id = await host.run([event("never")]);
  const target = place();
  const close = show(target, { workflow: subscribeWorkflow(id) });
  await untilShown(target, "waiting");
  assert.equal(host.watching, 1);
  await close();
  await host.untilWatching(0);
});
