import {
  bulkhead,
  circuitBreaker,
  failover,
  type Keyed,
  keyed,
  type Pipeline,
  pipeline,
} from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { health } from './health.js';
import type { HealthOptions } from './options.js';

let clock: VirtualClock;
let pipelines: (Pipeline | Keyed)[];
beforeEach(() => {
  clock = new VirtualClock({ now: 1_000 });
  pipelines = [];
});

const fail = (): Promise<never> => Promise.reject(new Error('secret'));
const healthOf = (options: HealthOptions = {}) =>
  health({ clock, pipelines: () => pipelines, ...options });
const breakerOf = () => circuitBreaker({ failureThreshold: 1, resetTimeout: 5_000, clock });

describe('health', () => {
  it('passes with nothing to look at', async () => {
    expect(await healthOf().report()).toEqual({ status: 'pass', checks: {} });
  });

  it('looks at all pipelines of the process by default', async () => {
    const mine = pipeline('found by itself', bulkhead());
    expect((await health().report()).checks['found by itself:bulkhead']).toHaveLength(1);
    expect(mine.name).toBe('found by itself');
  });

  it('tells what it is', async () => {
    const about = { version: '1', releaseId: 'a1b2', serviceId: 'orders', description: 'Orders' };
    expect(await healthOf(about).report()).toMatchObject(about);
  });

  it('shows circuits and bulkheads by the name of their pipeline', async () => {
    pipelines.push(pipeline({ name: 'prices', clock }, breakerOf(), bulkhead()));
    expect((await healthOf().report()).checks).toEqual({
      'prices:circuitBreaker': [
        {
          componentId: 'circuit-breaker',
          componentType: 'component',
          observedValue: 'closed',
          status: 'pass',
          time: '1970-01-01T00:00:01.000Z',
        },
      ],
      'prices:bulkhead': [
        {
          componentId: 'bulkhead',
          componentType: 'component',
          observedValue: 0,
          observedUnit: 'calls',
          status: 'pass',
          time: '1970-01-01T00:00:01.000Z',
        },
      ],
    });
  });

  describe('readiness', () => {
    it('warns while something fails that the service can do without', async () => {
      const prices = pipeline({ name: 'prices', clock }, breakerOf());
      pipelines.push(prices);
      await prices.execute(fail).catch(() => {});
      const own = healthOf();
      expect(await own.readiness()).toEqual({ status: 'warn' });
      expect((await own.report()).checks['prices:circuitBreaker']).toMatchObject([
        { observedValue: 'open', status: 'fail', output: 'a probe is allowed in 5000 ms' },
      ]);
    });

    it('fails while something critical fails, until a probe may be let in', async () => {
      const prices = pipeline(
        { name: 'prices', clock, dependency: { critical: true } },
        breakerOf(),
      );
      pipelines.push(prices);
      const own = healthOf();
      expect(await own.readiness()).toEqual({ status: 'pass' });
      await prices.execute(fail).catch(() => {});
      expect(await own.readiness()).toEqual({
        status: 'fail',
        output: 'failing: a critical dependency',
      });
      // Without requests nothing would probe, and it would never be ready again.
      await clock.advance(5_000);
      expect(await own.readiness()).toEqual({ status: 'warn' });
      await prices.execute(() => 1);
      expect(await own.readiness()).toEqual({ status: 'pass' });
    });

    it('fails for an isolated critical one', async () => {
      const breaker = breakerOf();
      pipelines.push(pipeline({ clock, dependency: { critical: true } }, breaker));
      breaker.isolate();
      expect((await healthOf().readiness()).status).toBe('fail');
    });

    it('only warns for a breaker that observes', async () => {
      const breaker = circuitBreaker({ failureThreshold: 1, mode: 'observe', clock });
      const watched = pipeline({ clock, dependency: { critical: true } }, breaker);
      pipelines.push(watched);
      await watched.execute(fail).catch(() => {});
      expect(breaker.state).toBe('open');
      expect((await healthOf().readiness()).status).toBe('warn');
    });

    it('warns of one key, and fails when all keys of a critical one fail', async () => {
      const shards = keyed((key) => pipeline({ key, clock }, breakerOf()), {
        name: 'shards',
        dependency: { critical: true },
        clock,
      });
      pipelines.push(shards);
      const own = healthOf();
      expect((await own.readiness()).status).toBe('pass');
      await shards.execute('a', () => 1);
      await shards.execute('b', fail).catch(() => {});
      expect((await own.readiness()).status).toBe('warn');
      await shards.execute('a', fail).catch(() => {});
      expect((await own.readiness()).status).toBe('fail');
    });

    it('shows at most 20 keys, those first that do not pass', async () => {
      const shards = keyed((key) => pipeline({ key, clock }, breakerOf()), { name: 's', clock });
      pipelines.push(shards);
      for (let at = 0; at < 50; at++) await shards.execute(`${at}`, () => 1);
      await shards.execute('0', fail).catch(() => {});
      const shown = (await healthOf().report()).checks['s:circuitBreaker'];
      expect(shown).toHaveLength(20);
      expect(shown?.[0]).toMatchObject({ componentId: '0', status: 'fail' });
    });

    it('warns of a full bulkhead', async () => {
      const calls = pipeline({ name: 'calls', clock }, bulkhead({ maxConcurrentCalls: 1 }));
      pipelines.push(calls);
      let end: () => void = () => {};
      const running = calls.execute(() => new Promise<void>((resolve) => (end = resolve)));
      expect((await healthOf().report()).checks['calls:bulkhead']).toMatchObject([
        { observedValue: 1, status: 'warn', output: 'full: 1 running, 0 waiting' },
      ]);
      end();
      await running;
    });

    it('waits for started() where the service takes a while to start', async () => {
      const own = healthOf({ starting: true });
      expect(own.startup()).toEqual({ status: 'fail', output: 'starting' });
      expect(await own.readiness()).toEqual({ status: 'fail', output: 'starting' });
      own.started();
      expect(own.startup()).toEqual({ status: 'pass' });
      expect(await own.readiness()).toEqual({ status: 'pass' });
    });
  });

  it('is live whatever fails, so that an outage of a dependency restarts nothing', async () => {
    const prices = pipeline({ clock, dependency: { critical: true } }, breakerOf());
    pipelines.push(prices);
    await prices.execute(fail).catch(() => {});
    const own = healthOf({ starting: true });
    expect(own.liveness()).toEqual({ status: 'pass' });
    own.drain();
    expect(own.liveness()).toEqual({ status: 'pass' });
  });

  describe('checks of your own', () => {
    it('shows what they found', async () => {
      const own = healthOf({
        checks: { 'disk:space': { check: () => ({ observedValue: 7, observedUnit: 'GB' }) } },
      });
      expect((await own.report()).checks).toEqual({
        'disk:space': [
          {
            componentId: 'disk:space',
            componentType: 'system',
            observedValue: 7,
            observedUnit: 'GB',
            status: 'pass',
            time: '1970-01-01T00:00:01.000Z',
          },
        ],
      });
    });

    it('warns of one that throws and tells only its type; a critical one fails', async () => {
      const check = (): never => {
        throw new TypeError('secret');
      };
      const soft = await healthOf({ checks: { queue: { check } } }).report();
      expect(soft).toMatchObject({
        status: 'warn',
        checks: { queue: [{ status: 'fail', output: 'TypeError' }] },
      });
      expect(JSON.stringify(soft)).not.toContain('secret');
      const hard = await healthOf({ checks: { queue: { check, critical: true } } }).readiness();
      expect(hard).toEqual({ status: 'fail', output: "failing: 'queue'" });
    });

    it('fails one that takes too long, and aborts it', async () => {
      let seen: AbortSignal | undefined;
      const own = healthOf({
        checks: {
          slow: {
            timeout: 100,
            check: ({ signal }) => {
              seen = signal;
              return new Promise(() => {});
            },
          },
        },
      });
      const report = await clock.runUntilSettled(own.report());
      expect(clock.now()).toBe(1_100);
      expect(seen?.aborted).toBe(true);
      expect(report.checks.slow).toMatchObject([{ status: 'fail', output: 'RESIL_TIMEOUT' }]);
    });

    it('runs one at a time, and again only after checkInterval', async () => {
      let runs = 0;
      const own = healthOf({ checks: { count: { check: () => ({ observedValue: ++runs }) } } });
      await Promise.all([own.report(), own.report(), own.readiness()]);
      expect(runs).toBe(1);
      await clock.advance(999);
      await own.report();
      expect(runs).toBe(1);
      await clock.advance(1);
      await own.report();
      expect(runs).toBe(2);
    });
  });

  it.each<[HealthOptions, RegExp]>([
    [{ version: '' }, /^health\.version must be a string that is not empty/],
    [{ checks: { a: {} as never } }, /^health\.checks\['a'\]\.check must be a function/],
    [{ checks: { a: { check: 1 as never } } }, /^health\.checks\['a'\]\.check must be a function/],
    [
      { checks: { a: { check: () => undefined, timeout: 0 } } },
      /^health\.checks\['a'\]\.timeout must be a number of milliseconds above 0, but got 0/,
    ],
    [{ checkInterval: -1 }, /^health\.checkInterval must be/],
    [{ colour: 'red' } as never, /^health\.colour is not an option; known are version/],
  ])('refuses %o', (options, message) => {
    expect(() => healthOf(options)).toThrow(message);
  });

  it('knows how many endpoints are left', async () => {
    const service = failover({
      clock,
      endpoints: ['a', 'b'],
      layers: ({ name }) => [circuitBreaker({ name, failureThreshold: 1, clock })],
      outlierDetection: false,
    });
    const calls = pipeline({ name: 'service', clock, dependency: { critical: true } }, service);
    pipelines.push(calls);
    const own = healthOf();
    const seen = async () => (await own.report()).checks['service:failover'];
    expect(await seen()).toMatchObject([{ observedValue: 2, status: 'pass' }]);
    await calls.execute(fail).catch(() => {});
    expect(await seen()).toMatchObject([
      { observedValue: 1, observedUnit: 'endpoints', status: 'warn', output: '1 of 2 are out' },
    ]);
    expect((await own.readiness()).status).toBe('warn');
    await calls.execute(fail).catch(() => {});
    expect(await seen()).toMatchObject([{ observedValue: 0, status: 'fail' }]);
    expect((await own.readiness()).status).toBe('fail');
  });
});
