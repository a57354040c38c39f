/** A wait on a call's clock that ends at once when the call is aborted, and leaves nothing behind. */
import type { Call } from '@resil/core';

/**
 * Resolves after `delay` milliseconds, for `Infinity` never; rejects with the reason as soon as the
 * call is aborted.
 */
export function abortableWait(call: Call, delay: number): Promise<void> {
  if (call.aborted) return Promise.reject(call.reason);
  return new Promise((resolve, reject) => {
    let cancel = (): void => {};
    const forget = call.onAbort((reason) => {
      cancel();
      reject(reason);
    });
    // No timer for what never comes: it would only keep the process alive.
    if (delay === Number.POSITIVE_INFINITY) return;
    cancel = call.clock.schedule(() => {
      forget();
      resolve();
    }, delay);
  });
}
