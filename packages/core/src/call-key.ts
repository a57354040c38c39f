/** What a call asks for, as a key: calls with the same key get the same answer. */
import type { Call } from './call.js';
import { report } from './emitter.js';
import { InvalidOptionError } from './validate.js';

/**
 * Gives the key of what a call asks for; `undefined` for a call that shares nothing. Must be synchronous.
 *
 * Everything that makes the answer another one has to be in it: arguments, and who asks. `call.key` alone
 * is that only where whoever calls puts it there: adapters fill it with the destination.
 */
export type KeyFunction = (call: Call) => string | undefined;

/** The `key` option of `owner`; there is none that would be safe for every call. */
export function givenKey(owner: string, key: KeyFunction | undefined): KeyFunction {
  if (key !== undefined) return key;
  throw new InvalidOptionError(
    `${owner}.key`,
    key,
    'must be given: a function of the call that names all that makes the answer another one',
  );
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
