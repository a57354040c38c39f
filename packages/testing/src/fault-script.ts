/**
 * Scripted faults, as a layer: the first call gets the first fault of the list, the second call the
 * second, and so on, whatever order they end in. For tests that ask "what happens if the first
 * attempt hangs and the second fails?". Its place is innermost, where the dependency would be.
 */
import {
  type Call,
  checkOptions,
  durationRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  oneOfRule,
  type Strategy,
  sleep,
} from '@resil/core';

/** What happens to one call; made by {@link inject}. */
export type ScriptedFault =
  | { readonly kind: 'ok' }
  | { readonly kind: 'fail'; readonly error: unknown }
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'delay'; readonly delay: number; readonly next: ScriptedFault }
  | { readonly kind: 'hang' };

const delayRule = durationRule();

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
  /** After `delay` milliseconds on the call's clock, `next` happens. Default: it goes through. */
  delay(delay: number, next?: ScriptedFault): ScriptedFault;
} = Object.freeze({
  ok: Object.freeze({ kind: 'ok' }),
  hang: Object.freeze({ kind: 'hang' }),
  fail: (error) => ({ kind: 'fail', error }),
  value: (value) => ({ kind: 'value', value }),
  delay(delay, next = inject.ok) {
    if (!delayRule.test(delay)) {
      throw new InvalidOptionError('inject.delay', delay, `must be ${delayRule.text}`);
    }
    return { kind: 'delay', delay, next };
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

const rules: OptionRules<FaultScriptOptions> = {
  after: oneOfRule('ok', 'last', 'repeat'),
  name: nameRule,
};

/**
 * A layer that does to each call what the list says, in order.
 *
 * @throws {@link InvalidOptionError} when something in the list is not a fault, or an option is not what it may be.
 *
 * @example
 * ```ts
 * const clock = new VirtualClock();
 * const script = faultScript([inject.fail(new Error('down')), inject.delay(300)]);
 * const quotes = pipeline({ clock }, retry({ maxAttempts: 3 }), script);
 * const attempt = await clock.runUntilSettled(quotes.execute(({ attempt }) => attempt)); // 2
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

  /** @throws {@link InvalidOptionError} when something in the list is not a fault, or an option is not what it may be. */
  constructor(faults: readonly ScriptedFault[], options: FaultScriptOptions = {}) {
    if (!Array.isArray(faults)) {
      throw new InvalidOptionError('faultScript: faults', faults, 'must be a list of faults');
    }
    faults.forEach((fault, index) => {
      checkFault(`faultScript: faults[${index}]`, fault);
    });
    checkOptions('faultScript', options, rules);
    this.#faults = Object.freeze([...faults]);
    this.#after = options.after ?? faultScriptDefaults.after;
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
    if (fault.kind !== 'ok') call.begin();
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
      return sleep(call, fault.delay).then(() => perform(fault.next, call, next));
    case 'hang':
      return untilAborted(call);
  }
}

/** Rejects with the reason when the call is aborted. Takes no timer: it would keep the process alive. */
function untilAborted(call: Call): Promise<never> {
  return new Promise((_, reject) => {
    call.onAbort(reject);
  });
}

function checkFault(name: string, fault: ScriptedFault): void {
  if (!['ok', 'fail', 'value', 'delay', 'hang'].includes(fault?.kind)) {
    throw new InvalidOptionError(name, fault, 'must be a fault made by inject');
  }
  if (fault.kind === 'delay') checkFault(`${name}.next`, fault.next);
}
