// Built from clients/typescript by `npm run bundle`: edit the sources there.
// src/backoff.ts
var FIRST = 250;
var LONGEST = 3e4;
function backoff(failures) {
  return Math.min(LONGEST, FIRST * 2 ** failures) * (0.5 + Math.random() / 2);
}
function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", aborted);
  });
}

// src/errors.ts
var FINAL = /^(un(authorized|known|supported)|invalid|forbidden|suspended|token|cross_site|csrf|corrupt)/;
var ForgeError = class extends Error {
  name = "ForgeError";
  /** The stable code, for programs: docs/api.md has the table. */
  code;
  /** The HTTP status, if the refusal is an HTTP response. */
  status;
  /** The place in the input that does not fit the schema, such as `$.count`, if the code is `invalid_input`. */
  path;
  constructor({ code, message, path }, status) {
    super(message);
    this.code = code;
    this.path = path;
    this.status = status;
  }
};
var RunError = class extends Error {
  name = "RunError";
  /** What kind of failure it was: `error`, `timeout`, `cancelled`, …, or a kind that the workflow defines. */
  kind;
  /** The run. */
  run;
  constructor(run) {
    super(run.error ?? `the run is ${run.status}`);
    this.kind = run.error_kind ?? run.status;
    this.run = run;
  }
};
function isFinal(error) {
  return error instanceof ForgeError && FINAL.test(error.code);
}
function asError(reason) {
  return reason instanceof Error ? reason : new Error(String(reason));
}

// src/options.ts
var defaults = {};
function configure(options) {
  defaults = { ...defaults, ...options };
}
function withDefaults(options) {
  const given = Object.entries(options).filter(([, value]) => value !== void 0);
  return { ...defaults, ...Object.fromEntries(given) };
}
function address({ url }, path) {
  const page = globalThis.location?.href;
  if (url === void 0 && page === void 0) {
    throw new Error("the address of the host is missing: pass `url`, or call `configure({ url })`");
  }
  const root = (url ?? "/").replace(/[^/]$/, "$&/");
  return new URL(`${root}_api/${path}`, page);
}
async function credential({ token }, runId) {
  const given = typeof token === "function" ? await token(runId) : token;
  return given === void 0 || typeof given === "string" ? given ? { token: given } : {} : given;
}

// src/frames.ts
var Replica = class {
  /** The position up to which the run is known. */
  position;
  #run;
  #steps = /* @__PURE__ */ new Map();
  #logs = /* @__PURE__ */ new Map();
  /** The frames of a group whose last one has not come. */
  #group = [];
  /** Adds a frame. Returns whether it was the last one of its group, so that the run has changed. */
  add(frame) {
    if (frame.type === "snapshot" && frame.run) this.#group = [];
    this.#group.push(frame);
    if (frame.position === void 0) return false;
    this.#group.forEach((part, index) => this.#apply(part, index));
    this.#group = [];
    this.position = frame.position;
    return true;
  }
  /** Drops an unfinished group: its connection is lost, and the host sends it again from the position. */
  interrupt() {
    this.#group = [];
  }
  /** Returns the run, as a new object. `undefined` before the first snapshot. */
  value() {
    return this.#run && { ...this.#run, steps: inOrder(this.#steps), logs: inOrder(this.#logs) };
  }
  #apply({ type, run, steps, logs }, index) {
    if (type === "snapshot" && !index) this.#steps.clear();
    const input = type === "delta" && this.#run ? { input: this.#run.input } : {};
    if (run) this.#run = { ...run, ...input };
    for (const step of steps ?? []) this.#steps.set(step.seq, step);
    for (const line of logs ?? []) this.#logs.set(line.seq, line);
  }
};
function inOrder(values) {
  return [...values.values()].sort((a, b) => a.seq - b.seq);
}
function listAfter(frame, before) {
  const runs = new Map(frame.type === "snapshot" ? [] : before.map((run) => [run.id, run]));
  for (const id of frame.gone ?? []) runs.delete(id);
  for (const run of frame.runs ?? []) runs.set(run.id, run);
  return [...runs.values()].sort((a, b) => a.id < b.id ? 1 : -1);
}

// src/connection.ts
var LONGEST_TIMER = 2 ** 31 - 1;
var RENEWAL = 0.8;
var LEAST_RENEWAL = 1e3;
var KEEP_ALIVE = 3e4;
var OPEN = 1;
var connections = [];
var lastId = 0;
function join(subscription, options) {
  const { token, tenant, WebSocket = globalThis.WebSocket } = options;
  if (!WebSocket) {
    throw new Error("this JavaScript runtime has no WebSocket: pass one as `WebSocket`, for example of the package `ws`");
  }
  const url = address(options, "live");
  url.protocol = url.protocol.replace("http", "ws");
  if (tenant) url.searchParams.set("tenant", tenant);
  const run = typeof token === "function" && token.length ? subscription.run : void 0;
  const key = [url.href, token, run, WebSocket];
  let connection = connections.find((other) => other.key.every((part, index) => part === key[index]));
  if (!connection) {
    connection = new Connection(key, () => credential(options, run), () => new WebSocket(url.href));
    connections.push(connection);
  }
  return connection.add(subscription);
}
var Connection = class {
  key;
  #token;
  #dial;
  #entries = /* @__PURE__ */ new Map();
  #socket;
  /** The next attempt to connect, or the next token. */
  #timer;
  #keepAlive;
  /** The attempt under way. Another object means that it is outdated. */
  #attempt;
  /** The failures in a row. */
  #failures = 0;
  /** Whether the last connection was refused for good. A second time, a new token will not help either. */
  #refused = false;
  constructor(key, token, dial) {
    this.key = key;
    this.#token = token;
    this.#dial = dial;
  }
  add(subscription) {
    const id = String(++lastId);
    const entry = { subscription, failures: 0 };
    this.#entries.set(id, entry);
    if (this.#entries.size === 1) void this.#open();
    else this.#subscribe(id, entry);
    return () => {
      if (this.#entries.has(id)) this.#send({ unsubscribe: id });
      this.#remove(id);
    };
  }
  /** Gets a token and connects with it, instead of the connection that there is. */
  async #open() {
    clearTimeout(this.#timer);
    const attempt = this.#attempt = {};
    try {
      const { token, expires_at } = await this.#token();
      if (this.#attempt !== attempt) return;
      this.#hangUp();
      const socket = this.#socket = this.#dial();
      socket.onopen = () => {
        if (token) this.#send({ token });
        for (const [id, entry] of this.#entries) this.#subscribe(id, entry);
      };
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
      socket.onclose = () => this.#lost(new Error("the connection to the host is lost"));
      socket.onerror = () => {
      };
      this.#keepAlive = setInterval(() => this.#send({ unsubscribe: "" }), KEEP_ALIVE);
      this.#renewBefore(expires_at);
    } catch (reason) {
      if (this.#attempt !== attempt) return;
      if (this.#socket) this.#again();
      else this.#lost(asError(reason));
    }
  }
  /** Renews a token early. If the clock says that it has expired, the clock is wrong, and the host closes the connection. */
  #renewBefore(expiry) {
    const left = expiry === void 0 ? 0 : Date.parse(expiry) - Date.now();
    if (!(left > 0)) return;
    const wait = Math.min(Math.max(left * RENEWAL, LEAST_RENEWAL), LONGEST_TIMER);
    this.#timer = setTimeout(() => this.#open(), wait);
  }
  #again() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), backoff(this.#failures++));
  }
  #lost(error) {
    this.#hangUp();
    const isFinalNow = isFinal(error) && this.#refused;
    this.#refused = isFinal(error);
    for (const [id, { subscription }] of [...this.#entries]) {
      if (isFinalNow) this.#remove(id);
      if (isFinalNow) subscription.fail(error);
      else subscription.connected(false, error);
    }
    if (this.#entries.size) this.#again();
  }
  #receive(frame) {
    const { id, type } = frame;
    const entry = this.#entries.get(id ?? "");
    const error = frame.error && new ForgeError(frame.error);
    if (error && id === void 0) {
      this.#lost(error);
    } else if (!entry) {
    } else if (error && isFinal(error)) {
      this.#remove(id);
      entry.subscription.fail(error);
    } else if (error) {
      clearTimeout(entry.retry);
      entry.retry = setTimeout(() => this.#subscribe(id, entry), backoff(entry.failures++));
    } else {
      this.#failures = entry.failures = 0;
      this.#refused = false;
      if (type === "end") this.#remove(id);
      entry.subscription.connected(true);
      entry.subscription.receive(frame);
    }
  }
  #subscribe(id, { subscription, retry }) {
    clearTimeout(retry);
    if (this.#socket?.readyState === OPEN) this.#send({ subscribe: subscription.request(), id });
  }
  #send(message) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }
  #remove(id) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    clearTimeout(entry.retry);
    this.#entries.delete(id);
    if (this.#entries.size) return;
    clearTimeout(this.#timer);
    this.#attempt = void 0;
    this.#hangUp();
    connections.splice(connections.indexOf(this), 1);
  }
  /** Closes the socket, once it is open: browsers report a socket that is closed before as an error. */
  #hangUp() {
    clearInterval(this.#keepAlive);
    const socket = this.#socket;
    this.#socket = void 0;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    if (socket.readyState === OPEN) socket.close();
    else socket.onopen = () => socket.close();
  }
};

// src/store.ts
var Store = class {
  value;
  error;
  /** Whether nothing follows: there is an error, or the run has ended. */
  over = false;
  #options;
  #feed;
  #subscribers = /* @__PURE__ */ new Set();
  #leave;
  #connected;
  constructor(options, feed) {
    this.#options = options;
    this.#feed = feed;
    options.signal?.addEventListener("abort", () => this.#abort());
  }
  subscribe(run) {
    if (this.#options.signal?.aborted) this.#abort();
    if (!this.#leave && !this.over) this.#join();
    const subscriber = { run };
    this.#subscribers.add(subscriber);
    run(this.value);
    return () => {
      this.#subscribers.delete(subscriber);
      if (!this.#subscribers.size) this.#close();
    };
  }
  /** Takes the next value. */
  set(value) {
    this.value = value;
    for (const { run } of [...this.#subscribers]) run(value);
  }
  /** Ends the subscription, because of an error or because the run has ended. */
  end(error) {
    if (this.over) return;
    this.over = true;
    this.error = error;
    this.#close();
    if (error) this.set(this.value);
  }
  #join() {
    const options = withDefaults(this.#options);
    this.#leave = join(
      {
        ...this.#feed,
        fail: (error) => this.end(error),
        connected: (is, error) => {
          if (is === this.#connected) return;
          this.#connected = is;
          options.onConnection?.(is, error);
        }
      },
      options
    );
  }
  #abort() {
    this.end(asError(this.#options.signal?.reason));
  }
  #close() {
    this.#leave?.();
    this.#leave = this.#connected = void 0;
  }
};

// src/workflow.ts
function subscribeWorkflow(runId, options = {}) {
  return new LiveWorkflow(runId, options);
}
var LiveWorkflow = class extends Store {
  #result;
  #ended;
  constructor(run, options) {
    const replica = new Replica();
    const { payloads, logs } = options;
    super(options, {
      run,
      request: () => {
        replica.interrupt();
        return { run, since: replica.position, payloads, logs };
      },
      receive: (frame) => {
        if (frame.type === "end") this.end();
        else if (replica.add(frame)) this.set(replica.value());
      }
    });
  }
  get result() {
    if (!this.#result) {
      this.#result = this.#outcome();
      this.#result.catch(() => {
      });
    }
    return this.#result;
  }
  async #outcome() {
    const unsubscribe = this.subscribe(() => {
    });
    await new Promise((resolve) => {
      this.#ended = resolve;
      if (this.over) resolve();
    });
    unsubscribe();
    if (this.error) throw this.error;
    return outcome(this.value);
  }
  end(error) {
    super.end(error);
    this.#ended?.();
  }
};
function outcome(run) {
  if (run.status !== "completed") throw new RunError(run);
  return run.output;
}

// src/client.ts
var WAIT = 50;
var NOT_FINAL = 1e3;
var FINAL2 = /* @__PURE__ */ new Set(["completed", "compensated", "failed"]);
function createClient(options = {}) {
  async function request(path, { method = "GET", body, run: run2, signal }) {
    const settings = withDefaults(options);
    const url = address(settings, path);
    const { token } = await credential(settings, run2);
    const headers = { ...settings.headers };
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (settings.tenant) headers["forge-tenant"] = settings.tenant;
    if (body !== void 0) headers["content-type"] = "application/json";
    const response = await (settings.fetch ?? fetch)(url, {
      method,
      headers,
      body: body === void 0 ? null : JSON.stringify(body),
      signal: signal ?? null
    });
    if (response.ok) return response.json();
    throw new ForgeError(await detail(response), response.status);
  }
  const run = encodeURIComponent;
  const client = {
    start: (workflow, input, more) => request(`workflows/${encodeURIComponent(workflow)}/start`, { method: "POST", body: { input, ...more } }),
    run: (id) => request(`runs/${run(id)}`, { run: id }),
    async *steps(id, { payloads = true, limit = 500 } = {}) {
      for (let cursor = 0; cursor !== null && cursor !== void 0; ) {
        const path = `runs/${run(id)}/steps?payloads=${payloads}&limit=${limit}&cursor=${cursor}`;
        const page = await request(path, { run: id });
        yield* page.steps;
        cursor = page.next_cursor;
      }
    },
    async wait(id, { signal } = {}) {
      const path = `runs/${run(id)}?wait=${WAIT}`;
      for (let failures = 0; ; ) {
        const record = await request(path, { run: id, signal }).catch((error) => {
          if (isFinal(error) || signal?.aborted) throw error;
          failures++;
        });
        if (record && FINAL2.has(record.status)) return outcome(record);
        if (record) failures = 0;
        await sleep(failures ? backoff(failures) : NOT_FINAL, signal);
      }
    },
    cancel: (id) => request(`runs/${run(id)}/cancel`, { method: "POST", run: id }),
    sendEvent: (id, name, payload, more) => request(`runs/${run(id)}/events/${encodeURIComponent(name)}`, {
      method: "POST",
      body: { payload, ...more },
      run: id
    }),
    createToken: (id, more = {}) => request(`runs/${run(id)}/tokens`, { method: "POST", body: more, run: id })
  };
  return client;
}
async function detail(response) {
  const body = await response.json().catch(() => void 0);
  return body?.error ?? { code: "http", message: `${response.url} answered ${response.status} ${response.statusText}` };
}

// src/runs.ts
function subscribeRuns(filter = {}, options = {}) {
  const store = new Store(options, {
    request: () => ({ runs: filter }),
    receive: (frame) => store.set(listAfter(frame, store.value ?? []))
  });
  return store;
}
export {
  ForgeError,
  RunError,
  configure,
  createClient,
  subscribeRuns,
  subscribeWorkflow
};
