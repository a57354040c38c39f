/** The user's own checks: each within its time, one run at a time, its result kept for a while. */
import { type Clock, type Pipeline, pipeline, timeout, unregister } from '@resil/core';
import { errorTypeOf } from './error-type.js';
import type { CheckResult, NamedCheck } from './options.js';
import type { HealthStatus } from './statuses.js';

/** What a check found, when. */
export interface Finding {
  readonly check: NamedCheck;
  readonly status: HealthStatus;
  readonly result: CheckResult;
  /** Name or code of what it threw. */
  readonly errorType: string | undefined;
  /** When it ended, in milliseconds since 1970. */
  readonly at: number;
}

/** A check and its latest finding. */
export class OwnCheck {
  readonly #check: NamedCheck;
  readonly #interval: number;
  readonly #clock: Clock;
  readonly #limited: Pipeline;
  #latest: Finding | undefined;
  #freshUntil = -Infinity;
  #running: Promise<Finding> | undefined;

  constructor(check: NamedCheck, interval: number, clock: Clock) {
    this.#check = check;
    this.#interval = interval;
    this.#clock = clock;
    // It is not a pipeline of the service's own, and not to be looked at in turn.
    this.#limited = unregister(
      pipeline({ clock }, timeout({ name: check.name, duration: check.timeout })),
    );
  }

  /** The finding, looked for anew where the latest is too old. */
  find(): Promise<Finding> {
    if (this.#latest !== undefined && this.#clock.now() < this.#freshUntil)
      return Promise.resolve(this.#latest);
    this.#running ??= this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #look(): Promise<Finding> {
    let result: CheckResult = {};
    let status: HealthStatus = 'pass';
    let errorType: string | undefined;
    try {
      result = await this.#limited.execute(
        async ({ signal }) => (await this.#check.check({ signal })) ?? {},
        { idempotent: true },
      );
      status = result.status ?? 'pass';
    } catch (error) {
      status = 'fail';
      errorType = errorTypeOf(error);
    }
    const at = this.#clock.epoch?.() ?? this.#clock.now();
    const finding = { check: this.#check, status, result, errorType, at };
    this.#latest = finding;
    this.#freshUntil = this.#clock.now() + this.#interval;
    return finding;
  }
}
