// Requests to the API, as the caller of the page.

const page = document.documentElement.dataset;

/** The way from this page to the root of the dashboard: empty, or `../` once or more. */
export const root = page.root ?? "";

/** The tenant for which a caller of the host acts; `undefined` if it is the caller's own. */
export const tenant = page.tenant;

/**
 * An answer of the API that is an error: with its status, its code for programs, and its message for people. `path` is the place
 * in an input that does not fit its schema.
 */
export class ApiError extends Error {
  constructor(status, code, message, path) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.path = path;
  }
}

/** Returns the URL of a path of the API, such as `runs/1`. Each part of a path that is not fixed must be encoded. */
export function url(path) {
  return `${root}_api/${path}`;
}

/** Returns the relative link to a page, such as `runs/1`. Each part of a path that is not fixed must be encoded. */
export function href(path) {
  return root + path + (page.tenant ? `?tenant=${encodeURIComponent(page.tenant)}` : "");
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
export async function request(path, options) {
  const { response, text } = await send(path, options);
  const document = parsed(text);
  if (!response.ok || document === undefined) throw refusal(response, document);
  return document;
}

/** Reads a document as its text: the numbers of JavaScript are not those of JSON. Throws an ApiError. */
export async function read(path, options) {
  const { response, text } = await send(path, options);
  if (!response.ok) throw refusal(response, parsed(text));
  return text;
}

async function send(path, { method = "GET", body, signal, headers: more } = {}) {
  const sent = { ...headers(), ...more };
  const isBlob = body instanceof Blob;
  if (body !== undefined && !isBlob) sent["Content-Type"] = "application/json";
  const content = body === undefined || isBlob ? body : JSON.stringify(body);
  try {
    const response = await fetch(url(path), { method, headers: sent, body: content, signal, credentials: "same-origin" });
    return { response, text: await response.text() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
}

/** Returns the error of a host that cannot be reached. */
export function unreachable() {
  return new ApiError(0, "unreachable", "The host cannot be reached. Check the connection, and try again.");
}

/** Returns the error of a page whose reader must log in again. */
export function loggedOut() {
  const message = page.csrf ? "The session has ended." : "The host asks for a login now.";
  return new ApiError(401, "unauthorized", message);
}

/** Returns the document of an answer: `null` if it is empty, `undefined` if it is no JSON. */
export function parsed(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the error of an answer. One that is no JSON is of a proxy in between. */
export function refusal({ status }, document) {
  // The message of the API is for those who send keys.
  if (status === 401) return loggedOut();
  if (document === undefined) {
    return new ApiError(status, "no_json", `The answer (HTTP ${status}) is not from this host's API.`);
  }
  const { code = "unknown", message = `The host answered with HTTP ${status}.`, path } = document?.error ?? {};
  return new ApiError(status, code, message, path);
}
