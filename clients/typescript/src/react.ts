import { useMemo, useSyncExternalStore } from "react";
import { subscribeRuns } from "./runs.ts";
import type { Readable, SubscribeOptions } from "./store.ts";
import type { RunFilter, RunSummary } from "./types.ts";
import { subscribeWorkflow, type WorkflowOptions } from "./workflow.ts";
import type { Workflow } from "./frames.ts";

/** Why the host has ended the subscription of a hook. */
interface WithError {
  error: Error | undefined;
}

/**
 * Returns a run, live. `workflow` is `undefined` before the first snapshot, and without a run id. A change of the run id, `url`,
 * `payloads` or `logs` subscribes again; of the other options, those of that rendering count.
 */
export function useWorkflow<T = unknown>(
  runId: string | undefined,
  options: WorkflowOptions = {},
): { workflow: Workflow<T> | undefined } & WithError {
  const { url, payloads, logs } = options;
  const watched = useMemo(
    () => watch(runId === undefined ? undefined : subscribeWorkflow<T>(runId, options)),
    [runId, url, payloads, logs],
  );
  const { value, error } = useWatched(watched);
  return { workflow: value, error };
}

/** Returns a list of runs, live. `runs` is `undefined` before the first snapshot. */
export function useRuns(
  filter: RunFilter = {},
  options: SubscribeOptions = {},
): { runs: RunSummary[] | undefined } & WithError {
  const watched = useMemo(() => watch(subscribeRuns(filter, options)), [JSON.stringify(filter), options.url]);
  const { value, error } = useWatched(watched);
  return { runs: value, error };
}

interface State<V> {
  value: V | undefined;
  error: Error | undefined;
}

interface Watched<V> {
  subscribe: (changed: () => void) => () => void;
  state: () => State<V>;
}

function useWatched<V>({ subscribe, state }: Watched<V>): State<V> {
  return useSyncExternalStore(subscribe, state, state);
}

/** Returns a store as React wants it: with a state that is the same object until it changes. */
function watch<V>(store: Readable<V> | undefined): Watched<V> {
  let state: State<V> = { value: store?.value, error: store?.error };
  const changed = (notify: () => void) => () => {
    if (store?.value === state.value && store?.error === state.error) return;
    state = { value: store?.value, error: store?.error };
    notify();
  };
  return { subscribe: (notify) => store?.subscribe(changed(notify)) ?? (() => {}), state: () => state };
}
