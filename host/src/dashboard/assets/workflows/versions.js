// Changes which version new runs take.

import { request } from "../api.js";
import { ask } from "../dialog.js";
import { make } from "../dom.js";
import { explained } from "../errors.js";

/** Makes the buttons of versions work. */
export function watchVersions(buttons) {
  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", () => change(button));
  }
}

async function change(button) {
  const { act, workflow, version, current } = button.dataset;
  if (!(await ask(question(act, workflow, version, current)))) return;
  button.disabled = true;
  try {
    await request(`workflows/${encodeURIComponent(workflow)}/versions/${version}/${act}`, { method: "POST" });
    location.reload();
  } catch (error) {
    button.disabled = false;
    said(button, error);
  }
}

function question(act, workflow, version, current) {
  const kept = "Runs in progress keep their version.";
  if (act === "activate") {
    const before = current === undefined ? "" : ` instead of version ${current}`;
    return {
      title: `Activate version ${version} of ${workflow}?`,
      body: `New runs take version ${version}${before}, until another version is activated. ${kept}`,
      confirm: "Activate",
    };
  }
  const after = current === version ? " Starts without a version take the highest version that is not deprecated." : "";
  return {
    title: `Deprecate version ${version} of ${workflow}?`,
    body: `New runs take version ${version} only if their start names it.${after} ${kept} Activating it ends this.`,
    confirm: "Deprecate",
    danger: true,
  };
}

/** Says why a change was refused, below the table. */
function said(button, error) {
  const table = button.closest(".scroll");
  const notice = make("p", { className: "notice", "data-kind": "bad", role: "alert" }, ...explained(error));
  if (table.nextElementSibling?.getAttribute("role") === "alert") table.nextElementSibling.remove();
  table.after(notice);
}
