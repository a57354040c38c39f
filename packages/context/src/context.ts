/**
 * The context of the work at hand, in an AsyncLocalStorage: whatever the work waits for and starts has
 * it too. Calls of every pipeline of the process inherit from it once it is installed, which each of
 * the server helpers does, and `runInContext`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type AmbientContext,
  booleanRule,
  checkOptions,
  clockRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  provideAmbient,
  systemClock,
} from '@resil/core';
import { writeContext } from './headers.js';

const storage = new AsyncLocalStorage<AmbientContext | undefined>();

let uninstall: (() => void) | undefined;
/** Results of `installContext` that were not called yet. */
let holders = 0;

const pointInTime: OptionRule = {
  test: (value) => typeof value === 'number' && !Number.isNaN(value),
  text: 'a point in time, in milliseconds',
};

const rules: OptionRules<AmbientContext> = {
  deadline: pointInTime,
  clock: clockRule,
  priority: { ...pointInTime, text: 'a number' },
  idempotent: booleanRule,
  retried: booleanRule,
  attributes: objectRule('an object'),
};

/**
 * From now on all calls of the process inherit from the context, and adapters tell it to the services
 * that they call; the result ends that, the last one where it was installed several times.
 *
 * A service need not: its server helper does it. A process that only calls others does, so that they
 * hear of its deadlines and who retries.
 */
export function installContext(): () => void {
  provideContext();
  holders++;
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    holders--;
    if (holders > 0) return;
    uninstall?.();
    uninstall = undefined;
  };
}

/** Installs the context until the last who asked for it by `installContext` ends that. */
export function provideContext(): void {
  uninstall ??= provideAmbient({ current: currentContext, run: runWithin, headers: writeContext });
}

/** The context of the work that asks; `undefined` if there is none. */
export function currentContext(): AmbientContext | undefined {
  return storage.getStore();
}

/** Milliseconds until the deadline of the work that asks, at least 0; `Infinity` if there is none. */
export function remainingTime(): number {
  const { deadline = Infinity, clock = systemClock } = currentContext() ?? {};
  return deadline === Infinity ? Infinity : Math.max(0, deadline - clock.now());
}

/**
 * The context of the work that asks as headers, for a request that no adapter sends.
 *
 * @example
 * ```ts
 * import { currentHeaders, runInContext } from '@resil/context';
 *
 * runInContext({ priority: 5 }, () => currentHeaders()); // { 'resil-context': 'priority=5' }
 * ```
 */
export function currentHeaders(): Record<string, string> {
  return writeContext(currentContext() ?? {});
}

/**
 * Runs `work` within a context: what is said here, and for the rest what the work around it has. Its
 * deadline is the earlier of both. Gives what `work` gives.
 *
 * @throws `InvalidOptionError` for a context that can't be.
 * @example
 * ```ts
 * import { retry } from '@resil/core';
 * import { remainingTime, runInContext } from '@resil/context';
 *
 * const context = { deadline: performance.now() + 500, priority: 5 };
 * const left = await runInContext(context, () => retry().execute(async () => remainingTime()));
 * console.log(left <= 500); // true
 * ```
 */
export function runInContext<T>(context: AmbientContext, work: () => T): T {
  checkOptions('context', context, rules);
  provideContext();
  return runWithin(within(currentContext(), context), work);
}

/**
 * Runs `work` without any context: for what goes on after the answer, and must not end with its
 * deadline. Gives what `work` gives.
 */
export function runDetached<T>(work: () => T): T {
  return storage.run(undefined, work);
}

/** Runs `work` within just this context. */
export function runWithin<T>(context: AmbientContext, work: () => T): T {
  return storage.run(context, work);
}

/** `inner` within `outer`. */
export function within(outer: AmbientContext | undefined, inner: AmbientContext): AmbientContext {
  if (outer === undefined) return inner;
  const given = Object.entries(inner).filter(([, value]) => value !== undefined);
  const both: AmbientContext = { ...outer, ...Object.fromEntries(given) };
  const { deadline, clock } = leftOf(outer) < leftOf(inner) ? outer : inner;
  return { ...both, deadline, clock };
}

function leftOf({ deadline = Infinity, clock = systemClock }: AmbientContext): number {
  return deadline === Infinity ? Infinity : deadline - clock.now();
}
