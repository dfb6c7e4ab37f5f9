import { backoff, sleep } from "./backoff.ts";
import { ForgeError, isFinal } from "./errors.ts";
import { address, credential, withDefaults, type Options } from "./options.ts";
import type { ErrorDetail, StepRecord, WorkflowRecord, WorkflowStatus } from "./types.ts";
import { outcome } from "./workflow.ts";

/** The seconds for which one request waits for a run. Many proxies cut a request that is silent for 60 s. */
const WAIT = 50;

/** The wait after an answer with a run that is not final, in milliseconds: it is paused, or the host stops. */
const NOT_FINAL = 1_000;

/** The statuses of runs that have ended. */
const FINAL = new Set<WorkflowStatus>(["completed", "compensated", "failed"]);

/** What a start can say besides the input. */
export interface StartOptions {
  /** The version; by default the current one. */
  version?: number;
  /** An idempotency key: starts with the same key and input return the same run. */
  key?: string;
  /** An event for the run, in the same commit as its start. */
  event?: { name: string; payload?: unknown; key?: string };
  /** What happens if the run that the key has started has failed. */
  on_failed?: "return" | "restart";
  tags?: Record<string, string>;
}

/** A run that was started. */
export interface Started {
  run_id: string;
  /** The run as it was found, if the key has started it before. */
  existing?: {
    status: WorkflowStatus;
    error: string | null;
    started_at: string;
    completed_at: string | null;
  };
  event?: SentEvent;
}

/** An event in the inbox of a run. */
export interface SentEvent {
  seq: number;
  /** Whether the key has sent this event before. */
  duplicate: boolean;
}

/** A token for a browser: it reads one run. */
export interface RunToken {
  token: string;
  expires_at: string;
  run_id: string;
}

/** A client of the HTTP API. Its methods reject with a `ForgeError` if the host refuses the request. */
export interface Client {
  /** Starts a run. The run is durable when the promise resolves. */
  start(workflow: string, input?: unknown, options?: StartOptions): Promise<Started>;
  /** Returns a run. */
  run<T = unknown>(runId: string): Promise<WorkflowRecord<T>>;
  /** Returns the calls of a run, in the order in which they began. They are read page by page. */
  steps(runId: string, options?: { payloads?: boolean; limit?: number }): AsyncIterableIterator<StepRecord>;
  /**
   * Waits until a run is final and returns its output, also across restarts of the host. Rejects with a `RunError` if the run
   * fails or is rolled back.
   */
  wait<T = unknown>(runId: string, options?: { signal?: AbortSignal }): Promise<T>;
  /** Cancels a run and rolls it back. Returns the run as it is now. */
  cancel(runId: string): Promise<WorkflowRecord>;
  /** Sends an event to a run. With a key, it can be repeated safely. */
  sendEvent(runId: string, name: string, payload?: unknown, options?: { key?: string }): Promise<SentEvent>;
  /** Makes a token with which a browser can read this run: `ttl` is a duration such as `15m`. */
  createToken(runId: string, options?: { ttl?: string; payloads?: boolean }): Promise<RunToken>;
}

interface Request {
  method?: string;
  body?: unknown;
  run?: string;
  signal?: AbortSignal;
}

/** Creates a client. */
export function createClient(options: Options = {}): Client {
  async function request<R>(path: string, { method = "GET", body, run, signal }: Request): Promise<R> {
    const settings = withDefaults(options);
    const url = address(settings, path);
    const { token } = await credential(settings, run);
    const headers: Record<string, string> = { ...settings.headers };
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (settings.tenant) headers["forge-tenant"] = settings.tenant;
    if (body !== undefined) headers["content-type"] = "application/json";
    const response = await (settings.fetch ?? fetch)(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
    if (response.ok) return response.json();
    throw new ForgeError(await detail(response), response.status);
  }

  const run = encodeURIComponent;
  const client: Client = {
    start: (workflow, input, more) =>
      request(`workflows/${encodeURIComponent(workflow)}/start`, { method: "POST", body: { input, ...more } }),

    run: (id) => request(`runs/${run(id)}`, { run: id }),

    async *steps(id, { payloads = true, limit = 500 } = {}) {
      for (let cursor: number | null | undefined = 0; cursor !== null && cursor !== undefined; ) {
        const path = `runs/${run(id)}/steps?payloads=${payloads}&limit=${limit}&cursor=${cursor}`;
        const page: { steps: StepRecord[]; next_cursor?: number | null } = await request(path, { run: id });
        yield* page.steps;
        cursor = page.next_cursor;
      }
    },

    async wait<T>(id: string, { signal }: { signal?: AbortSignal } = {}) {
      const path = `runs/${run(id)}?wait=${WAIT}`;
      for (let failures = 0; ; ) {
        const record = await request<WorkflowRecord<T>>(path, { run: id, signal }).catch((error: unknown) => {
          if (isFinal(error) || signal?.aborted) throw error;
          // Everything else passes, such as a host that does not answer.
          failures++;
        });
        if (record && FINAL.has(record.status)) return outcome(record);
        if (record) failures = 0;
        await sleep(failures ? backoff(failures) : NOT_FINAL, signal);
      }
    },

    cancel: (id) => request(`runs/${run(id)}/cancel`, { method: "POST", run: id }),

    sendEvent: (id, name, payload, more) =>
      request(`runs/${run(id)}/events/${encodeURIComponent(name)}`, {
        method: "POST",
        body: { payload, ...more },
        run: id,
      }),

    createToken: (id, more = {}) => request(`runs/${run(id)}/tokens`, { method: "POST", body: more, run: id }),
  };
  return client;
}

/** Returns what an error response says. Proxies answer with pages of their own. */
async function detail(response: Response): Promise<ErrorDetail> {
  const body = await response.json().catch(() => undefined);
  return body?.error ?? { code: "http", message: `${response.url} answered ${response.status} ${response.statusText}` };
}
