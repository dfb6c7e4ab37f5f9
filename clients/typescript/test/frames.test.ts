// The frames of a subscription, put together: pure code, without a host.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { listAfter, Replica, type Frame } from "../src/frames.ts";
import type { LogLine, RunSummary, StepRecord, WorkflowRecord, WorkflowStatus } from "../src/types.ts";

const run = (status: WorkflowStatus) => ({ id: "a", status }) as WorkflowRecord;
const step = (seq: number, status: StepRecord["status"] = "running") => ({ seq, status }) as StepRecord;
const line = (seq: number) => ({ seq }) as LogLine;

function replica(...frames: Frame[]) {
  const replica = new Replica();
  for (const frame of frames) replica.add(frame);
  const value = replica.value();
  return {
    add: (frame: Frame) => replica.add(frame),
    interrupt: () => replica.interrupt(),
    position: replica.position,
    status: value?.status,
    steps: value?.steps.map(({ seq, status }) => [seq, status]),
    logs: value?.logs.map(({ seq }) => seq),
  };
}

test("a run is unknown before its first snapshot", () => {
  const { status, position } = replica();
  assert.deepEqual([status, position], [undefined, undefined]);
});

test("a delta replaces calls by their position and keeps the others", () => {
  const { status, steps, position } = replica(
    { type: "snapshot", run: run("running"), steps: [step(1), step(2)], position: 5 },
    { type: "delta", steps: [step(3), step(1, "completed")], position: 7 },
    { type: "delta", run: run("waiting"), position: 8 },
  );
  assert.deepEqual(steps, [[1, "completed"], [2, "running"], [3, "running"]]);
  assert.deepEqual([status, position], ["waiting", 8]);
});

test("a delta keeps the input", () => {
  const whole = new Replica();
  whole.add({ type: "snapshot", run: { ...run("running"), input: { order: 7 } }, steps: [], position: 1 });
  whole.add({ type: "delta", run: { ...run("waiting"), input: null }, position: 2 });
  assert.deepEqual([whole.value()?.status, whole.value()?.input], ["waiting", { order: 7 }]);
});

test("a group of frames is shown with its last frame", () => {
  const { add, ...before } = replica({ type: "snapshot", run: run("running"), steps: [step(1)] });
  assert.equal(before.status, undefined);
  assert.equal(add({ type: "snapshot", steps: [step(2)] }), false);
  assert.equal(add({ type: "snapshot", steps: [step(3)], position: 4 }), true);

  const { steps } = replica(
    { type: "snapshot", run: run("running"), steps: [step(1)] },
    { type: "snapshot", steps: [step(2)] },
    { type: "snapshot", steps: [step(3)], position: 4 },
  );
  assert.deepEqual(steps?.map(([seq]) => seq), [1, 2, 3]);
});

test("a group that was interrupted changes nothing", () => {
  const whole = new Replica();
  whole.add({ type: "snapshot", run: run("running"), steps: [step(1)], position: 1 });
  whole.add({ type: "delta", steps: [step(1, "failed"), step(2)] });
  whole.interrupt();
  whole.add({ type: "delta", steps: [step(2, "completed")], position: 3 });
  assert.deepEqual(whole.value()?.steps, [step(1), step(2, "completed")]);
});

test("a snapshot that begins in the middle of a group replaces it", () => {
  const { steps } = replica(
    { type: "snapshot", run: run("running"), steps: [step(1), step(2), step(3)], position: 3 },
    { type: "delta", steps: [step(9)] },
    { type: "snapshot", run: run("running"), steps: [step(1, "completed")] },
    { type: "snapshot", steps: [step(2, "completed")], position: 8 },
  );
  assert.deepEqual(steps, [[1, "completed"], [2, "completed"]]);
});

test("each line of the log is kept once", () => {
  const { logs } = replica(
    { type: "snapshot", run: run("running"), position: 1 },
    { type: "delta", logs: [line(1), line(2)], position: 2 },
    { type: "delta", logs: [line(2), line(3)], position: 3 },
  );
  assert.deepEqual(logs, [1, 2, 3]);
});

test("values are new objects, so that a change is seen by comparing them", () => {
  const live = new Replica();
  live.add({ type: "snapshot", run: run("running"), steps: [step(1)], position: 1 });
  const before = live.value();
  live.add({ type: "delta", steps: [step(1, "completed")], position: 2 });
  assert.deepEqual(before?.steps, [step(1)]);
  assert.notEqual(before?.steps, live.value()?.steps);
});

test("a list has the newest run first, without those that left the page", () => {
  const runs = (...ids: string[]) => ids.map((id) => ({ id, status: "running" }) as RunSummary);
  const ids = (list: RunSummary[]) => list.map(({ id }) => id);
  const snapshot = listAfter({ type: "snapshot", runs: runs("b", "a") }, runs("z"));
  assert.deepEqual(ids(snapshot), ["b", "a"]);
  const failed = [{ id: "b", status: "failed" } as RunSummary, ...runs("c")];
  const after = listAfter({ type: "delta", runs: failed, gone: ["a"] }, snapshot);
  assert.deepEqual(ids(after), ["c", "b"]);
  assert.equal(after[1]?.status, "failed");
});
