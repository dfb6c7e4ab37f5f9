// The pages of all workflows and of one: numbers of runs, changes of versions, schemas, and uploads.

import { read } from "../api.js";
import { documentView } from "../json.js";
import { showCounts } from "./counts.js";
import { Upload } from "./upload.js";
import { watchVersions } from "./versions.js";

void showCounts(document.querySelectorAll("[data-counts]"));
watchVersions(document.querySelectorAll("[data-act]"));

const upload = document.querySelector("#upload");
if (upload !== null) new Upload(upload);

for (const details of document.querySelectorAll("[data-schema]")) {
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

// A link to a schema opens it.
function openLinked() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", openLinked);
openLinked();
