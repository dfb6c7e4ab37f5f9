// What the workflow `program` can be told to do: tests/program/src/lib.rs has all of it.

import { strict as assert } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import type { Readable, StepRecord } from "../src/index.ts";

/** A step. */
export const step = (name: string, ...body: unknown[]): unknown => ({
  step: { name, body, timeout: null, retry: null, optional: false, undo: null },
});

/** Waits for an event. */
export const event = (name: string): unknown => ({ event: [name, null] });

/** Executes statements so many times. */
export const repeat = (times: number, ...body: unknown[]): unknown => ({ repeat: [times, body] });

/** Fails with a kind. */
export const fail = (message: string, kind: string): unknown => ({ fail: { message, kind, retryable: false } });

/** One call of the journal, and no more: a value for the tenant's store. */
export const call: unknown = { store: ["a key", 1] };

/** Waits until a store has such a value. Keeps it open meanwhile. */
export function until<V>(store: Readable<V>, isWanted: (value: V) => boolean): Promise<V> {
  return new Promise((resolve) => {
    let found = false;
    const unsubscribe = store.subscribe((value) => {
      found ||= value !== undefined && isWanted(value);
      if (!found) return;
      resolve(value!);
      // The first call comes before there is something to call.
      queueMicrotask(() => unsubscribe());
    });
  });
}

/** Checks that a subscriber has the calls that the API has. Says which differ, and not what thousands of others are. */
export function assertSame(live: StepRecord[] | undefined, ofApi: StepRecord[]): void {
  const different = ofApi.filter((call, index) => !isDeepStrictEqual(call, live?.[index]));
  const shown = different.slice(0, 3).map((call) => [call, live?.find(({ seq }) => seq === call.seq)]);
  assert.deepEqual([live?.length, shown], [ofApi.length, []]);
}
