/** A credential: an API key or a run token, with its expiry if it is known. The API's answer to `POST …/tokens` is one. */
export type Token = string | { token: string; expires_at?: string };

/** How to reach a host. */
export interface Options {
  /** The address of the host, without `_api`. In a browser, it may be relative; by default it is `/`. */
  url?: string;
  /**
   * The credential, or a function that gets one. It is called again whenever a new one is needed: for each request, after a
   * lost connection, and before the expiry. A function that takes the id of the run gives each run a connection of its own;
   * one without a parameter is asked once for all.
   */
  token?: Token | ((runId?: string) => Token | Promise<Token>);
  /** The tenant that a key of the host acts for. */
  tenant?: string;
  /** Further headers of requests. */
  headers?: Record<string, string>;
  /** Instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Instead of the global `WebSocket`, which Node.js has since version 22. */
  WebSocket?: new (url: string) => WebSocket;
}

let defaults: Options = {};

/** Sets defaults for all clients and subscriptions that are opened from now on. */
export function configure(options: Options): void {
  defaults = { ...defaults, ...options };
}

/** Returns the options with the defaults. An option that is `undefined` counts as absent. */
export function withDefaults<O extends Options>(options: O): O {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) } as O;
}

/** Returns the address of a path below `_api/`. */
export function address({ url }: Options, path: string): URL {
  const page = globalThis.location?.href;
  if (url === undefined && page === undefined) {
    throw new Error("the address of the host is missing: pass `url`, or call `configure({ url })`");
  }
  const root = (url ?? "/").replace(/[^/]$/, "$&/");
  return new URL(`${root}_api/${path}`, page);
}

/** Returns a credential for a run, or for everything. */
export async function credential(
  { token }: Options,
  runId?: string,
): Promise<{ token?: string; expires_at?: string }> {
  const given = typeof token === "function" ? await token(runId) : token;
  return given === undefined || typeof given === "string" ? (given ? { token: given } : {}) : given;
}
