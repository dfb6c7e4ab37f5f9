// The pages of all workflows and of one: numbers of runs, changes of versions, schemas, and uploads.

import { read } from "../api.js";
import { readPage } from "../document.js";
import { documentView } from "../json.js";
import { showCounts } from "./counts.js";
import { Upload } from "./upload.js";
import { watchVersions } from "./versions.js";

/** Makes a part of the page work that the server has rendered. */
function watch(part) {
  void showCounts(part.querySelectorAll("[data-counts]"));
  watchVersions(part.querySelectorAll("[data-act]"));
  for (const details of part.querySelectorAll("[data-schema]")) watchSchema(details);
}

/** Reads the page again, and shows what is listed now. Throws an ApiError. */
async function refresh() {
  const { page, error } = await readPage(location.href.split("#")[0]);
  if (error !== undefined) throw error;
  for (const part of page.querySelectorAll("[data-part]")) {
    document.querySelector(`[data-part="${part.dataset.part}"]`).replaceWith(part);
    watch(part);
  }
}

/** Reads a schema when it is opened. */
function watchSchema(details) {
  const { schema: workflow, version } = details.dataset;
  const open = () => {
    if (!details.open) return;
    details.removeEventListener("toggle", open);
    const view = documentView({
      title: `Schema of ${workflow} version ${version}`,
      name: `${workflow}.v${version}.schema.json`,
      load: (signal) => read(`workflows/${encodeURIComponent(workflow)}/schema?version=${version}`, { signal }),
    });
    details.querySelector(".body").replaceChildren(view);
  };
  details.addEventListener("toggle", open);
}

watch(document);
const upload = document.querySelector("#upload");
if (upload !== null) new Upload(upload, refresh);

// A link to a schema opens it.
function openLinked() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", openLinked);
openLinked();
