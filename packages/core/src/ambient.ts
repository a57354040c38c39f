/**
 * The ambient context: what a call inherits from the work that it is made for. The core keeps none
 * itself, since that takes an AsyncLocalStorage, which not every place it runs in has; a provider, such
 * as that of `@resil/context`, does. Without one a call costs a single check more.
 *
 *   the server reads its caller's headers -> context -> calls made meanwhile -> headers of their own
 */
import type { Call, CallAttributes } from './call.js';
import type { CallState } from './call-state.js';
import { type Clock, systemClock } from './clock.js';

/** What work hands down to the calls that are made for it. */
export interface AmbientContext {
  /** When the work must have ended, on `clock`; the earlier of this and a call's own counts. Default: no deadline. */
  readonly deadline?: number | undefined;
  /** What `deadline` is measured by. Default: the system's clock, `performance.now()`. */
  readonly clock?: Clock | undefined;
  /** Importance, for calls that don't say their own. */
  readonly priority?: number | undefined;
  /** Whether doing the work twice does no harm, for calls that don't say so themselves. */
  readonly idempotent?: boolean | undefined;
  /** Whether somebody further out repeats the work when it fails: retries and hedges within make one attempt. */
  readonly retried?: boolean | undefined;
  /** Attributes, for calls that have none of their own. They stay within the process. */
  readonly attributes?: CallAttributes | undefined;
}

/** Keeps the ambient context, and knows how it is told to another process. */
export interface AmbientProvider {
  /** The context of the work that asks. */
  current(): AmbientContext | undefined;
  /** Runs `work` within `context`, whatever it waits for included. */
  run<T>(context: AmbientContext, work: () => T): T;
  /** The context as headers, lower case, for the other side to read. */
  headers(context: AmbientContext): Readonly<Record<string, string>>;
}

/** @internal The provider in use. Read for each call. */
export let ambientProvider: AmbientProvider | undefined;

/**
 * Makes `provider` the one that calls inherit from, in the whole process; the result puts the former
 * one back.
 */
export function provideAmbient(provider: AmbientProvider): () => void {
  const former = ambientProvider;
  ambientProvider = provider;
  return () => {
    if (ambientProvider === provider) ambientProvider = former;
  };
}

/**
 * Headers that tell the server what it works for: for adapters, to be asked for each attempt.
 * `undefined` while there is no provider.
 */
export function contextHeaders(
  call: Call,
  overrides?: AmbientContext,
): Readonly<Record<string, string>> | undefined {
  return ambientProvider?.headers({ ...handedDown(call as CallState), ...overrides });
}

/** When the work that asks must have ended, on `clock`; `Infinity` if it need not. For adapters. */
export function ambientDeadline(clock: Clock): number {
  return deadlineOn(clock, ambientProvider?.current() ?? {});
}

/** @internal What the operation of a call hands down. */
export function handedDown(call: CallState): AmbientContext {
  const { ambient, repeated, options } = call.root;
  return {
    deadline: call.deadline,
    clock: call.clock,
    priority: options?.priority ?? ambient?.priority,
    // That the whole must not be repeated says nothing of its parts.
    idempotent: call.idempotent === true || undefined,
    retried: repeated || ambient?.retried === true,
    attributes: ambient?.attributes,
  };
}

/** @internal The deadline of a context on another clock's scale. */
export function deadlineOn(clock: Clock, { deadline, clock: own = systemClock }: AmbientContext) {
  if (deadline === undefined || deadline === Infinity || own === clock) return deadline ?? Infinity;
  return clock.now() + (deadline - own.now());
}
