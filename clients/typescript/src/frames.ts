import type { ErrorDetail, LogLine, RunSummary, StepRecord, WorkflowRecord } from "./types.ts";

/** A message of the host: docs/live.md describes each. */
export interface Frame {
  type: string;
  id?: string;
  run?: WorkflowRecord;
  steps?: StepRecord[];
  logs?: LogLine[];
  /** Absent if further frames of the same group follow. */
  position?: number;
  runs?: RunSummary[];
  gone?: string[];
  error?: ErrorDetail;
}

/** A run with its calls, as a subscription shows it. `T` is the type of the workflow's output. */
export type Workflow<T = unknown> = WorkflowRecord<T> & {
  /** The calls of the run, in the order in which they began. */
  steps: StepRecord[];
  /** What the workflow has logged, if the subscription asked for logs. */
  logs: LogLine[];
};

/** A run that is put together from frames. */
export class Replica<T> {
  /** The position up to which the run is known. */
  position: number | undefined;
  #run: WorkflowRecord<T> | undefined;
  #steps = new Map<number, StepRecord>();
  #logs = new Map<number, LogLine>();
  /** The frames of a group whose last one has not come. */
  #group: Frame[] = [];

  /** Adds a frame. Returns whether it was the last one of its group, so that the run has changed. */
  add(frame: Frame): boolean {
    // A snapshot with a run is the beginning of one. It may come in the middle of a group that the host has given up.
    if (frame.type === "snapshot" && frame.run) this.#group = [];
    this.#group.push(frame);
    if (frame.position === undefined) return false;
    this.#group.forEach((part, index) => this.#apply(part, index));
    this.#group = [];
    this.position = frame.position;
    return true;
  }

  /** Drops an unfinished group: its connection is lost, and the host sends it again from the position. */
  interrupt(): void {
    this.#group = [];
  }

  /** Returns the run, as a new object. `undefined` before the first snapshot. */
  value(): Workflow<T> | undefined {
    return this.#run && { ...this.#run, steps: inOrder(this.#steps), logs: inOrder(this.#logs) };
  }

  #apply({ type, run, steps, logs }: Frame, index: number): void {
    if (type === "snapshot" && !index) this.#steps.clear();
    // The input never changes: a delta leaves it out.
    const input = type === "delta" && this.#run ? { input: this.#run.input } : {};
    if (run) this.#run = { ...(run as WorkflowRecord<T>), ...input };
    for (const step of steps ?? []) this.#steps.set(step.seq, step);
    for (const line of logs ?? []) this.#logs.set(line.seq, line);
  }
}

/** Returns the values by their `seq`. They are nearly in this order, which makes sorting them cheap. */
function inOrder<V extends { seq: number }>(values: Map<number, V>): V[] {
  return [...values.values()].sort((a, b) => a.seq - b.seq);
}

/** Returns a list of runs after a frame, the newest run first. Ids begin with the time of the start. */
export function listAfter(frame: Frame, before: RunSummary[]): RunSummary[] {
  const runs = new Map(frame.type === "snapshot" ? [] : before.map((run) => [run.id, run]));
  for (const id of frame.gone ?? []) runs.delete(id);
  for (const run of frame.runs ?? []) runs.set(run.id, run);
  return [...runs.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}
