// The filters: applied without leaving the page, so that the focus stays where it is.

import { request } from "../api.js";

/** Applies the form to a list. */
export function filters(list, selection, updates) {
  const form = document.getElementById("filters");

  async function apply() {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
    const address = new URL(query.size > 0 ? `?${query}` : location.pathname, location);
    selection.clear();
    try {
      const url = await list.read(address, { isOther: true });
      // Enter in a field that has changed is two events: the second one finds what the first one has asked for.
      if (url === undefined) return;
      if (url !== location.href) history.pushState(null, "", url);
      updates.again();
    } catch (error) {
      updates.tell(error);
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
