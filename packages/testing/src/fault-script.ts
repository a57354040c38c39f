/**
 * Scripted faults, as a layer: the first call gets the first fault of the list, the second call the
 * second, and so on, whatever order they end in. For tests that ask "what happens if the first
 * attempt hangs and the second fails?". Its place is innermost, where the dependency would be.
 */
import type { Call, Strategy } from '@resil/core';
import { abortableWait } from './abortable-wait.js';
import { checkDuration, checkNames, checkOneOf, fail } from './validate.js';

/** What happens to one call; made by {@link inject}. */
export type ScriptedFault =
  | { readonly kind: 'ok' }
  | { readonly kind: 'fail'; readonly error: unknown }
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'delay'; readonly delay: number; readonly then: ScriptedFault }
  | { readonly kind: 'hang' };

/** Makes the faults of a script. */
export const inject: {
  /** The call goes through. */
  readonly ok: ScriptedFault;
  /** The call never ends, except by its abort: then it rejects with the reason. */
  readonly hang: ScriptedFault;
  /** The call rejects with `error`; the operation is not run. */
  fail(error: unknown): ScriptedFault;
  /** The call gives `value`; the operation is not run. */
  value(value: unknown): ScriptedFault;
  /** After `delay` milliseconds on the call's clock, `then` happens. Default: it goes through. */
  delay(delay: number, then?: ScriptedFault): ScriptedFault;
} = Object.freeze({
  ok: Object.freeze({ kind: 'ok' }),
  hang: Object.freeze({ kind: 'hang' }),
  fail: (error) => ({ kind: 'fail', error }),
  value: (value) => ({ kind: 'value', value }),
  delay(delay, then = inject.ok) {
    checkDuration('inject.delay', delay);
    return { kind: 'delay', delay, then };
  },
});

/** Options of {@link faultScript}. */
export interface FaultScriptOptions {
  /**
   * What happens to calls when the list is used up: they go through (`'ok'`), get the last fault of
   * the list again (`'last'`), or the list begins anew (`'repeat'`).
   *
   * @defaultValue `faultScriptDefaults.after` (`'ok'`)
   */
  readonly after?: 'ok' | 'last' | 'repeat' | undefined;
  /** Name of the layer. Default: `faultScriptDefaults.name` (`'fault-script'`). */
  readonly name?: string | undefined;
}

/** What {@link faultScript} uses where an option is left out. */
export const faultScriptDefaults: { readonly after: 'ok'; readonly name: string } = Object.freeze({
  after: 'ok',
  name: 'fault-script',
});

/**
 * A layer that does to each call what the list says, in order.
 *
 * @throws TypeError when something in the list is not a fault, or an option is not what it may be.
 *
 * @example
 * ```ts
 * const quotes = pipeline(
 *   retry({ maxAttempts: 3, clock }),
 *   faultScript([inject.fail(new Error('down')), inject.delay(300), inject.ok]),
 * );
 * ```
 */
export function faultScript(
  faults: readonly ScriptedFault[],
  options: FaultScriptOptions = {},
): FaultScript {
  return new FaultScript(faults, options);
}

/** The layer behind {@link faultScript}. All calls through it use up one list. */
export class FaultScript implements Strategy {
  readonly name: string;
  readonly #faults: readonly ScriptedFault[];
  readonly #after: 'ok' | 'last' | 'repeat';
  #calls = 0;

  /** @throws TypeError when something in the list is not a fault, or an option is not what it may be. */
  constructor(faults: readonly ScriptedFault[], options: FaultScriptOptions = {}) {
    if (!Array.isArray(faults)) fail('faultScript: faults', faults, 'a list of faults');
    faults.forEach((fault, index) => {
      checkFault(`faultScript: faults[${index}]`, fault);
    });
    checkNames('faultScript', options, ['after', 'name']);
    this.#faults = Object.freeze([...faults]);
    this.#after = options.after ?? faultScriptDefaults.after;
    checkOneOf('faultScript.after', this.#after, ['ok', 'last', 'repeat']);
    this.name = options.name ?? faultScriptDefaults.name;
  }

  /** Calls that have reached the layer. */
  get calls(): number {
    return this.#calls;
  }

  /** Faults of the list that no call has had yet; 0 from the first round on when it repeats. */
  get remaining(): number {
    return Math.max(0, this.#faults.length - this.#calls);
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    const fault = this.#next();
    return perform(fault, call, next);
  }

  #next(): ScriptedFault {
    const { length } = this.#faults;
    let index = this.#calls;
    this.#calls += 1;
    if (index >= length && this.#after === 'last') index = length - 1;
    if (index >= length && this.#after === 'repeat') index %= length;
    return this.#faults[index] ?? inject.ok;
  }
}

function perform<T>(
  fault: ScriptedFault,
  call: Call,
  next: (call: Call) => Promise<T>,
): Promise<T> {
  switch (fault.kind) {
    case 'ok':
      return next(call);
    case 'fail':
      return Promise.reject(fault.error);
    case 'value':
      return Promise.resolve(fault.value as T);
    case 'delay':
      return abortableWait(call, fault.delay).then(() => perform(fault.then, call, next));
    case 'hang':
      return abortableWait(call, Number.POSITIVE_INFINITY) as Promise<never>;
  }
}

function checkFault(name: string, fault: ScriptedFault): void {
  const kinds = ['ok', 'fail', 'value', 'delay', 'hang'];
  if (!kinds.includes(fault?.kind)) fail(name, fault, 'a fault made by inject');
  if (fault.kind === 'delay') checkFault(`${name}.then`, fault.then);
}
