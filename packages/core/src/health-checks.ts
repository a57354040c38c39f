/**
 * Active health checks: asks each endpoint now and then how it is, whether calls come or not. An
 * endpoint is unhealthy after so many checks in a row that failed, and healthy after so many that
 * passed. Endpoints are asked one interval apart each, spread over the first interval so that they are
 * not all asked at once. The timers don't keep the process alive.
 */
import type { Clock } from './clock.js';
import type { Endpoint } from './endpoint.js';
import { TimeoutError } from './errors.js';
import {
  checkOptions,
  countRule,
  functionRule,
  InvalidOptionError,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** How endpoints are asked how they are. */
export interface HealthCheckOptions<Target> {
  /**
   * Asks an endpoint: resolves if it is well; rejects, or gives `false`, if it is not. The signal is
   * aborted when its time is over.
   */
  readonly check: (endpoint: Endpoint<Target>, signal: AbortSignal) => unknown;
  /** Milliseconds from the end of one check of an endpoint to the next. Above 0. @defaultValue 10,000 */
  readonly checkInterval?: number | undefined;
  /** Milliseconds that a check may take. Above 0. @defaultValue 2,000 */
  readonly checkTimeout?: number | undefined;
  /** Failed checks in a row that make an endpoint unhealthy. At least 1. @defaultValue 2 */
  readonly unhealthyThreshold?: number | undefined;
  /** Passed checks in a row that make it healthy again. At least 1. @defaultValue 1 */
  readonly healthyThreshold?: number | undefined;
}

/** Defaults of health checks. */
export const healthCheckDefaults: {
  readonly checkInterval: number;
  readonly checkTimeout: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
} = Object.freeze({
  checkInterval: 10_000,
  checkTimeout: 2_000,
  unhealthyThreshold: 2,
  healthyThreshold: 1,
});

const rules: OptionRules<HealthCheckOptions<unknown>> = {
  check: functionRule,
  checkInterval: positiveDurationRule(),
  checkTimeout: positiveDurationRule(),
  unhealthyThreshold: countRule(1),
  healthyThreshold: countRule(1),
};

/** Told of what changes. */
export interface HealthListener {
  unhealthy(index: number, error: unknown): void;
  /** An endpoint passed a check; `changed` if it was unhealthy before. */
  passed(index: number, changed: boolean): void;
}

interface Health {
  healthy: boolean;
  /** Checks in a row with the same result, failed ones if healthy, passed ones if not. */
  against: number;
}

/** Asks the endpoints of one failover. */
export class HealthChecks<Target> {
  readonly #options: {
    readonly [K in keyof HealthCheckOptions<Target>]-?: NonNullable<HealthCheckOptions<Target>[K]>;
  };
  readonly #endpoints: readonly Endpoint<Target>[];
  readonly #listener: HealthListener;
  readonly #health: readonly Health[];
  /** By endpoint, what ends its timer or its running check. */
  readonly #ends: (() => void)[] = [];
  #state: 'new' | 'running' | 'paused' | 'closed' = 'new';
  /** Which run it is: a check that outlives its own says nothing in the next. */
  #round = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(
    endpoints: readonly Endpoint<Target>[],
    options: HealthCheckOptions<Target>,
    listener: HealthListener,
  ) {
    checkOptions('failover.healthCheck', options as HealthCheckOptions<unknown>, rules);
    const { check, checkInterval, checkTimeout, unhealthyThreshold, healthyThreshold } = options;
    if (typeof check !== 'function')
      throw new InvalidOptionError('failover.healthCheck.check', check, 'must be a function');
    const defaults = healthCheckDefaults;
    this.#options = {
      check,
      checkInterval: checkInterval ?? defaults.checkInterval,
      checkTimeout: checkTimeout ?? defaults.checkTimeout,
      unhealthyThreshold: unhealthyThreshold ?? defaults.unhealthyThreshold,
      healthyThreshold: healthyThreshold ?? defaults.healthyThreshold,
    };
    this.#endpoints = endpoints;
    this.#listener = listener;
    this.#health = endpoints.map(() => ({ healthy: true, against: 0 }));
  }

  isHealthy(index: number): boolean {
    return (this.#health[index] as Health).healthy;
  }

  /** Begins, if it has not begun or was closed. */
  start(clock: Clock): void {
    if (this.#state !== 'new') return;
    this.#state = 'running';
    const { checkInterval } = this.#options;
    for (const index of this.#endpoints.keys()) {
      this.#schedule(index, clock, (checkInterval * index) / this.#endpoints.length);
    }
  }

  /** Ends all checks until `resume()` and the next `start()`. */
  pause(): void {
    if (this.#state !== 'closed') this.#end('paused');
  }

  /** May begin again. */
  resume(): void {
    if (this.#state === 'paused') this.#state = 'new';
  }

  /** Ends all checks, for good. */
  close(): void {
    this.#end('closed');
  }

  #end(state: 'paused' | 'closed'): void {
    this.#state = state;
    this.#round++;
    for (const end of this.#ends) end();
  }

  #schedule(index: number, clock: Clock, delay: number): void {
    this.#ends[index] = clock.schedule(() => void this.#check(index, clock), delay, true);
  }

  async #check(index: number, clock: Clock): Promise<void> {
    const { check, checkInterval, checkTimeout } = this.#options;
    const round = this.#round;
    const controller = new AbortController();
    let forgetTimeout = (): void => {};
    const late = new Promise<never>((_, reject) => {
      const expire = (): void => {
        const error = new TimeoutError('health check', checkTimeout);
        reject(error);
        controller.abort(error);
      };
      forgetTimeout = clock.schedule(expire, checkTimeout, true);
    });
    this.#ends[index] = () => {
      forgetTimeout();
      controller.abort();
    };
    let failure: { readonly error: unknown } | undefined;
    try {
      const endpoint = this.#endpoints[index] as Endpoint<Target>;
      const result = await Promise.race([check(endpoint, controller.signal), late]);
      if (result === false) failure = { error: new Error('the health check gave false') };
    } catch (error) {
      failure = { error };
    }
    forgetTimeout();
    if (round !== this.#round) return;
    this.#settle(index, failure);
    // Who heard of it may have ended the checks.
    if (round === this.#round) this.#schedule(index, clock, checkInterval);
  }

  #settle(index: number, failure: { readonly error: unknown } | undefined): void {
    const { unhealthyThreshold, healthyThreshold } = this.#options;
    const health = this.#health[index] as Health;
    const agrees = health.healthy === (failure === undefined);
    health.against = agrees ? 0 : health.against + 1;
    const threshold = health.healthy ? unhealthyThreshold : healthyThreshold;
    const changed = health.against >= threshold;
    if (changed) {
      health.healthy = !health.healthy;
      health.against = 0;
    }
    if (failure === undefined) this.#listener.passed(index, changed);
    else if (changed) this.#listener.unhealthy(index, failure.error);
  }
}
