// What is published: its size, and that it needs nothing.

import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundle } from "../scripts/bundle.ts";

/** The most that the whole client may take, minified and compressed with gzip. */
const MOST_BYTES = 4096;

test("the client, minified and compressed, is smaller than 4 KB", async (t) => {
  const { length } = gzipSync(await bundle({ minify: true }), { level: 9 });
  t.diagnostic(`${length} bytes`);
  assert(length < MOST_BYTES, `${length} bytes`);
});

test("the client needs no other package", async () => {
  const description = await readFile(new URL("../package.json", import.meta.url), "utf8");
  assert.equal(JSON.parse(description).dependencies, undefined);
  assert.doesNotMatch(await bundle(), /\bimport\b|\brequire\b/);
});
