// Requests to the API, as the caller of the page.

const page = document.documentElement.dataset;

/** The way from this page to the root of the dashboard: empty, or `../` once or more. */
export const root = page.root ?? "";

/** An answer of the API that is an error: with its status, its code for programs, and its message for people. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** Returns the URL of a path of the API, such as `runs/1`. Each part of a path that is not fixed must be encoded. */
export function url(path) {
  return `${root}_api/${path}`;
}

/** Returns the headers by which the API knows the caller of this page. */
export function headers() {
  const headers = { Accept: "application/json" };
  if (page.csrf) headers["Forge-CSRF"] = page.csrf;
  if (page.tenant) headers["Forge-Tenant"] = page.tenant;
  return headers;
}

/**
 * Sends a request to the API, such as `request("runs/1/cancel", { method: "POST" })`, and returns the document of the answer.
 * A body is sent as JSON, or as it is if it is a Blob. Throws an ApiError.
 */
export async function request(path, { method = "GET", body, signal, headers: more } = {}) {
  const sent = { ...headers(), ...more };
  const isBlob = body instanceof Blob;
  if (body !== undefined && !isBlob) sent["Content-Type"] = "application/json";
  let response;
  try {
    const content = body === undefined || isBlob ? body : JSON.stringify(body);
    response = await fetch(url(path), { method, headers: sent, body: content, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The host cannot be reached. Check the connection, and try again.");
  }
  return read(response);
}

/** Returns the document of an answer, or throws its error. */
async function read(response) {
  const text = await response.text();
  let document = null;
  try {
    document = text === "" ? null : JSON.parse(text);
  } catch {
    // A proxy in between answers with a page of its own.
    throw new ApiError(response.status, "no_json", `The answer (HTTP ${response.status}) is not from this host's API.`);
  }
  if (response.ok) return document;
  const { code = "unknown", message = `The host answered with HTTP ${response.status}.` } = document?.error ?? {};
  throw new ApiError(response.status, code, message);
}
