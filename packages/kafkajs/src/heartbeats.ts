/** Keeps a consumer's place in its group while a handler runs or waits. */
import type { Clock } from '@resil/core';
import { isRebalance } from './classify.js';

/**
 * Sends a heartbeat every `interval` milliseconds until the result is called; `lost` hears of errors
 * that say that the group is being shared out anew. They go on all the same: the group waits for a
 * member whose handler is still running, as long as it is heard of.
 */
export function startHeartbeats(
  clock: Clock,
  interval: number,
  heartbeat: () => Promise<void>,
  lost: (error: unknown) => void,
): () => void {
  let ended = false;
  let cancel = (): void => {};
  const next = (): void => {
    cancel = clock.schedule(() => {
      heartbeat().then(
        () => ended || next(),
        (error: unknown) => {
          if (ended) return;
          if (isRebalance(error)) lost(error);
          next();
        },
      );
    }, interval);
  };
  next();
  return () => {
    ended = true;
    cancel();
  };
}
