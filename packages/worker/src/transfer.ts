/** Marks a result whose buffers are handed over to the main thread instead of being copied. */
import type { TransferListItem } from 'node:worker_threads';

/** Known in both threads, whichever copy of this package each of them has. */
export const TRANSFER = '@resil/worker/transfer';

/**
 * Gives a result of a task back with things that are handed over instead of being copied, such as the
 * `ArrayBuffer` of a large array. For the module that runs in the thread: return what it gives.
 *
 * @example
 * ```ts
 * import { transfer } from '@resil/worker';
 *
 * export default function blank(size: number): Uint8Array {
 *   const pixels = new Uint8Array(size);
 *   return transfer(pixels, [pixels.buffer]);
 * }
 * ```
 */
export function transfer<T>(value: T, list: readonly TransferListItem[]): T {
  // What the caller of the pool gets is the value itself.
  return { [Symbol.for(TRANSFER)]: [...list], value } as T;
}
