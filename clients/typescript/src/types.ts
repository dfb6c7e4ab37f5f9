// The objects of the HTTP API, with the names that the API gives them. Times are RFC 3339 in UTC.

/** The status of a run. `completed`, `compensated` and `failed` are final. */
export type WorkflowStatus =
  | "created"
  | "running"
  | "waiting"
  | "compensating"
  | "paused"
  | "completed"
  | "compensated"
  | "failed";

/** A call that a run waits for. */
export interface WaitsFor {
  /** `event`, `child`, `sleep`, `timeout` or `retry`. */
  kind: string;
  name: string;
  until?: string | null;
  /** The child run. */
  run?: string | null;
}

/** A run. `T` is the type of the workflow's output. */
export interface WorkflowRecord<T = unknown> {
  id: string;
  workflow_name: string;
  version: number;
  input: unknown;
  /** `null` until the run is completed. */
  output: T | null;
  status: WorkflowStatus;
  /** The step that is running, or that ran last. */
  current_step: string | null;
  /** The results of the last completed steps by name. Empty in a subscription, which has `steps`. */
  step_results: Record<string, unknown>;
  has_more_steps: boolean;
  /** The number of journaled calls. */
  calls: number;
  started_at: string;
  completed_at: string | null;
  deadline: string;
  wake_at: string | null;
  waits_for?: WaitsFor[];
  /** Why the run failed or is paused, for people. */
  error: string | null;
  /** What kind of failure it was, for programs: `error`, `timeout`, `cancelled`, … */
  error_kind: string | null;
  /** The completed steps that are not compensated, if compensations failed. */
  not_compensated: string[];
  /** The requests that may have had an effect that nothing undoes. */
  in_doubt?: string[];
  settled?: { seq: number; effect: string; outcome: string; by: string; at: string }[];
  pause_reason: string | null;
  events?: {
    count: number;
    bytes: number;
    first: { seq: number; name: string; key: string; at: string; bytes: number }[];
  };
  /** The SHA-256 of the component. */
  digest: string;
  key: string | null;
  trace_id: string | null;
  restart_of: string | null;
  restarted_as: string | null;
  parent?: { run_id: string; call: number; depth: number; attached: boolean };
  fuel: number;
  tags?: Record<string, string>;
  /** The last value of each name that the workflow has published. */
  published?: Record<string, unknown>;
}

/** A journaled call of a run: a step, or a call inside of one. */
export interface StepRecord {
  /** The position in the run, from 1. */
  seq: number;
  /** The `seq` of the step that the call belongs to. */
  parent: number | null;
  parent_attempt: number | null;
  /** `step`, `compensation`, `http`, `sleep`, `event`, `child`, … */
  kind: string;
  step_name: string;
  status: "pending" | "running" | "completed" | "failed" | "compensated" | "skipped";
  attempt: number;
  optional: boolean;
  compensable: boolean;
  input: unknown;
  result: unknown;
  error: string | null;
  error_kind: string | null;
  /** The run that the call has started. */
  child_run?: string;
  wake_at: string | null;
  started_at: string;
  completed_at: string | null;
  duration_ms: number | null;
}

/** A line that a workflow has logged. */
export interface LogLine {
  seq: number;
  at: string;
  level: string;
  step?: string | null;
  step_seq?: number | null;
  attempt?: number | null;
  message: string;
}

/** A run in a list. */
export interface RunSummary {
  id: string;
  workflow_name: string;
  version: number;
  status: WorkflowStatus;
  started_at: string;
  completed_at: string | null;
  /** The first 1,000 characters. */
  error: string | null;
  waits_for?: WaitsFor[];
  tags?: Record<string, string>;
}

/** The parameters of `GET /_api/runs`, such as `workflow`, `status` and `limit`. An array has several statuses. */
export type RunFilter = Record<string, string | number | readonly string[]>;

/** An error as the API sends it. */
export interface ErrorDetail {
  code: string;
  message: string;
  /** The place in the input that does not fit the schema. */
  path?: string;
}
