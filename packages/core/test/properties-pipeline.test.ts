/**
 * Random pipelines, random operations, callers that lose patience: whatever happens, every call
 * settles once with something that it may settle with, and everything that was taken is given back.
 */
import process from 'node:process';
import { seededRandom, VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bulkhead, bulkhead } from '../src/bulkhead.js';
import type { Call } from '../src/call.js';
import { circuitBreaker } from '../src/circuit-breaker.js';
import { deadlinesOf } from '../src/deadline-wheel.js';
import { isRefusal, isResilienceError } from '../src/errors.js';
import { fallback } from '../src/fallback.js';
import type { Guard, Layer } from '../src/layer.js';
import { type Pipeline, pipeline } from '../src/pipeline.js';
import { retry } from '../src/retry.js';
import { retryBudget } from '../src/retry-budget.js';
import { timeout } from '../src/timeout.js';
import { tokenBudget } from '../src/token-budget.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

/** A layer in words, so that a failing pipeline can be read. */
type Plan =
  | {
      readonly a: 'retry';
      readonly maxAttempts: number;
      readonly budget: 'none' | 'ratio' | 'tokens';
      readonly jitter: 'none' | 'full';
    }
  | { readonly a: 'breaker'; readonly failureThreshold: number; readonly halfOpenCalls: number }
  | {
      readonly a: 'bulkhead';
      readonly running: number;
      readonly waiting: number;
      readonly queueTimeout: number;
    }
  | { readonly a: 'timeout'; readonly duration: number }
  | { readonly a: 'fallback'; readonly fails: boolean }
  | { readonly a: 'counter'; readonly waits: number; readonly refuses: number }
  | { readonly a: 'pipeline'; readonly plans: readonly Plan[] };

const onePlan: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({
    a: fc.constant('retry' as const),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
    budget: fc.constantFrom('none' as const, 'ratio' as const, 'tokens' as const),
    jitter: fc.constantFrom('none' as const, 'full' as const),
  }),
  fc.record({
    a: fc.constant('breaker' as const),
    failureThreshold: fc.integer({ min: 1, max: 4 }),
    halfOpenCalls: fc.integer({ min: 1, max: 2 }),
  }),
  fc.record({
    a: fc.constant('bulkhead' as const),
    running: fc.constantFrom(1, 1, 2),
    waiting: fc.nat(3),
    queueTimeout: fc.constantFrom(0, 3, 10, 60, Infinity),
  }),
  fc.record({ a: fc.constant('timeout' as const), duration: fc.constantFrom(1, 15, 40, 90) }),
  fc.record({ a: fc.constant('fallback' as const), fails: fc.boolean() }),
  fc.record({
    a: fc.constant('counter' as const),
    waits: fc.constantFrom(0, 0, 0, 5, 30),
    refuses: fc.constantFrom(0, 0, 3),
  }),
);
const plans: fc.Arbitrary<Plan[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: onePlan },
    {
      weight: 1,
      arbitrary: fc
        .array(onePlan, { maxLength: 3 })
        .map((inner) => ({ a: 'pipeline' as const, plans: inner })),
    },
  ),
  { maxLength: 6, size: 'max' },
);

interface Work {
  /** What each attempt does; the last one again and again. */
  readonly attempts: readonly {
    readonly ends: 'value' | 'error' | 'throws' | 'at once';
    readonly after: number;
    /** Whether it stops when it is told to. */
    readonly listens: boolean;
  }[];
  readonly startsAfter: number;
  readonly abortAfter: number | undefined;
  /** When it aborts the call that began after it: what is on its way there must not start any more. */
  readonly abortsNext: 'never' | 'at its start' | 'at its end';
  /** Promise jobs between the moment of an abort and the abort. */
  readonly jobs: number;
  readonly deadline: number;
  readonly admitted: boolean;
}

const work: fc.Arbitrary<Work> = fc.record({
  attempts: fc.array(
    fc.record({
      ends: fc.constantFrom('value', 'error', 'error', 'throws', 'at once'),
      after: fc.constantFrom(0, 1, 5, 20, 50, 200),
      listens: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  startsAfter: fc.constantFrom(0, 0, 1, 10, 40),
  abortAfter: fc.constantFrom(undefined, undefined, undefined, 0, 1, 5, 12, 20, 50),
  abortsNext: fc.constantFrom('never', 'never', 'at its start', 'at its end'),
  jobs: fc.nat(8),
  deadline: fc.constantFrom(Infinity, Infinity, Infinity, 0, 5, 20, 100),
  admitted: fc.integer({ min: 0, max: 7 }).map((number) => number === 0),
});

/** A guard that knows each permit by name. */
class Counter implements Guard<object> {
  readonly name = 'counter';
  readonly out = new Set<object>();
  readonly #clock: VirtualClock;
  readonly #waits: number;
  readonly #refuses: number;
  readonly #violations: string[];
  #entered = 0;

  constructor(build: Build, waits: number, refuses: number) {
    this.#clock = build.clock;
    this.#violations = build.violations;
    this.#waits = waits;
    this.#refuses = refuses;
  }

  enter(call: Call): object | Promise<object> {
    this.#entered += 1;
    if (this.#refuses > 0 && this.#entered % this.#refuses === 0) throw own;
    if (this.#waits === 0) return this.#permit();
    return new Promise((resolve, reject) => {
      const forget = call.onAbort((reason) => {
        end();
        reject(reason);
      });
      const end = this.#clock.schedule(() => {
        forget();
        resolve(this.#permit());
      }, this.#waits);
    });
  }

  leave(permit: object): void {
    if (!this.out.delete(permit)) this.#violations.push('a permit went back twice');
  }

  #permit(): object {
    const permit = {};
    this.out.add(permit);
    return permit;
  }
}

const own = new Error("the counter's own refusal");
const enough = new Error('enough');
const fallbackFailed = new Error('the fallback failed');

class Build {
  readonly clock = new VirtualClock();
  readonly random = seededRandom(7);
  readonly bulkheads: Bulkhead[] = [];
  readonly counters: Counter[] = [];
  mostAttempts = 1;
  shortestTimeout = Infinity;
  /** Work under a timeout may go on, with its deadline, after its caller is gone. */
  outlives = false;
  calls = 0;
  readonly runs: Run[] = [];
  /** What was seen inside of calls, where throwing would only fail the call. */
  readonly violations: string[] = [];
  /** Deadlines pending when the last call had settled. */
  pendingAfterCalls = 0;

  pipelineOf(list: readonly Plan[], name: string): Pipeline {
    return pipeline(
      { name, clock: this.clock },
      ...list.map((plan, index) => this.#layerOf(plan, `${name} ${index}`)),
    );
  }

  #layerOf(plan: Plan, place: string): Layer {
    const { clock, random } = this;
    switch (plan.a) {
      case 'retry': {
        this.mostAttempts *= plan.maxAttempts;
        const budgets = {
          none: false,
          ratio: retryBudget({ clock }),
          tokens: tokenBudget(),
        } as const;
        const { maxAttempts, jitter } = plan;
        return retry({ maxAttempts, baseDelay: 8, jitter, random, budget: budgets[plan.budget] });
      }
      case 'breaker': {
        const { failureThreshold, halfOpenCalls } = plan;
        return circuitBreaker({ failureThreshold, halfOpenCalls, resetTimeout: 30, clock });
      }
      case 'bulkhead': {
        const { running, waiting, queueTimeout } = plan;
        const layer = bulkhead({
          maxConcurrentCalls: running,
          maxQueueSize: waiting,
          queueTimeout,
        });
        this.bulkheads.push(layer);
        return layer;
      }
      case 'timeout':
        this.outlives = true;
        // The outermost one: what stands outside of a timeout may hold a call that the timeout has freed.
        if (place === 'outer 0') this.shortestTimeout = plan.duration;
        return timeout({ duration: plan.duration });
      case 'fallback':
        return fallback(() => {
          if (plan.fails) throw fallbackFailed;
          return 'instead';
        });
      case 'counter': {
        const counter = new Counter(this, plan.waits, plan.refuses);
        this.counters.push(counter);
        return counter;
      }
      case 'pipeline':
        return this.pipelineOf(plan.plans, `in ${place}`);
    }
  }
}

/** One call, from its start to its end. */
class Run {
  settled = 0;
  attempts = 0;
  startedAt = 0;
  endedAt = Infinity;
  ended: { readonly value: unknown } | { readonly error: unknown } | undefined;
  readonly failure = new Error('down');
  readonly #work: Work;
  readonly #build: Build;
  readonly #caller = new AbortController();

  constructor(planned: Work, build: Build) {
    this.#work = planned;
    this.#build = build;
  }

  start(through: Pipeline): void {
    const { startsAfter, abortAfter, jobs, deadline, admitted } = this.#work;
    const { clock } = this.#build;
    this.#build.calls += 1;
    this.#build.runs.push(this);
    if (deadline < Infinity || admitted) this.#build.outlives = true;
    clock.schedule(() => {
      this.startedAt = clock.now();
      const options = { signal: this.#caller.signal, deadline: clock.now() + deadline };
      const operation = (call: Call): unknown => this.#operate(call);
      const result = admitted
        ? through.admit(options).then((admission) => {
            Promise.resolve()
              .then(() => this.#operate(admission.call))
              .then(
                (value) => admission.settle({ ok: true, value }),
                (error) => admission.settle({ ok: false, error }),
              );
            return 'admitted';
          })
        : through.execute(operation, options);
      result.then(
        (value) => this.#end({ value }),
        (error) => this.#end({ error }),
      );
    }, startsAfter);
    if (abortAfter !== undefined)
      clock.schedule(() => this.abortSoon(jobs), startsAfter + abortAfter);
  }

  #end(how: { readonly value: unknown } | { readonly error: unknown }): void {
    this.settled += 1;
    this.ended = how;
    this.endedAt = this.#build.clock.now();
    this.#build.calls -= 1;
    this.#build.pendingAfterCalls = deadlinesOf(this.#build.clock).size;
  }

  async abortSoon(jobs: number): Promise<void> {
    for (let job = 0; job < jobs; job++) await undefined;
    this.#caller.abort(enough);
  }

  #abortNext(when: Work['abortsNext']): void {
    const { runs: all } = this.#build;
    if (when === this.#work.abortsNext) all[all.indexOf(this) + 1]?.abortSoon(this.#work.jobs);
  }

  #operate(call: Call): unknown {
    const { attempts } = this.#work;
    const plan = attempts[Math.min(this.attempts, attempts.length - 1)]!;
    this.attempts += 1;
    if (call.aborted) this.#build.violations.push('an operation began after the abort');
    const latest = this.startedAt + Math.min(this.#build.shortestTimeout, this.#work.deadline);
    if (call.deadline > latest) this.#build.violations.push('a deadline after that of the caller');
    this.#abortNext('at its start');
    if (plan.ends === 'throws') throw this.failure;
    if (plan.ends === 'at once') return 'value';
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        end();
        reject(call.signal.reason);
      };
      const end = this.#build.clock.schedule(() => {
        if (plan.listens) call.signal.removeEventListener('abort', stop);
        this.#abortNext('at its end');
        if (plan.ends === 'value') resolve('value');
        else reject(this.failure);
      }, plan.after);
      if (plan.listens) call.signal.addEventListener('abort', stop, { once: true });
    });
  }

  expectLegal(): void {
    same(this.settled, 1, 'times settled');
    const { mostAttempts, shortestTimeout } = this.#build;
    same(this.attempts <= mostAttempts, true, `${this.attempts} attempts of ${mostAttempts}`);
    const { ended } = this;
    if (ended === undefined) throw new Error('never settled');
    if ('value' in ended)
      same(['value', 'instead', 'admitted'].includes(String(ended.value)), true, 'a value');
    else {
      const known = [this.failure, own, enough, fallbackFailed].includes(ended.error as Error);
      same(known || isResilienceError(ended.error), true, `error ${ended.error}`);
      if (isRefusal(ended.error)) count('refused');
      count(isResilienceError(ended.error) ? ended.error.code : (ended.error as Error).message);
    }
    const latest = this.startedAt + Math.min(shortestTimeout, this.#work.deadline) + 1;
    if (!this.#work.admitted) same(this.endedAt <= latest, true, `ended by ${latest}`);
    if (this.attempts > 1) count('more attempts');
  }
}

const tally: Record<string, number> = {};
function count(what: string): void {
  tally[what] = (tally[what] ?? 0) + 1;
}

describe('a pipeline of random layers', () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => {
    unhandled.push(error);
  };
  beforeEach(() => process.on('unhandledRejection', onUnhandled));
  afterEach(() => process.off('unhandledRejection', onUnhandled));

  it(
    'settles every call once, and has everything back in the end',
    async () => {
      const works = fc.array(work, { minLength: 1, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(plans, works, async (planned, calls) => {
          const build = new Build();
          const { clock } = build;
          const through = build.pipelineOf(planned, 'outer');
          const all = calls.map((one) => new Run(one, build));
          for (const run of all) run.start(through);
          await clock.runUntilIdle();
          same(build.violations, [], 'violations');
          for (const run of all) run.expectLegal();
          for (const guard of build.bulkheads) {
            same(guard.running, 0, 'permits out');
            same(guard.waiting, 0, 'calls waiting');
          }
          for (const counter of build.counters) same(counter.out.size, 0, 'permits not given back');
          same(deadlinesOf(clock).size, 0, 'deadlines pending');
          same(build.calls, 0, 'calls that have not settled');
          if (!build.outlives) same(build.pendingAfterCalls, 0, 'waits that outlive the calls');
          same(clock.pending, 0, 'timers');
        }),
        runs(4_000),
      );
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    },
    PATIENCE,
  );

  it('was driven into every corner', () => {
    const corners = [
      'down',
      'enough',
      "the counter's own refusal",
      'the fallback failed',
      'RESIL_TIMEOUT',
      'RESIL_CIRCUIT_OPEN',
      'RESIL_BULKHEAD_FULL',
      'RESIL_QUEUE_TIMEOUT',
      'more attempts',
    ];
    for (const corner of corners) expect(tally[corner], corner).toBeGreaterThan(25);
  });
});
