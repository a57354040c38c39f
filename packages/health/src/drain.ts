/**
 * The end of a service, in order:
 *
 * ```
 *   not ready -> readinessDelay -> stop what takes work in -> send away who waits -> running calls finish -> close
 * ```
 *
 * The load balancer needs time to see that it is not ready; what was taken in until then is still done.
 */
import {
  type Clock,
  checkOptions,
  durationRule,
  InvalidOptionError,
  type Keyed,
  type OptionRules,
  objectRule,
  observe,
  type Pipeline,
  positiveDurationRule,
} from '@resil/core';

import { errorTypeOf } from './error-type.js';

/** A step: closes something. `signal` is aborted when there is no time left. */
export type DrainStep = (context: { readonly signal: AbortSignal }) => unknown;

/** Options of a drain. */
export interface DrainOptions {
  /**
   * Milliseconds for all of it. Less than what the platform waits before it kills (Kubernetes: 30,000).
   *
   * Above 0.
   *
   * @defaultValue `drainDefaults.deadline` (25,000)
   */
  readonly deadline?: number | undefined;
  /**
   * Milliseconds between not being ready and taking nothing in: so long it takes until nobody sends
   * requests any more.
   *
   * At least 0, less than `deadline`.
   *
   * @defaultValue `drainDefaults.readinessDelay` (3,000), or a fifth of `deadline` if that is shorter
   */
  readonly readinessDelay?: number | undefined;
  /** What takes work in, by name: servers, consumers. All at a time, before running calls are waited for. */
  readonly stop?: Readonly<Record<string, DrainStep>> | undefined;
  /** What is needed until the end, by name: pools, producers. All at a time, when no call runs any more. */
  readonly close?: Readonly<Record<string, DrainStep>> | undefined;
}

/** What became of a step. */
export interface DrainStepReport {
  readonly name: string;
  readonly status: 'done' | 'failed' | 'timed-out';
  /** Milliseconds that it took. */
  readonly duration: number;
  /** Code or name of what it threw. */
  readonly errorType?: string;
}

/** What became of a drain. */
export interface DrainReport {
  /** Whether everything was done in time. */
  readonly clean: boolean;
  /** Milliseconds that it took. */
  readonly duration: number;
  /** Calls that waited for a turn, or would have had to, and were sent away. */
  readonly refused: number;
  /** Calls that ran when nothing new was taken in, and finished. */
  readonly finished: number;
  /** Calls that still ran at the end, by the name of their pipeline. */
  readonly unfinished: Readonly<Record<string, number>>;
  readonly stop: readonly DrainStepReport[];
  readonly close: readonly DrainStepReport[];
}

/** Defaults of a drain. */
export const drainDefaults: { readonly deadline: number; readonly readinessDelay: number } =
  Object.freeze({ deadline: 25_000, readinessDelay: 3_000 });

/** How often is looked whether calls still run, in ms. */
const LOOK_INTERVAL = 20;

/** Share of the time that is kept for `close`, whatever still runs. */
const CLOSE_SHARE = 0.1;

const steps = objectRule('an object of functions by name', (value) =>
  Object.values(value).every((step) => typeof step === 'function'),
);

const rules: OptionRules<DrainOptions> = {
  deadline: positiveDurationRule(),
  readinessDelay: durationRule(),
  stop: steps,
  close: steps,
};

/** The times of a drain. @throws `InvalidOptionError` */
export function checkDrainOptions(options: DrainOptions): {
  readonly deadline: number;
  readonly readinessDelay: number;
} {
  checkOptions('drain', options, rules);
  const { deadline = drainDefaults.deadline } = options;
  const { readinessDelay = Math.min(drainDefaults.readinessDelay, deadline / 5) } = options;
  if (readinessDelay < deadline) return { deadline, readinessDelay };
  const rule = `must be less than deadline (${deadline})`;
  throw new InvalidOptionError('drain.readinessDelay', readinessDelay, rule);
}

/** A drain under way. */
export class Drain {
  readonly report: Promise<DrainReport>;
  readonly #pipelines: () => readonly (Pipeline | Keyed)[];
  readonly #clock: Clock;
  readonly #begun: number;
  readonly #end: number;
  readonly #outOfTime = new AbortController();

  /** @throws `InvalidOptionError` */
  constructor(options: DrainOptions, pipelines: () => readonly (Pipeline | Keyed)[], clock: Clock) {
    const { deadline, readinessDelay } = checkDrainOptions(options);
    this.#pipelines = pipelines;
    this.#clock = clock;
    this.#begun = clock.now();
    this.#end = this.#begun + deadline;
    clock.schedule(() => this.#outOfTime.abort(), deadline, true);
    this.report = this.#run(readinessDelay, deadline * CLOSE_SHARE, options);
  }

  async #run(readinessDelay: number, kept: number, options: DrainOptions): Promise<DrainReport> {
    const { stop = {}, close = {} } = options;
    await this.#wait(readinessDelay);
    const stopping = this.#steps(stop, this.#end - kept);
    let refused = 0;
    const forget = observe((event) => {
      if ('reason' in event && event.reason === 'draining') refused++;
    });
    for (const pipeline of this.#pipelines()) pipeline.drain();
    // Those who were sent away are gone before the rest is counted.
    await this.#wait(0);
    const running = total(this.#inFlight());
    const stopped = await stopping;
    await this.#untilIdle(this.#end - kept);
    const left = this.#inFlight();
    const closed = await this.#steps(close, this.#end);
    forget();
    const clean =
      left.size === 0 && [...stopped, ...closed].every(({ status }) => status === 'done');
    return {
      clean,
      duration: this.#clock.now() - this.#begun,
      refused,
      finished: Math.max(0, running - total(left)),
      unfinished: Object.fromEntries(left),
      stop: stopped,
      close: closed,
    };
  }

  #wait(duration: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.schedule(resolve, duration));
  }

  async #untilIdle(until: number): Promise<void> {
    while (this.#inFlight().size > 0 && this.#clock.now() < until) await this.#wait(LOOK_INTERVAL);
  }

  #steps(of: Readonly<Record<string, DrainStep>>, until: number): Promise<DrainStepReport[]> {
    return Promise.all(Object.entries(of).map(([name, step]) => this.#step(name, step, until)));
  }

  #step(name: string, step: DrainStep, until: number): Promise<DrainStepReport> {
    const begun = this.#clock.now();
    return new Promise((resolve) => {
      const end = (status: DrainStepReport['status'], errorType?: string): void => {
        forget();
        const duration = this.#clock.now() - begun;
        resolve({ name, status, duration, ...(errorType !== undefined && { errorType }) });
      };
      const forget = this.#clock.schedule(
        () => end('timed-out'),
        Math.max(0, until - this.#clock.now()),
      );
      const { signal } = this.#outOfTime;
      new Promise((begin) => begin(step({ signal }))).then(
        () => end('done'),
        (error: unknown) => end('failed', errorTypeOf(error)),
      );
    });
  }

  /** Calls that run, by the name of their pipeline. */
  #inFlight(): Map<string, number> {
    const running = new Map<string, number>();
    for (const [at, pipeline] of this.#pipelines().entries()) {
      const count = inFlightOf(pipeline);
      const name = pipeline.name ?? `pipeline ${at + 1}`;
      if (count > 0) running.set(name, (running.get(name) ?? 0) + count);
    }
    return running;
  }
}

function inFlightOf(pipeline: Pipeline | Keyed): number {
  if (!('for' in pipeline)) return pipeline.describe().state.inFlight;
  const { pipelines } = pipeline.describe({ maxKeys: Infinity });
  return pipelines.reduce((sum, { state }) => sum + state.inFlight, 0);
}

function total(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
