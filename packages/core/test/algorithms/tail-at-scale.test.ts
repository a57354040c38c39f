/**
 * What hedging does to a latency distribution, by the identities of Dean and Barroso (The Tail at
 * Scale, 2013) and the timing table of gRPC's hedging policy (proposal A6), on the library's own hedge.
 *
 *   H = min(X1, d + X2):  P(H > t) = P(X > t) for t < d,  P(X > t) * P(X > t - d) for t >= d
 *   extra load = P(X > d)
 */
import { seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import type { Call } from '../../src/call.js';
import { type Hedge, type HedgeOptions, hedge } from '../../src/hedge.js';
import { type Pipeline, pipeline } from '../../src/pipeline.js';
import type { Random } from '../../src/random.js';
import { PATIENCE } from '../runs.js';

/** A service whose answers take as long as `sample` says, and stops when it is aborted. */
function serviceOf(clock: VirtualClock, sample: () => number) {
  const service = {
    started: 0,
    operation: (call: Call): Promise<number> => {
      service.started++;
      return new Promise((resolve, reject) => {
        const cancel = clock.schedule(() => resolve(call.attempt), sample());
        call.onAbort((reason) => {
          cancel();
          reject(reason);
        });
      });
    },
  };
  return service;
}

interface Measured {
  /** Durations of the calls, in their order. */
  readonly byCall: readonly number[];
  /** The same, sorted. */
  readonly durations: readonly number[];
  readonly layer: Hedge;
  /** Attempts per call, beside the first. */
  readonly extraLoad: number;
}

/** Makes calls at random times, `rate` per second, and measures them. */
async function measure(
  options: HedgeOptions,
  sample: (random: Random, now: number) => number,
  { count = 100_000, rate = 200, seed = 1 } = {},
): Promise<Measured> {
  const clock = new VirtualClock();
  const random = seededRandom(seed);
  const layer = hedge({ idempotent: true, clock, ...options });
  const calls: Pipeline = pipeline(layer);
  const service = serviceOf(clock, () => sample(random, clock.now()));
  const byCall: number[] = [];
  let made = 0;
  let ended = 0;
  await new Promise<void>((done) => {
    const arrive = (): void => {
      const begin = clock.now();
      const index = made++;
      calls.execute(service.operation).then(() => {
        byCall[index] = clock.now() - begin;
        if (++ended === count) done();
      });
      if (made < count) clock.schedule(arrive, (-Math.log(1 - random()) * 1_000) / rate);
    };
    arrive();
    void clock.runUntilIdle({ limit: 50 * count });
  });
  const durations = byCall.toSorted((a, b) => a - b);
  return { byCall, durations, layer, extraLoad: (service.started - count) / count };
}

const plainRuns = new Map<object, Promise<Measured>>();

/** The same calls without a hedge. */
function measurePlain(sample: (random: Random) => number): Promise<Measured> {
  let run = plainRuns.get(sample);
  if (run === undefined) {
    run = measure({ delay: Infinity, budget: false }, sample);
    plainRuns.set(sample, run);
  }
  return run;
}

const quantile = ({ durations }: Measured, ratio: number): number =>
  durations[Math.min(durations.length - 1, Math.floor(ratio * durations.length))] as number;
const share = ({ durations }: Measured, above: number): number =>
  durations.filter((duration) => duration > above).length / durations.length;
const mean = ({ durations }: Measured): number =>
  durations.reduce((sum, duration) => sum + duration, 0) / durations.length;

/** 10 ms, and 1,000 ms for one in a hundred. */
const twoPoints = (random: Random): number => (random() < 0.99 ? 10 : 1_000);
const exponential = (random: Random): number => -Math.log(1 - random()) * 1_000;

describe('the tail at scale', () => {
  it(
    'a fan-out of 100 waits for a slow leaf in 63.4 % of all requests, hedged in 1 %; one of 2,000 in 18 %',
    async () => {
      const plain = await measurePlain(twoPoints);
      const hedged = await measure({ delay: 20, budget: false }, twoPoints);
      // 1 - .99^100, 1 - .9999^100 and 1 - .9999^2000.
      for (const [measured, fanOut, expected] of [
        [plain, 100, 0.63397],
        [hedged, 100, 0.00995],
        [hedged, 2_000, 0.18127],
      ] as const) {
        const { byCall } = measured;
        let slow = 0;
        for (let first = 0; first < byCall.length; first += fanOut)
          if (byCall.slice(first, first + fanOut).some((duration) => duration >= 1_000)) slow++;
        const requests = byCall.length / fanOut;
        const error = 4 * Math.sqrt((expected * (1 - expected)) / requests);
        expect(Math.abs(slow / requests - expected)).toBeLessThan(error);
      }
    },
    PATIENCE,
  );

  it(
    'two points, d = 20: 10 (.99), 30 (.0099), 1,000 (.0001); mean 10.297 instead of 19.9, 1 % extra',
    async () => {
      const plain = await measurePlain(twoPoints);
      const hedged = await measure({ delay: 20, budget: false }, twoPoints);
      expect(Math.abs(mean(plain) - 19.9)).toBeLessThan(1);
      expect(Math.abs(mean(hedged) - 10.297)).toBeLessThan(0.15);
      expect(Math.abs(hedged.extraLoad - 0.01)).toBeLessThan(0.001);
      expect(plain.extraLoad).toBe(0);
      const counted = [10, 30, 1_000].map(
        (duration) =>
          hedged.durations.filter((one) => Math.abs(one - duration) <= 1).length / 100_000,
      );
      expect(counted.reduce((sum, part) => sum + part)).toBe(1);
      expect(Math.abs((counted[0] as number) - 0.99)).toBeLessThan(0.001);
      expect(Math.abs((counted[1] as number) - 0.0099)).toBeLessThan(0.001);
      expect(counted[2]).toBeLessThan(0.0003);
    },
    PATIENCE,
  );

  it(
    'exponential, d = p95: 5 % extra, P(H > t) = 20 e^-2t, p99.9 = 4.95 instead of 6.91',
    async () => {
      const delay = Math.log(20) * 1_000;
      const plain = await measurePlain(exponential);
      const hedged = await measure({ delay, budget: false }, exponential);
      expect(Math.abs(hedged.extraLoad - 0.05)).toBeLessThan(0.002);
      for (const t of [500, 1_000, 2_000, 2_900]) {
        expect(Math.abs(share(hedged, t) - Math.exp(-t / 1_000))).toBeLessThan(0.005);
      }
      for (const t of [3_100, 3_500, 4_000, 4_500, 5_000]) {
        const expected = 20 * Math.exp((-2 * t) / 1_000);
        // Four standard errors of a share of 100,000 calls.
        const error = 4 * Math.sqrt((expected * (1 - expected)) / 100_000);
        expect(Math.abs(share(hedged, t) - expected)).toBeLessThan(error + expected * 0.003);
      }
      expect(Math.abs(quantile(hedged, 0.999) / 1_000 - Math.log(20_000) / 2)).toBeLessThan(0.2);
      expect(Math.abs(quantile(plain, 0.999) / 1_000 - Math.log(1_000))).toBeLessThan(0.35);
    },
    PATIENCE,
  );

  it.each([0.01, 0.02, 0.05])(
    'a named extra load of %d is used, and never exceeded',
    async (maxExtraLoad) => {
      const plain = await measurePlain(exponential);
      const hedged = await measure({ maxExtraLoad }, exponential);
      expect(hedged.layer.calls).toBe(100_000);
      expect(hedged.extraLoad).toBeLessThanOrEqual(maxExtraLoad);
      expect(hedged.extraLoad).toBeGreaterThan(maxExtraLoad * 0.75);
      // The delay is that which the named share exceeds.
      const exact = -Math.log(maxExtraLoad) * 1_000;
      expect(Math.abs(hedged.layer.delay - exact) / exact).toBeLessThan(0.15);
      expect(quantile(hedged, 0.999)).toBeLessThan(quantile(plain, 0.999) * 0.85);
    },
    PATIENCE,
  );

  it(
    'a delay at the knee of a heavy tail cuts p99.9 to a fraction for 2 % more requests',
    async () => {
      // 1.8 % of the answers take half a second to two seconds, as in the paper's BigTable.
      const heavy = (random: Random): number =>
        random() < 0.982 ? 5 + random() * 5 : 500 + random() * 1_500;
      const plain = await measurePlain(heavy);
      const hedged = await measure({ maxExtraLoad: 0.02 }, heavy);
      expect(hedged.extraLoad).toBeLessThanOrEqual(0.02);
      expect(quantile(plain, 0.99)).toBeGreaterThan(500);
      expect(quantile(hedged, 0.99)).toBeLessThan(30);
    },
    PATIENCE,
  );

  it(
    'uniform slowness does not make every request hedge: the cap holds, then the delay follows',
    async () => {
      // Everything takes ten times as long from the tenth second on, and for good.
      const slowed = (random: Random, now: number): number =>
        (20 + random() * 10) * (now < 10_000 ? 1 : 10);
      const delays: number[] = [];
      const clock = new VirtualClock();
      const random = seededRandom(9);
      const layer = hedge({ idempotent: true, clock, maxExtraLoad: 0.02 });
      const calls = pipeline(layer);
      const service = serviceOf(clock, () => slowed(random, clock.now()));
      const hedges: number[] = [];
      for (let second = 0; second < 60; second++) {
        const before = layer.hedges;
        for (let call = 0; call < 200; call++) {
          void calls.execute(service.operation);
          await clock.advance(5);
        }
        hedges.push(layer.hedges - before);
        delays.push(layer.delay);
        // At every moment, not on average.
        expect(layer.hedges).toBeLessThanOrEqual(layer.calls * 0.02);
      }
      // Of 200 calls each second: at most what was saved up (10) and the 4 that they pay for.
      expect(Math.max(...hedges)).toBeLessThanOrEqual(15);
      expect(delays[9]).toBeLessThan(32);
      expect(delays[14]).toBeGreaterThan(200);
      // From then on the slow is the usual, and only its own tail is hedged.
      expect(Math.max(...hedges.slice(20))).toBeLessThanOrEqual(12);
      expect(service.started / layer.calls).toBeLessThanOrEqual(1.02);
    },
    PATIENCE,
  );
});

describe('hedging, by the table of A6 (maxAttempts 4, hedgingDelay 500 ms)', () => {
  it('has 1 attempt out at 1 ms, 2 at 501, 3 at 1,001, 4 at 1,501 and later', async () => {
    const clock = new VirtualClock();
    const service = serviceOf(clock, () => Infinity);
    const layer = hedge({ delay: 500, maxHedges: 3, budget: false, idempotent: true, clock });
    const call = layer.execute(service.operation, { deadline: 10_000 }).catch(() => 'late');
    const outstanding: number[] = [];
    for (const at of [1, 501, 1_001, 1_501, 2_001, 9_000]) {
      await clock.advanceTo(at);
      outstanding.push(service.started);
    }
    expect(outstanding).toEqual([1, 2, 3, 4, 4, 4]);
    expect(await clock.runUntilSettled(call)).toBe('late');
  });
});
