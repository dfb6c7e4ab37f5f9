import { listAfter } from "./frames.ts";
import { Store, type Readable, type SubscribeOptions } from "./store.ts";
import type { RunFilter, RunSummary } from "./types.ts";

/** Subscribes to the page of runs that `GET /_api/runs` returns for these parameters, the newest run first. */
export function subscribeRuns(filter: RunFilter = {}, options: SubscribeOptions = {}): Readable<RunSummary[]> {
  const store: Store<RunSummary[]> = new Store<RunSummary[]>(options, {
    request: () => ({ runs: filter }),
    receive: (frame) => store.set(listAfter(frame, store.value ?? [])),
  });
  return store;
}
