/** Random calls through a hedge against a plain simulation of it, and what no history may break. */
import { seededRandom, VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Call } from '../src/call.js';
import { ConcurrencyBudget, concurrencyBudget } from '../src/concurrency-budget.js';
import { hedge } from '../src/hedge.js';
import type { Outcome, Verdict } from '../src/outcome.js';
import { pipeline } from '../src/pipeline.js';
import { retry } from '../src/retry.js';
import { timeout } from '../src/timeout.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

type Ending = 'answer' | 'failure' | 'fatal' | 'patience' | 'never';

interface Attempt {
  readonly duration: number;
  readonly ending: Ending;
}

/** What happens to a call, and when. */
interface Course {
  readonly started: readonly number[];
  /** Number of the attempt whose outcome comes out, and when; -1 if none does. */
  readonly result: number;
  readonly at: number;
}

const endings: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('answer' as const) },
  { weight: 4, arbitrary: fc.constant('failure' as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('fatal' as const, 'patience' as const, 'never' as const),
  },
);

/** A part of a millisecond of its own for each attempt, so that no two things happen at the same time. */
const attempts: fc.Arbitrary<Attempt[]> = fc
  .array(fc.record({ duration: fc.nat(300), ending: endings }), { minLength: 6, maxLength: 6 })
  .map((list) =>
    list.map(({ duration, ending }, index) => ({ ending, duration: duration + 2 ** -(index + 2) })),
  );

/** The hedge as its rules say, event by event. */
function simulate(plan: readonly Attempt[], delay: number, maxHedges: number): Course {
  const started = [0];
  const ended = new Set<number>();
  let over = false;
  let kept = -1;
  for (;;) {
    const last = started.at(-1) as number;
    const due = over || started.length > maxHedges ? Infinity : Math.ceil(last + delay);
    let next = -1;
    let at = Infinity;
    started.forEach((start, index) => {
      const { duration, ending } = plan[index] as Attempt;
      const end = ending === 'never' ? Infinity : start + duration;
      if (!ended.has(index) && end < at) {
        next = index;
        at = end;
      }
    });
    if (due < at) started.push(due);
    else if (next < 0) return { started, result: -1, at: Infinity };
    else {
      ended.add(next);
      const { ending } = plan[next] as Attempt;
      if (ending === 'answer' || ending === 'fatal') return { started, result: next, at };
      kept = next;
      if (ending === 'patience') over = true;
      else if (!over && started.length <= maxHedges) started.push(at);
      if (ended.size === started.length) return { started, result: kept, at };
    }
  }
}

class Ended extends Error {
  readonly ending: Ending;
  readonly index: number;

  constructor(ending: Ending, index: number) {
    super(ending);
    this.ending = ending;
    this.index = index;
  }
}

function classify(outcome: Outcome): Verdict {
  if (outcome.ok) return { kind: 'success', repeat: false };
  const { ending } = outcome.error as Ended;
  return {
    kind: 'failure',
    repeat: ending !== 'fatal',
    ...(ending === 'patience' ? { retryAfter: 10 } : {}),
  };
}

function end(clock: VirtualClock, call: Call, { duration, ending }: Attempt): Promise<number> {
  return new Promise((resolve, reject) => {
    const index = call.attempt - 1;
    const cancel = clock.schedule(
      () => (ending === 'answer' ? resolve(index) : reject(new Ended(ending, index))),
      ending === 'never' ? Infinity : duration,
    );
    call.onAbort((reason) => {
      cancel();
      reject(reason);
    });
  });
}

describe('hedge', () => {
  it(
    'starts and ends attempts as its rules say, and leaves nothing behind',
    async () => {
      const results = { answered: 0, failed: 0, hedged: 0 };
      await fc.assert(
        fc.asyncProperty(
          attempts,
          fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constant(Infinity)),
          fc.integer({ min: 1, max: 5 }),
          async (plan, delay, maxHedges) => {
            const expected = simulate(plan, delay, maxHedges);
            const clock = new VirtualClock();
            const budget = concurrencyBudget({ ratio: 0, minConcurrentAttempts: 10 });
            const layer = hedge({ delay, maxHedges, budget, classify, idempotent: true, clock });
            const started: number[] = [];
            const controller = new AbortController();
            let settledAt = -1;
            const call = layer
              .execute(
                (attempt) => {
                  started.push(clock.now());
                  return end(clock, attempt, plan[attempt.attempt - 1] as Attempt);
                },
                { signal: controller.signal },
              )
              .catch((error: unknown) => (error instanceof Ended ? error.index : error))
              .then((index) => {
                settledAt = clock.now();
                return index;
              });
            await clock.advance(10_000);
            if (expected.result < 0) {
              same(settledAt, -1, 'still running');
              controller.abort('gone');
              same(await call, 'gone', 'aborted');
            } else {
              same(await call, expected.result, 'attempt that came out');
              same(settledAt, expected.at, 'when');
            }
            same(started, expected.started, 'starts');
            same(layer.hedges, started.length - 1, 'hedges');
            await clock.advance(10_000);
            same([budget.calls, budget.attempts, clock.pending], [0, 0, 0], 'left behind');
            if (started.length > 1) results.hedged += 1;
            if (plan[expected.result]?.ending === 'answer') results.answered += 1;
            else results.failed += 1;
          },
        ),
        runs(2_000),
      );
      expect(Math.min(results.answered, results.failed, results.hedged)).toBeGreaterThan(300);
    },
    PATIENCE,
  );

  it(
    'never has more hedges than the named share of the calls, whatever they do',
    async () => {
      let hedges = 0;
      const histories = fc.array(fc.record({ duration: fc.nat(400), ending: endings }), {
        minLength: 20,
        maxLength: 80,
        size: 'max',
      });
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(0.02, 0.1, 0.25, 0.5, 1),
          fc.integer({ min: 1, max: 4 }),
          histories,
          async (maxExtraLoad, maxHedges, history) => {
            const clock = new VirtualClock();
            const layer = hedge({
              maxExtraLoad,
              maxHedges,
              minimumCalls: 5,
              classify,
              idempotent: true,
              clock,
            });
            const calls = pipeline(layer, timeout({ duration: 350 }));
            let attempted = 0;
            for (const step of history) {
              void calls
                .execute((call) => {
                  attempted += 1;
                  return end(clock, call, step);
                })
                .catch(() => {});
              await clock.advance(20);
              if (layer.hedges > layer.calls * maxExtraLoad + 1e-6)
                throw new Error(`${layer.hedges} hedges for ${layer.calls} calls`);
            }
            await clock.advance(10_000);
            same(attempted, layer.calls + layer.hedges, 'attempts');
            hedges += layer.hedges;
          },
        ),
        runs(300),
      );
      expect(hedges).toBeGreaterThan(500);
    },
    PATIENCE,
  );
});

type Step = 'call' | 'call ends' | 'withdraw' | 'attempt ends';

describe('concurrencyBudget', () => {
  it(
    'does what counting does, and never overdraws',
    () => {
      const counts = { allowed: 0, refused: 0 };
      fc.assert(
        fc.property(
          fc.constantFrom(0, 0.1, 0.2, 0.25, 0.29, 0.5, 1, 3),
          fc.integer({ min: 0, max: 5 }),
          fc.array(fc.constantFrom<Step>('call', 'call', 'call ends', 'withdraw', 'attempt ends'), {
            maxLength: 200,
            size: 'max',
          }),
          (ratio, minConcurrentAttempts, steps) => {
            const budget = concurrencyBudget({ ratio, minConcurrentAttempts });
            let calls = 0;
            let extra = 0;
            for (const step of steps) {
              if (step === 'call') {
                budget.deposit();
                calls += 1;
              } else if (step === 'call ends' && calls > 0) {
                budget.callEnded();
                calls -= 1;
              } else if (step === 'attempt ends' && extra > 0) {
                budget.attemptEnded();
                extra -= 1;
              } else if (step === 'withdraw') {
                const limit = Math.max(
                  minConcurrentAttempts,
                  Math.floor(Math.round(ratio * 100 * calls) / 100),
                );
                const given = budget.tryWithdraw();
                same(given, extra < limit, 'withdrawal');
                if (given) {
                  extra += 1;
                  counts.allowed += 1;
                  same(extra <= limit, true, 'within the limit');
                } else {
                  counts.refused += 1;
                  same(budget.refusal(), { reason: 'concurrency', used: extra, limit }, 'refusal');
                }
                same(budget.balance, Math.max(0, limit - extra), 'balance');
              }
              same([budget.calls, budget.attempts], [calls, extra], 'in flight');
            }
          },
        ),
        runs(3_000),
      );
      expect(Math.min(counts.allowed, counts.refused)).toBeGreaterThan(3_000);
    },
    PATIENCE,
  );

  it(
    'is never overdrawn by the retries and hedges of several pipelines, and all comes back',
    async () => {
      let extra = 0;
      const overdrawn: string[] = [];
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(0, 0.2, 0.5),
          fc.integer({ min: 0, max: 3 }),
          fc.array(
            fc.record({ duration: fc.nat(120), ending: endings, abort: fc.option(fc.nat(200)) }),
            { minLength: 5, maxLength: 40, size: 'max' },
          ),
          async (ratio, floor, history) => {
            const clock = new VirtualClock();
            class Watched extends ConcurrencyBudget {
              override tryWithdraw(): boolean {
                const given = super.tryWithdraw();
                const limit = Math.max(floor, ratio * this.calls);
                if (given && this.attempts > limit + 1e-9)
                  overdrawn.push(`${this.attempts} of ${limit}`);
                if (given) extra += 1;
                return given;
              }
            }
            const budget = new Watched({ ratio, minConcurrentAttempts: floor });
            const again = () =>
              retry({ maxAttempts: 3, baseDelay: 40, random: seededRandom(5), budget });
            const beside = () => hedge({ delay: 30, maxHedges: 2, budget, idempotent: true });
            const ways = [
              pipeline({ clock, classify }, again(), beside(), timeout({ duration: 100 })),
              pipeline({ clock, classify }, timeout({ duration: 150 }), again()),
              pipeline({ clock, classify }, beside()),
              pipeline({ clock, classify }, beside(), again()),
            ];
            history.forEach(({ abort, ...step }, index) => {
              const controller = new AbortController();
              void ways[index % ways.length]
                ?.execute((call) => end(clock, call, step), { signal: controller.signal })
                .catch(() => {});
              clock.schedule(() => controller.abort('gone'), abort ?? 5_000);
            });
            await clock.advance(20_000);
            same([budget.calls, budget.attempts, clock.pending], [0, 0, 0], 'left behind');
            same(overdrawn, [], 'overdrawn');
          },
        ),
        runs(200),
      );
      expect(extra).toBeGreaterThan(300);
    },
    PATIENCE,
  );
});
