// The filters: applied without leaving the page, so that the focus stays where it is.

import { request } from "../api.js";

/** Applies the form to a list. */
export function filters(list, selection, updates) {
  const form = document.getElementById("filters");

  async function apply() {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
    const address = new URL(query.size > 0 ? `?${query}` : location.pathname, location);
    // Enter in a field that has changed is two events.
    if (address.href !== location.href) history.pushState(null, "", address);
    selection.clear();
    try {
      await list.read(location.href, { isOther: true });
      updates.again();
    } catch {
      // The page says why.
      location.reload();
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  form.addEventListener("change", apply);
  // The form must show the filters of that address, too.
  window.addEventListener("popstate", () => location.reload());
  form.elements.workflow.addEventListener("focus", suggest, { once: true });
}

/** Suggests the names of the workflows. */
async function suggest() {
  const names = document.getElementById("workflow-names");
  try {
    const { workflows } = await request("workflows");
    names.replaceChildren(...workflows.map(({ name }) => Object.assign(document.createElement("option"), { value: name })));
  } catch {
    // The name can be typed.
  }
}
