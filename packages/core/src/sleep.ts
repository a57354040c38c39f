/** A wait that can be aborted at once. */
import type { Call } from './call.js';
import { type DeadlineEntry, deadlinesOf, NOT_PENDING } from './deadline-wheel.js';

/** Waits `delay` milliseconds; rejects with the abort's reason as soon as the call is aborted. */
export function sleep(call: Call, delay: number): Promise<void> {
  if (call.aborted) return Promise.reject(call.reason);
  const wait = new Promise<void>((resolve, reject) => {
    const now = call.clock.now();
    const wheel = deadlinesOf(call.clock);
    const entry: DeadlineEntry = {
      deadline: now + delay,
      expire: () => {
        forget();
        resolve();
      },
      wheelSlot: NOT_PENDING,
      wheelPrevious: undefined,
      wheelNext: undefined,
    };
    const forget = call.onAbort((reason) => {
      wheel.remove(entry);
      reject(reason);
    });
    wheel.add(entry, now);
  });
  // The wait may end in the very moment in which a deadline passes.
  return wait.then(() => {
    if (call.aborted) throw call.reason;
  });
}
