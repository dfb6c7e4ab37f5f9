import { backoff } from "./backoff.ts";
import { asError, ForgeError, isFinal } from "./errors.ts";
import type { Frame } from "./frames.ts";
import { address, credential, type Options } from "./options.ts";

/** What a connection carries. */
export interface Subscription {
  /** The run, if it is a subscription of one. */
  run?: string;
  /** Returns what to subscribe to from here on: the connection is new. */
  request(): object;
  /** Takes a frame. After an `end`, nothing follows. */
  receive(frame: Frame): void;
  /** Takes the error with which the host has ended the subscription for good. */
  fail(error: Error): void;
  /** Takes note that the connection is there, or is lost and will be opened again. */
  connected(is: boolean, error?: Error): void;
}

interface Entry {
  subscription: Subscription;
  /** The failures in a row, of this subscription alone. */
  failures: number;
  /** The timer of the next attempt, if the host could not carry this subscription. */
  retry?: ReturnType<typeof setTimeout>;
}

/** The longest time that timers can wait, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The part of a token's life after which a new one is asked for. */
const RENEWAL = 0.8;

/** The least time between two tokens, in milliseconds, for clocks that differ. */
const LEAST_RENEWAL = 1_000;

/**
 * The interval of messages that say nothing, in milliseconds. A host that is gone without a word, such as one without power, is
 * noticed only when something is sent to it.
 */
const KEEP_ALIVE = 30_000;

/** The value of `WebSocket.OPEN`, which other implementations have, too. */
const OPEN = 1;

/** The open connections. Subscriptions with the same host and token share one. */
const connections: Connection[] = [];

let lastId = 0;

/** Subscribes. The first subscription opens the connection; the returned function leaves it, and the last one closes it. */
export function join(subscription: Subscription, options: Options): () => void {
  const { token, tenant, WebSocket = globalThis.WebSocket } = options;
  if (!WebSocket) {
    throw new Error("this JavaScript runtime has no WebSocket: pass one as `WebSocket`, for example of the package `ws`");
  }
  const url = address(options, "live");
  url.protocol = url.protocol.replace("http", "ws");
  if (tenant) url.searchParams.set("tenant", tenant);
  const run = typeof token === "function" && token.length ? subscription.run : undefined;

  const key = [url.href, token, run, WebSocket];
  let connection = connections.find((other) => other.key.every((part, index) => part === key[index]));
  if (!connection) {
    connection = new Connection(key, () => credential(options, run), () => new WebSocket(url.href));
    connections.push(connection);
  }
  return connection.add(subscription);
}

/** A WebSocket that is opened again until nobody uses it. */
class Connection {
  readonly key: unknown[];
  readonly #token: () => ReturnType<typeof credential>;
  readonly #dial: () => WebSocket;
  readonly #entries = new Map<string, Entry>();
  #socket: WebSocket | undefined;
  /** The next attempt to connect, or the next token. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #keepAlive: ReturnType<typeof setInterval> | undefined;
  /** The attempt under way. Another object means that it is outdated. */
  #attempt: object | undefined;
  /** The failures in a row. */
  #failures = 0;
  /** Whether the last connection was refused for good. A second time, a new token will not help either. */
  #refused = false;

  constructor(key: unknown[], token: () => ReturnType<typeof credential>, dial: () => WebSocket) {
    this.key = key;
    this.#token = token;
    this.#dial = dial;
  }

  add(subscription: Subscription): () => void {
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
  async #open(): Promise<void> {
    clearTimeout(this.#timer);
    const attempt = (this.#attempt = {});
    try {
      const { token, expires_at } = await this.#token();
      if (this.#attempt !== attempt) return;
      this.#hangUp();
      const socket = (this.#socket = this.#dial());
      socket.onopen = () => {
        if (token) this.#send({ token });
        for (const [id, entry] of this.#entries) this.#subscribe(id, entry);
      };
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
      socket.onclose = () => this.#lost(new Error("the connection to the host is lost"));
      // `onclose` follows. Without a listener, some implementations throw.
      socket.onerror = () => {};
      this.#keepAlive = setInterval(() => this.#send({ unsubscribe: "" }), KEEP_ALIVE);
      this.#renewBefore(expires_at);
    } catch (reason) {
      if (this.#attempt !== attempt) return;
      // A connection whose token is not renewed goes on until the host closes it.
      if (this.#socket) this.#again();
      else this.#lost(asError(reason));
    }
  }

  /** Renews a token early. If the clock says that it has expired, the clock is wrong, and the host closes the connection. */
  #renewBefore(expiry: string | undefined): void {
    const left = expiry === undefined ? 0 : Date.parse(expiry) - Date.now();
    if (!(left > 0)) return;
    const wait = Math.min(Math.max(left * RENEWAL, LEAST_RENEWAL), LONGEST_TIMER);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #again(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), backoff(this.#failures++));
  }

  #lost(error: Error): void {
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

  #receive(frame: Frame): void {
    const { id, type } = frame;
    const entry = this.#entries.get(id ?? "");
    const error = frame.error && new ForgeError(frame.error);
    if (error && id === undefined) {
      this.#lost(error);
    } else if (!entry) {
      // It has left, and the host had not heard of it.
    } else if (error && isFinal(error)) {
      this.#remove(id!);
      entry.subscription.fail(error);
    } else if (error) {
      clearTimeout(entry.retry);
      entry.retry = setTimeout(() => this.#subscribe(id!, entry), backoff(entry.failures++));
    } else {
      this.#failures = entry.failures = 0;
      this.#refused = false;
      if (type === "end") this.#remove(id!);
      entry.subscription.connected(true);
      entry.subscription.receive(frame);
    }
  }

  #subscribe(id: string, { subscription, retry }: Entry): void {
    clearTimeout(retry);
    if (this.#socket?.readyState === OPEN) this.#send({ subscribe: subscription.request(), id });
  }

  #send(message: object): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    clearTimeout(entry.retry);
    this.#entries.delete(id);
    if (this.#entries.size) return;
    clearTimeout(this.#timer);
    this.#attempt = undefined;
    this.#hangUp();
    connections.splice(connections.indexOf(this), 1);
  }

  /** Closes the socket, once it is open: browsers report a socket that is closed before as an error. */
  #hangUp(): void {
    clearInterval(this.#keepAlive);
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    if (socket.readyState === OPEN) socket.close();
    else socket.onopen = () => socket.close();
  }
}
