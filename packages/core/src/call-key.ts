/** What a call asks for, as a key: calls with the same key get the same answer. */
import type { Call } from './call.js';
import { report } from './emitter.js';

/** Gives the key of what a call asks for; `undefined` for a call that shares nothing. Must be synchronous. */
export type KeyFunction = (call: Call) => string | undefined;

/** The call's `key`, of its `name`; none without a `key`. */
export function callKey({ key, name }: Call): string | undefined {
  return key === undefined || name === undefined ? key : JSON.stringify([name, key]);
}

/** The key that a function gives; what it throws, or gives instead of a string, is reported. */
export function keyOf(call: Call, fn: KeyFunction): string | undefined {
  try {
    const key: unknown = fn(call);
    if (key === undefined || typeof key === 'string') return key;
    report(new TypeError(`key gave ${typeof key} instead of a string`), 'key');
  } catch (error) {
    report(error, 'key');
  }
  return undefined;
}
