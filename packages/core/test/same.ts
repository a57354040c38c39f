/** `expect` costs microseconds, and a property asks millions of times. */
import assert from 'node:assert/strict';

/** Fails unless both are the same. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (!Object.is(actual, expected)) assert.deepEqual(actual, expected, what);
}
