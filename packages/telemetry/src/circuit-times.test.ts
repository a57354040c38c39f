import { type CircuitBreaker, circuitBreaker, keyed, type Pipeline, pipeline } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { FORGET_AFTER, MAX_CIRCUITS } from './circuit-times.js';
import { Collector } from './collector.js';

let clock: VirtualClock;
let breaker: CircuitBreaker;
let orders: Pipeline;

function begin(): void {
  clock = new VirtualClock();
  breaker = circuitBreaker({ name: 'db', failureThreshold: 1, resetTimeout: 5_000, clock });
  orders = pipeline('orders', breaker);
}

beforeEach(begin);

function fail(): Promise<unknown> {
  return orders
    .execute(async () => {
      throw new Error('down');
    })
    .catch(() => {});
}

/** Seconds by state. */
function timesOf(collector: Collector): Record<string, number> {
  const found = collector
    .read()
    .find(({ instrument }) => instrument.name === 'resil.circuit.duration');
  return Object.fromEntries(
    (found?.series ?? []).map(({ attributes, value }) => [attributes['resil.state'], value]),
  );
}

function recoveriesOf(collector: Collector): { count: number; sum: number } {
  const found = collector
    .read()
    .find(({ instrument }) => instrument.name === 'resil.circuit.recovery.duration');
  const [series] = found?.series ?? [];
  return { count: series?.count ?? 0, sum: series?.value ?? 0 };
}

/** Reads again only once other work was done. */
const settled = (): Promise<void> => clock.advance(0);

describe('CircuitTimes', () => {
  it('counts the time in each state, however often it is read', async () => {
    for (const every of [100_000, 1_000, 700]) {
      begin();
      const collector = new Collector({ pipelines: [orders], clock });
      collector.read();
      const until = async (time: number): Promise<void> => {
        while (clock.now() < time) {
          await clock.advance(Math.min(every - (clock.now() % every), time - clock.now()));
          collector.read();
          await settled();
        }
      };
      await until(10_000); // closed for 10 s
      await fail();
      await until(18_000); // open for 5 s, and waiting for a probe for 3
      await fail(); // open again, for 5 s
      await until(24_000); // and half-open for 1
      await orders.execute(async () => 'up');
      await until(25_000);
      const times = timesOf(collector);
      expect(times.closed).toBeCloseTo(11, 6);
      // Without a reading in between, nobody sees that an open circuit would let a probe in.
      if (every < 5_000) {
        expect(times.open).toBeCloseTo(10, 6);
        expect(times['half-open']).toBeCloseTo(4, 6);
      } else expect((times.open ?? 0) + (times['half-open'] ?? 0)).toBeCloseTo(14, 6);
      await settled();
      expect(recoveriesOf(collector)).toEqual({ count: 1, sum: 14 });
      collector.stop();
    }
  });

  it('counts a circuit that was open before, from when it is looked at', async () => {
    await fail();
    await clock.advance(2_000);
    const collector = new Collector({ pipelines: [orders], clock });
    await clock.advance(1_000);
    expect(timesOf(collector)).toEqual({ open: 1 });
    await clock.advance(3_000);
    await orders.execute(async () => 'up');
    expect(recoveriesOf(collector)).toEqual({ count: 1, sum: 6 });
  });

  it('counts no recovery from isolation by hand', async () => {
    const collector = new Collector({ pipelines: [orders], clock });
    breaker.isolate();
    await clock.advance(4_000);
    breaker.reset();
    expect(timesOf(collector)).toEqual({ closed: 0, isolated: 4 });
    expect(recoveriesOf(collector)).toEqual({ count: 0, sum: 0 });
  });

  it('remembers no more than so many circuits, and none for good', async () => {
    const shards = keyed(
      (key) =>
        pipeline(
          { name: 'shards', key },
          circuitBreaker({ name: 'shard', failureThreshold: 1, resetTimeout: Infinity, clock }),
        ),
      { clock, maxKeys: 10 },
    );
    const collector = new Collector({ pipelines: [shards], maxDescribedKeys: 10, clock });
    for (let shard = 0; shard < MAX_CIRCUITS + 500; shard++) {
      await shards.execute(`${shard}`, () => Promise.reject(new Error('down'))).catch(() => {});
    }
    await clock.advance(1_000);
    expect(timesOf(collector).open).toBe(MAX_CIRCUITS);
    await clock.advance(FORGET_AFTER);
    // The ten that are still described had no room: they get it now.
    const before = timesOf(collector).open as number;
    await clock.advance(1_000);
    timesOf(collector);
    await clock.advance(1_000);
    const after = timesOf(collector).open as number;
    expect(before).toBeGreaterThan(MAX_CIRCUITS);
    expect(after - before).toBeLessThanOrEqual(20);
    collector.stop();
  });
});
