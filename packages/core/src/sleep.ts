/** A wait that can be aborted at once. */
import type { Call } from './call.js';
import { expireAfter } from './deadline-wheel.js';

/** Waits `delay` milliseconds; rejects with the abort's reason as soon as the call is aborted. */
export function sleep(call: Call, delay: number): Promise<void> {
  if (call.aborted) return Promise.reject(call.reason);
  const wait = new Promise<void>((resolve, reject) => {
    const forgetDeadline = expireAfter(call.clock, delay, () => {
      forgetAbort();
      resolve();
    });
    const forgetAbort = call.onAbort((reason) => {
      forgetDeadline();
      reject(reason);
    });
  });
  // The wait may end in the very moment in which a deadline passes.
  return wait.then(() => {
    if (call.aborted) throw call.reason;
  });
}
