/** The wait before the first repetition, in milliseconds. A host that was restarted is back after about this time. */
const FIRST = 250;

/** The longest wait. A page that was left open for a night reconnects this soon. */
const LONGEST = 30_000;

/** Returns the wait after so many failures in a row. The jitter keeps clients of one host from returning all at once. */
export function backoff(failures: number): number {
  return Math.min(LONGEST, FIRST * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** Completes after some milliseconds. Rejects when the signal is aborted. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", aborted);
  });
}
