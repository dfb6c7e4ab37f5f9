import { RunError } from "./errors.ts";
import { Replica, type Workflow } from "./frames.ts";
import { Store, type Readable, type SubscribeOptions } from "./store.ts";
import type { WorkflowRecord } from "./types.ts";

/** How to subscribe to a run. */
export interface WorkflowOptions extends SubscribeOptions {
  /** Whether the run and its calls have their inputs, outputs and results; by default they have. */
  payloads?: boolean;
  /** Whether the run has what it logs; by default it has not. */
  logs?: boolean;
}

/** A run that is live. */
export interface WorkflowStore<T> extends Readable<Workflow<T>> {
  /**
   * The output of the run. Rejects with a `RunError` if the run fails or is rolled back, and with a `ForgeError` if the host
   * refuses the subscription. The connection stays open until then, also without a subscriber.
   */
  readonly result: Promise<T>;
}

/** Subscribes to a run. The connection is opened by the first subscriber, or by the first use of `result`. */
export function subscribeWorkflow<T = unknown>(runId: string, options: WorkflowOptions = {}): WorkflowStore<T> {
  return new LiveWorkflow<T>(runId, options);
}

class LiveWorkflow<T> extends Store<Workflow<T>> implements WorkflowStore<T> {
  #result: Promise<T> | undefined;
  #ended: (() => void) | undefined;

  constructor(run: string, options: WorkflowOptions) {
    const replica = new Replica<T>();
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
      },
    });
  }

  get result(): Promise<T> {
    if (!this.#result) {
      this.#result = this.#outcome();
      // A rejection that nobody looks at is no error of the program.
      this.#result.catch(() => {});
    }
    return this.#result;
  }

  async #outcome(): Promise<T> {
    const unsubscribe = this.subscribe(() => {});
    await new Promise<void>((resolve) => {
      this.#ended = resolve;
      if (this.over) resolve();
    });
    unsubscribe();
    if (this.error) throw this.error;
    return outcome(this.value!);
  }

  override end(error?: Error): void {
    super.end(error);
    this.#ended?.();
  }
}

/** Returns the output of a final run. Throws a `RunError` if it has none. */
export function outcome<T>(run: WorkflowRecord<T>): T {
  if (run.status !== "completed") throw new RunError(run);
  return run.output as T;
}
