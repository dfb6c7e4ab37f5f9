// The input and the output of the run, which are loaded when they are opened.

import { read } from "../api.js";
import { documentView } from "../json.js";
import { part } from "../json/scan.js";
import { make } from "../dom.js";

/** Returns a document of the run, `input` or `output`, as it was written. */
export async function documentOf(run, name, signal) {
  return part(await read(`runs/${run}`, { signal }), [name]);
}

/** Loads the documents when they are opened. `toggle` events do not bubble, so they are caught on their way down. */
export function watchDocuments(root, run) {
  root.addEventListener(
    "toggle",
    ({ target }) => {
      const name = target.dataset?.document;
      if (name === undefined || !target.open || target.dataset.loaded !== undefined) return;
      target.dataset.loaded = "";
      const title = name === "input" ? "Input" : "Output";
      const load = (signal) => documentOf(run, name, signal);
      target.querySelector(".body").replaceChildren(documentView({ title, name: `${name}-${run}.json`, load }));
    },
    { capture: true },
  );
}

/** Returns the documents of a call: its input and its result, read together. */
export function callDocuments(run, row, signal) {
  let loaded;
  const load = async () => read(`runs/${run}/steps?cursor=${row.seq - 1}&limit=1`, { signal });
  const loadOf = (name) => async () => {
    loaded ??= load();
    const all = loaded;
    try {
      const text = part(await all, ["steps", 0, name]);
      // A step without an input has `null`, and so has a call without a result yet.
      const isNone = text === "null" && (name === "input" || row.status !== "completed");
      return isNone ? undefined : text;
    } catch (error) {
      // Another attempt reads it again.
      if (loaded === all) loaded = undefined;
      throw error;
    }
  };
  const isRequest = row.kind === "http";
  const [input, result] = isRequest ? ["Request", "Response"] : ["Input", "Result"];
  return make(
    "div",
    { className: "call-documents" },
    documentView({ title: input, name: `call-${row.seq}-input-${run}.json`, load: loadOf("input"), signal }),
    documentView({ title: result, name: `call-${row.seq}-result-${run}.json`, load: loadOf("result"), signal }),
  );
}
