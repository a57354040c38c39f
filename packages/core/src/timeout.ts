/**
 * Timeout: frees the caller when the work takes too long.
 *
 * The deadline of the work is the earlier of `duration` from now and the deadline it came with. When
 * it passes, `call.signal` is aborted with the timeout's error as reason, and the caller gets that
 * error at once. The work itself can only be asked to stop: guards that stand inside the timeout keep
 * its permit until it really ends. Nothing is aborted after success, so a stream that was returned
 * lives on. All pending timeouts of a clock share one timer.
 */
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { GuardedStage } from './guarded-run.js';
import type { Strategy } from './layer.js';
import { SingleLayer } from './single-layer.js';
import {
  checkOptions,
  clockRule,
  nameRule,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** Options of {@link timeout}. */
export interface TimeoutOptions {
  /**
   * Milliseconds the work may take.
   *
   * Above 0; `Infinity` for no limit.
   *
   * @defaultValue `timeoutDefaults.duration` (10,000)
   */
  readonly duration?: number | undefined;
  /** Name in errors and events. @defaultValue `'timeout'` */
  readonly name?: string | undefined;
  /** Source of time. Default: that of the pipeline. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link timeout}. */
export const timeoutDefaults: { readonly duration: number; readonly name: string } = Object.freeze({
  duration: 10_000,
  name: 'timeout',
});

const rules: OptionRules<TimeoutOptions> = {
  duration: positiveDurationRule(true),
  name: nameRule,
  clock: clockRule,
};

/** Frees the caller when the work takes too long. An instance may be shared. */
export class Timeout extends SingleLayer implements Strategy {
  /** @internal */
  readonly timeLimit = true;
  readonly name: string;
  readonly duration: number;
  readonly clock: Clock | undefined;
  /** @internal */
  expired = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: TimeoutOptions = {}) {
    super();
    checkOptions('timeout', options, rules);
    this.name = options.name ?? timeoutDefaults.name;
    this.duration = options.duration ?? timeoutDefaults.duration;
    this.clock = options.clock;
  }

  describe(): LayerDescription {
    return {
      type: 'timeout',
      name: this.name,
      options: jsonRecord({ duration: this.duration }),
      state: {},
      counters: { expired: this.expired },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    const stage = new GuardedStage({ run: next }, [], this);
    return stage.run(call as CallState) as Promise<T>;
  }
}

/**
 * A timeout.
 *
 * @returns A layer; calls through it reject with {@link TimeoutError} (`RESIL_TIMEOUT`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { timeout } from '@resil/core';
 *
 * const answer = await timeout({ duration: 500 }).execute(async ({ signal }) => signal.aborted);
 * ```
 */
export function timeout(options: TimeoutOptions = {}): Timeout {
  return new Timeout(options);
}
