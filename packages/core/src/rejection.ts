/**
 * Rejects once whoever is about to get the promise can have a handler on it. A promise that is
 * rejected before costs Node a note of it, and another when the handler comes, several times what a
 * refusal costs otherwise.
 */
const settled: Promise<void> = Promise.resolve();

/** Rejects in the next microtask. */
export function rejectSoon(reject: (error: unknown) => void, error: unknown): void {
  settled.then(() => reject(error));
}

/** A promise that rejects in the next microtask. */
export function rejectionOf(error: unknown): Promise<never> {
  return new Promise((_, reject) => rejectSoon(reject, error));
}
