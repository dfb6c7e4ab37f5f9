// The page that starts a run.

import { href, read, request } from "../api.js";
import { explained } from "../errors.js";
import { part } from "../json/scan.js";
import { Tags } from "../tags.js";
import { fields, isForm } from "./fields.js";
import { Input } from "./input.js";

const page = document.querySelector("#start");
const { workflow, from } = page.dataset;
const find = (selector) => page.querySelector(selector);
const version = find("#start-version");
const trouble = find("#start-trouble");
const input = new Input(page);
const tags = new Tags(page);
const ofWorkflow = `workflows/${encodeURIComponent(workflow)}`;

/** Reads the schema of the chosen version, and shows the input in its form. */
async function showVersion() {
  const [chosen] = version.selectedOptions;
  if (chosen.dataset.hasSchema === undefined) {
    input.setField(undefined);
    return;
  }
  const query = chosen.value === "" ? "" : `?version=${chosen.value}`;
  try {
    const field = fields(await request(`${ofWorkflow}/schema${query}`));
    // The answer for a version that is no longer chosen is of no use.
    if (version.selectedOptions[0] === chosen) input.setField(isForm(field) ? field : undefined);
  } catch (error) {
    input.setField(undefined);
    say(error, "The schema cannot be read: ");
  }
}

/** Shows the input and the tags of another run. */
async function takeFrom(run) {
  try {
    const record = await read(`runs/${run}`);
    input.setText(part(record, ["input"]) ?? "{}");
    tags.set(JSON.parse(part(record, ["tags"]) ?? "{}"));
  } catch (error) {
    say(error, `The input of run ${run} cannot be read: `);
  }
}

/** Shows an error that belongs to no field, after words about what has failed. */
function say(error, before = "") {
  trouble.hidden = error === undefined;
  trouble.replaceChildren(...(error === undefined ? [] : [before, ...explained(error)]));
}

/** Returns what is wrong at the path of an error. The message begins with the path, which the form shows by its place. */
function reason({ path, message }) {
  const why = message.split(`, at ${path}: `).at(-1);
  return `${why.charAt(0).toUpperCase()}${why.slice(1)}.`;
}

async function start() {
  say(undefined);
  const text = input.read();
  if (text === undefined) return;
  const [key, tagged] = [find("#start-key").value, tags.read()];
  const members = [
    `"input":${text}`,
    version.value === "" ? undefined : `"version":${version.value}`,
    key === "" ? undefined : `"key":${JSON.stringify(key)}`,
    tagged === undefined ? undefined : `"tags":${JSON.stringify(tagged)}`,
  ];
  // As text, because JavaScript would change numbers.
  const body = new Blob([`{${members.filter((member) => member !== undefined).join(",")}}`]);
  const button = find("button[type=submit]");
  button.disabled = true;
  try {
    const headers = { "Content-Type": "application/json" };
    const { run_id } = await request(`${ofWorkflow}/start`, { method: "POST", body, headers });
    location.assign(href(`runs/${run_id}`));
  } catch (error) {
    button.disabled = false;
    // An error of the input is shown at its field, if there is one.
    if (error.path === undefined || !input.show([{ path: error.path, message: reason(error) }])) say(error);
  }
}

page.addEventListener("submit", (event) => {
  event.preventDefault();
  void start();
});
page.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) page.requestSubmit();
});
version.addEventListener("change", () => void showVersion());

await showVersion();
if (from !== undefined) await takeFrom(from);
page.hidden = false;
