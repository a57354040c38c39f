/** Options of the server helpers, and how a request's context comes of them. */
import {
  type AmbientContext,
  type Clock,
  checkOptions,
  clockRule,
  functionRule,
  type OptionRules,
  positiveDurationRule,
  report,
  systemClock,
} from '@resil/core';
import { type HeaderRecord, readContext } from './headers.js';

/** Options of the server helpers. */
export interface ContextOptions {
  /**
   * Whether the caller's headers are believed. Say `() => false` at the edge: a stranger must not
   * choose a priority, or switch your retries off.
   *
   * Default: all are.
   */
  readonly trust?: ((headers: HeaderRecord) => boolean) | undefined;
  /**
   * Milliseconds that a request may take, whatever its caller allows.
   *
   * Above 0.
   *
   * @defaultValue `contextDefaults.maxDuration` (`Infinity`)
   */
  readonly maxDuration?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of the server helpers. */
export const contextDefaults: { readonly maxDuration: number } = Object.freeze({
  maxDuration: Infinity,
});

const rules: OptionRules<ContextOptions> = {
  trust: functionRule,
  maxDuration: positiveDurationRule(true),
  clock: clockRule,
};

/** Makes contexts of what arrives. Shared by all requests of a server. */
export class Arrivals {
  readonly clock: Clock;
  readonly #trust: ((headers: HeaderRecord) => boolean) | undefined;
  readonly #maxDuration: number;

  /** @throws `InvalidOptionError` */
  constructor(owner: string, options: ContextOptions) {
    checkOptions(owner, options, rules);
    this.clock = options.clock ?? systemClock;
    this.#trust = options.trust;
    this.#maxDuration = options.maxDuration ?? contextDefaults.maxDuration;
  }

  /** The context of a request that arrives now. `remaining` tells its time where the headers don't. */
  contextOf(headers: HeaderRecord, remaining: number = Infinity): AmbientContext {
    const { clock } = this;
    const told = this.#trusts(headers) ? readContext(headers, clock) : {};
    const limit = Math.min(remaining, this.#maxDuration);
    const deadline = Math.min(told.deadline ?? Infinity, clock.now() + limit);
    return deadline === Infinity ? told : { ...told, deadline, clock };
  }

  /** Whether nobody waits for the work any more. */
  isLate({ deadline = Infinity }: AmbientContext): boolean {
    return deadline !== Infinity && deadline <= this.clock.now();
  }

  #trusts(headers: HeaderRecord): boolean {
    try {
      return this.#trust?.(headers) ?? true;
    } catch (error) {
      report(error, 'trust');
      return false;
    }
  }
}
