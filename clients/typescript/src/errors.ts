import type { ErrorDetail, WorkflowRecord } from "./types.ts";

/** The codes of refusals that another attempt would meet again. */
const FINAL = /^(un(authorized|known|supported)|invalid|forbidden|suspended|token|cross_site|csrf|corrupt)/;

/** A refusal of the host. */
export class ForgeError extends Error {
  override name = "ForgeError";
  /** The stable code, for programs: docs/api.md has the table. */
  code: string;
  /** The HTTP status, if the refusal is an HTTP response. */
  status: number | undefined;
  /** The place in the input that does not fit the schema, such as `$.count`, if the code is `invalid_input`. */
  path: string | undefined;

  constructor({ code, message, path }: ErrorDetail, status?: number) {
    super(message);
    this.code = code;
    this.path = path;
    this.status = status;
  }
}

/** The end of a run without an output: it failed or was rolled back. */
export class RunError extends Error {
  override name = "RunError";
  /** What kind of failure it was: `error`, `timeout`, `cancelled`, …, or a kind that the workflow defines. */
  kind: string;
  /** The run. */
  run: WorkflowRecord;

  constructor(run: WorkflowRecord) {
    super(run.error ?? `the run is ${run.status}`);
    this.kind = run.error_kind ?? run.status;
    this.run = run;
  }
}

/** Returns whether another attempt would fail in the same way. */
export function isFinal(error: unknown): boolean {
  return error instanceof ForgeError && FINAL.test(error.code);
}

/** Returns the error for a rejection, which may be any value. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
