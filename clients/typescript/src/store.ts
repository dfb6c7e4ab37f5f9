import { join, type Subscription } from "./connection.ts";
import { asError } from "./errors.ts";
import { withDefaults, type Options } from "./options.ts";

/** How to subscribe. */
export interface SubscribeOptions extends Options {
  /** Ends the subscription when it is aborted. */
  signal?: AbortSignal;
  /** Is called when the connection is there, and when it was lost: with the error, before it is opened again. */
  onConnection?: (connected: boolean, error?: Error) => void;
}

/** A value that changes, by the contract of Svelte's stores. */
export interface Readable<V> {
  /**
   * Calls back at once with the present value, which is `undefined` before the first snapshot, and with each later one. The
   * first subscriber opens the connection. The returned function unsubscribes, and the last one closes the connection.
   */
  subscribe(run: (value: V | undefined) => void): () => void;
  /** The present value. */
  readonly value: V | undefined;
  /** Why the host has ended the subscription. */
  readonly error: Error | undefined;
}

/** A store whose values come from a subscription. */
export class Store<V> implements Readable<V> {
  value: V | undefined;
  error: Error | undefined;
  /** Whether nothing follows: there is an error, or the run has ended. */
  over = false;
  readonly #options: SubscribeOptions;
  readonly #feed: Pick<Subscription, "run" | "request" | "receive">;
  readonly #subscribers = new Set<{ run: (value: V | undefined) => void }>();
  #leave: (() => void) | undefined;
  #connected: boolean | undefined;

  constructor(options: SubscribeOptions, feed: Pick<Subscription, "run" | "request" | "receive">) {
    this.#options = options;
    this.#feed = feed;
    options.signal?.addEventListener("abort", () => this.#abort());
  }

  subscribe(run: (value: V | undefined) => void): () => void {
    if (this.#options.signal?.aborted) this.#abort();
    if (!this.#leave && !this.over) this.#join();
    // The same function may subscribe twice.
    const subscriber = { run };
    this.#subscribers.add(subscriber);
    run(this.value);
    return () => {
      this.#subscribers.delete(subscriber);
      if (!this.#subscribers.size) this.#close();
    };
  }

  /** Takes the next value. */
  set(value: V | undefined): void {
    this.value = value;
    for (const { run } of [...this.#subscribers]) run(value);
  }

  /** Ends the subscription, because of an error or because the run has ended. */
  end(error?: Error): void {
    if (this.over) return;
    this.over = true;
    this.error = error;
    this.#close();
    if (error) this.set(this.value);
  }

  #join(): void {
    const options = withDefaults(this.#options);
    this.#leave = join(
      {
        ...this.#feed,
        fail: (error) => this.end(error),
        connected: (is, error) => {
          if (is === this.#connected) return;
          this.#connected = is;
          options.onConnection?.(is, error);
        },
      },
      options,
    );
  }

  #abort(): void {
    this.end(asError(this.#options.signal?.reason));
  }

  #close(): void {
    this.#leave?.();
    this.#leave = this.#connected = undefined;
  }
}
