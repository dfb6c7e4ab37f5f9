export { createClient } from "./client.ts";
export type { Client, RunToken, SentEvent, Started, StartOptions } from "./client.ts";
export { ForgeError, RunError } from "./errors.ts";
export type { Workflow } from "./frames.ts";
export { configure } from "./options.ts";
export type { Options, Token } from "./options.ts";
export { subscribeRuns } from "./runs.ts";
export type { Readable, SubscribeOptions } from "./store.ts";
export type {
  LogLine,
  RunFilter,
  RunSummary,
  StepRecord,
  WaitsFor,
  WorkflowRecord,
  WorkflowStatus,
} from "./types.ts";
export { subscribeWorkflow } from "./workflow.ts";
export type { WorkflowOptions, WorkflowStore } from "./workflow.ts";
