/** What one failure costs a circuit breaker, by the number of calls that its window holds. */
import { circuitBreaker } from '@resil/core';
import * as cockatiel from 'cockatiel';
import { opossum, shutdown } from '../contenders.js';
import type { Part } from '../part.js';
import { nanoseconds, times } from '../report.js';
import { awaitEach, awaitEachFailing, measure, type RoundOptions } from '../rounds.js';

const FEW = 1_000;
const MANY = 100_000;
/** Longer than the bench takes, so that no call falls out of a window of time. */
const WINDOW = 3_600_000;

/** One for all, so that what is measured is not the stack trace. */
const failureOfTheDependency = new Error('down');

/** A dependency: works until it is told to fail, then fails except every hundredth time, so that a ratio of 1 is never reached. */
class Dependency {
  failing = false;
  #calls = 0;

  readonly call = async (): Promise<void> => {
    if (this.failing && ++this.#calls % 100 !== 0) throw failureOfTheDependency;
  };
}

interface Breaker {
  readonly name: string;
  /** A breaker whose window holds at least `size` calls once it is filled. */
  readonly around: (fn: () => Promise<void>, size: number) => () => Promise<unknown>;
  /** What keeps the calls that are measured few beside those in the window. */
  readonly rounds?: RoundOptions;
}

const CALLS = '@resil, window of calls';
const TIME = '@resil, window of time';

const breakers: readonly Breaker[] = [
  {
    name: CALLS,
    around(fn, size) {
      const breaker = circuitBreaker({
        failureRatio: 1,
        minimumCalls: size,
        window: { calls: size },
      });
      return () => breaker.execute(fn);
    },
  },
  {
    name: TIME,
    around(fn, size) {
      const breaker = circuitBreaker({
        failureRatio: 1,
        minimumCalls: size,
        window: { duration: WINDOW },
      });
      return () => breaker.execute(fn);
    },
  },
  {
    name: 'cockatiel CountBreaker',
    around(fn, size) {
      const breaker = cockatiel.circuitBreaker(cockatiel.handleAll, {
        halfOpenAfter: WINDOW,
        breaker: new cockatiel.CountBreaker({ size, threshold: 0.999 }),
      });
      return () => breaker.execute(fn);
    },
  },
  {
    name: 'opossum',
    around(fn) {
      const breaker = opossum(fn, { errorThresholdPercentage: 100, rollingCountTimeout: WINDOW });
      return () => breaker.fire();
    },
    rounds: { calls: 20, rounds: 11 },
  },
];

export const failure: Part = async (progress) => {
  const rows: string[][] = [];
  const ratios = new Map<string, number>();
  for (const { name, around, rounds } of breakers) {
    progress(`${name}: ${MANY} calls, then failures`);
    const contenders = [];
    for (const size of [FEW, MANY]) {
      const dependency = new Dependency();
      const call = around(dependency.call, size);
      await awaitEach(call, size);
      dependency.failing = true;
      contenders.push({ name: `${size}`, call });
    }
    const measured = await measure(contenders, { loop: awaitEachFailing, ...rounds });
    const ratio = measured.ratio(`${MANY}`, `${FEW}`);
    ratios.set(name, ratio);
    rows.push([
      name,
      nanoseconds(measured.cost(`${FEW}`)),
      nanoseconds(measured.cost(`${MANY}`)),
      times(ratio),
    ]);
  }
  shutdown();
  const byCalls = ratios.get(CALLS) as number;
  const byTime = ratios.get(TIME) as number;
  return {
    tables: [
      {
        title: 'One failure, by calls in the window',
        head: ['breaker', '1,000 calls', '100,000 calls', 'ratio'],
        rows,
      },
    ],
    targets: [
      {
        claim: 'one failure: the same cost with 1,000 and 100,000 calls in the window (±15 %)',
        measured: `${times(byCalls)} (calls), ${times(byTime)} (time)`,
        reached: Math.max(byCalls, byTime) <= 1.15,
      },
    ],
  };
};
