// Pages of the dashboard, read by a page.

import { ApiError, loggedOut, root } from "./api.js";

/**
 * Reads a page, as a document of its own in which nothing is executed. `url` is where it is, after redirects. If the page is
 * about an error, `error` has it. Throws an ApiError if there is no page: with the status 401 if the session has ended.
 */
export async function readPage(address, { signal } = {}) {
  let response, text;
  try {
    response = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" }, signal });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The host cannot be reached. The page goes on when it answers.");
  }
  const login = new URL(`${root}login`, location);
  if (response.redirected && new URL(response.url).pathname === login.pathname) {
    throw loggedOut();
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const main = page.querySelector("main");
  // A proxy in between answers with a page of its own.
  if (!main) throw new ApiError(response.status, "no_page", `The answer (HTTP ${response.status}) is not from this host.`);
  const { url } = response;
  if (response.ok) return { page, url };
  const message = main.querySelector("p")?.textContent ?? `The host answered with HTTP ${response.status}.`;
  return { page, url, error: new ApiError(response.status, "unknown", message) };
}
