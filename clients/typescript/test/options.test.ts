// Addresses, tokens and waits: pure code, without a host.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { backoff } from "../src/backoff.ts";
import { address, configure, credential, withDefaults } from "../src/options.ts";

test("the address of the host may have a path, with or without a slash at its end", () => {
  for (const url of ["https://forge.example/base", "https://forge.example/base/"]) {
    assert.equal(address({ url }, "live").href, "https://forge.example/base/_api/live");
  }
  assert.equal(address({ url: "http://127.0.0.1:7070" }, "runs/a").href, "http://127.0.0.1:7070/_api/runs/a");
});

test("outside of a page, the address of the host is necessary", () => {
  assert.throws(() => address({}, "live"), /the address of the host is missing: pass `url`/);
});

test("in a page, addresses are relative to it", (t) => {
  Object.assign(globalThis, { location: { href: "https://shop.example/forge/runs/1" } });
  t.after(() => Reflect.deleteProperty(globalThis, "location"));
  assert.equal(address({}, "live").href, "https://shop.example/_api/live");
  assert.equal(address({ url: "../" }, "live").href, "https://shop.example/forge/_api/live");
  assert.equal(address({ url: "" }, "live").href, "https://shop.example/forge/runs/_api/live");
});

test("a token is a text, an object with its expiry, or a function that gets one for a run", async () => {
  const expires_at = "2026-01-01T00:00:00Z";
  assert.deepEqual(await credential({}), {});
  assert.deepEqual(await credential({ token: "a" }), { token: "a" });
  assert.deepEqual(await credential({ token: { token: "a", expires_at } }), { token: "a", expires_at });
  assert.deepEqual(await credential({ token: async (run) => `for ${run}` }, "r1"), { token: "for r1" });
});

test("an option that is undefined has its default", () => {
  configure({ url: "http://a", tenant: "acme" });
  const options = withDefaults({ url: undefined, tenant: "other" });
  assert.deepEqual([options.url, options.tenant], ["http://a", "other"]);
});

test("waits grow to half a minute and vary", () => {
  const [first, tenth] = [backoff(0), backoff(10)];
  assert(first >= 125 && first <= 250, `${first}`);
  assert(tenth >= 15_000 && tenth <= 30_000, `${tenth}`);
  assert.notEqual(backoff(10), tenth);
});
