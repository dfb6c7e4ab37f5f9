// Builds the client as one module. `node scripts/bundle.ts FILE` writes it to a file, for pages that have no build step.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The first line of the module. */
const ORIGIN = "// Built from clients/typescript by `npm run bundle`: edit the sources there.";

/** Returns the client as one module. */
export async function bundle(options: { minify?: boolean } = {}): Promise<string> {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    ...options,
  });
  return outputFiles[0]!.text;
}

const file = process.argv[2];
if (import.meta.main && file) await writeFile(file, `${ORIGIN}\n${await bundle()}`);
