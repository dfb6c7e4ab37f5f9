// Errors as a part of a page.

import { root } from "./api.js";
import { make } from "./dom.js";
import { lines } from "./printable.js";

/** Returns what a page says of an error: its message, and the way back in if the session has ended. */
export function explained(error) {
  const message = lines(error.message);
  return error.status === 401 ? [`${message} `, make("a", { href: login() }, "Log in again"), "."] : [message];
}

/** Shows an error in its place, which is hidden without one. */
export function tell(place, error) {
  const told = make("span", {}, ...(error === undefined ? [] : explained(error)));
  place.hidden = error === undefined;
  // A screen reader reads each change of a live region.
  if (place.textContent !== told.textContent) place.replaceChildren(...told.childNodes);
}

/** Returns the link to the login, which leads back to this page. */
function login() {
  // The path below the root of the dashboard: a proxy may serve that under any path.
  const path = location.pathname.split("/").slice(-root.split("../").length).join("/");
  return `${root}login?next=${encodeURIComponent(path + location.search + location.hash)}`;
}
