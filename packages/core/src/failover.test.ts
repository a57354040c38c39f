import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { bulkhead } from './bulkhead.js';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { reportErrorsTo } from './emitter.js';
import { Failover, failover } from './failover.js';
import { type FailoverOptions, failoverDefaults } from './failover-options.js';
import { keyed } from './keyed.js';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { standard } from './standard.js';
import { timeout } from './timeout.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

const down = new Error('down');

/** Groups of one, in order: what is tried first is plain. */
const inOrder = (...names: string[]) => names.map((target, priority) => ({ target, priority }));
const again = (maxAttempts: number) => retry({ maxAttempts, baseDelay: 100, jitter: 'none' });

/** A failover in a pipeline on virtual time, behind retries if they are given. */
function benchOf(options: FailoverOptions<string>, maxAttempts = 1) {
  const layer = failover({ random: seededRandom(3), ...options });
  const calls = pipeline({ name: 'calls', clock }, again(maxAttempts), layer);
  return { layer, calls };
}

/** An operation that says where it runs, and fails at the endpoints that are down. */
const service = (...downs: string[]) => {
  const seen: string[] = [];
  const operation = vi.fn(async (call: Call) => {
    const { name } = call.endpoint as { name: string };
    seen.push(name);
    if (downs.includes(name)) throw down;
    return name;
  });
  return { seen, operation, downs };
};

describe('failover', () => {
  it('gives an instance of its class', () => {
    const layer = failover({ endpoints: ['a'] });
    expect(layer).toBeInstanceOf(Failover);
    expect(layer.name).toBe(failoverDefaults.name);
  });

  it('tells a call where it goes, with the type of the target', async () => {
    const regions = failover({ endpoints: [{ target: { port: 80 }, name: 'eu' }] });
    const plain = failover({ endpoints: ['host'] });
    const calls = pipeline({ clock }, regions, timeout({ duration: 10 }), plain);
    await calls.execute((call) => {
      expect(regions.endpointOf(call)?.target.port).toBe(80);
      expect(plain.endpointOf(call)?.target.toUpperCase()).toBe('HOST');
      expect(call.endpoint).toMatchObject({ name: 'host', target: 'host' });
    });
    await pipeline().execute((call) => {
      expect(call.endpoint).toBeUndefined();
      expect(regions.endpointOf(call)).toBeUndefined();
    });
  });

  describe('groups', () => {
    it('send calls to the lowest one that has an endpoint to offer', async () => {
      const { layer, calls } = benchOf({ endpoints: inOrder('a', 'b', 'c') });
      const { operation, seen, downs } = service();
      await calls.execute(operation);
      downs.push('a');
      for (let call = 0; call < 5; call++) await calls.execute(operation).catch(() => {});
      await calls.execute(operation);
      expect(seen).toEqual(['a', 'a', 'a', 'a', 'a', 'a', 'b']);
      expect(layer.endpoints.map(({ state }) => state)).toEqual([
        'ejected',
        'available',
        'available',
      ]);
      await clock.advance(40_000);
      downs.length = 0;
      await expect(calls.execute(operation)).resolves.toBe('a');
    });

    it('may be told for each call, Infinity for not at all', async () => {
      const { calls } = benchOf(
        {
          endpoints: ['primary', 'replica'],
          rank: ({ name }, { key }) => {
            if (key === 'write') return name === 'primary' ? 0 : Number.POSITIVE_INFINITY;
            return name === 'replica' ? 0 : 1;
          },
        },
        3,
      );
      const { operation, seen } = service('primary');
      await expect(calls.execute(operation, { key: 'read' })).resolves.toBe('replica');
      await expect(clock.runUntilSettled(calls.execute(operation, { key: 'write' }))).rejects.toBe(
        down,
      );
      expect(seen).toEqual(['replica', 'primary', 'primary', 'primary']);
    });

    it('that leave nobody make a refusal', async () => {
      const { calls } = benchOf({ endpoints: ['a', 'b'], rank: () => Number.POSITIVE_INFINITY });
      const operation = vi.fn();
      await expect(calls.execute(operation)).rejects.toMatchObject({
        code: 'RESIL_NO_ENDPOINT',
        strategy: 'failover',
        refusal: true,
        endpoints: 2,
        message: "'failover' has no endpoint for this call among its 2",
      });
      expect(operation).not.toHaveBeenCalled();
    });

    it('told by a function that fails are those of the endpoints', async () => {
      const reported: string[] = [];
      const end = reportErrorsTo((_error, where) => reported.push(where));
      try {
        const throwing = benchOf({
          endpoints: inOrder('a', 'b'),
          rank: () => {
            throw new Error('rank');
          },
        });
        await expect(throwing.calls.execute(service().operation)).resolves.toBe('a');
        const senseless = benchOf({ endpoints: inOrder('a', 'b'), rank: () => Number.NaN });
        await expect(senseless.calls.execute(service().operation)).resolves.toBe('a');
      } finally {
        end();
      }
      expect(reported).toEqual(['rank', 'rank', 'rank', 'rank']);
    });

    it('told as anything but a number are reported by what was told', async () => {
      const reported: string[] = [];
      const end = reportErrorsTo((error) => reported.push((error as Error).message));
      try {
        const rank = ({ name }: { name: string }): never => (name === 'a' ? '7' : 1) as never;
        const { calls } = benchOf({ endpoints: inOrder('a', 'b'), rank });
        await expect(calls.execute(service().operation)).resolves.toBe('a');
      } finally {
        end();
      }
      expect(reported).toEqual(['rank gave 7 instead of a number']);
    });
  });

  describe('attempts of one call', () => {
    it('each go to another endpoint, while there is one, in other groups too', async () => {
      const { calls } = benchOf({ endpoints: inOrder('a', 'b', 'c'), outlierDetection: false }, 5);
      const { operation, seen } = service('a', 'b', 'c');
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toBe(down);
      expect(seen).toEqual(['a', 'b', 'c', 'a', 'b']);
    });

    it('that run side by side go to different endpoints', async () => {
      const layer = failover({ endpoints: ['a', 'b', 'c'] });
      const all = {
        name: 'three at a time',
        run: <T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> =>
          Promise.all([1, 2, 3].map((attempt) => next(call.derive({ attempt })))) as never,
      };
      const { operation, seen } = service();
      await pipeline({ clock }, all, layer).execute(operation);
      expect(seen.sort()).toEqual(['a', 'b', 'c']);
    });

    it('of different calls do not count for each other', async () => {
      const { calls } = benchOf({ endpoints: inOrder('a', 'b') }, 2);
      const { operation, seen } = service('a');
      await clock.runUntilSettled(calls.execute(operation));
      await clock.runUntilSettled(calls.execute(operation));
      expect(seen).toEqual(['a', 'b', 'a', 'b']);
    });
  });

  describe('endpoints of one group', () => {
    it('share calls by weight', async () => {
      const { calls } = benchOf({
        endpoints: [{ target: 'a', weight: 3 }, { target: 'b' }],
      });
      const { operation, seen } = service();
      for (let call = 0; call < 4_000; call++) await calls.execute(operation);
      expect(seen.filter((name) => name === 'a').length / 4_000).toBeCloseTo(0.75, 1);
    });

    it('get calls by how many run', async () => {
      const { layer, calls } = benchOf({ endpoints: ['a', 'b'] });
      const held = deferred<string>();
      let at = '';
      const slow = calls.execute((call) => {
        at = (call.endpoint as { name: string }).name;
        return held.promise;
      });
      const { operation, seen } = service();
      for (let call = 0; call < 50; call++) await calls.execute(operation);
      expect(seen.every((name) => name !== at)).toBe(true);
      expect(layer.endpoints.find(({ name }) => name === at)?.running).toBe(1);
      held.resolve('done');
      await slow;
      expect(layer.endpoints.map(({ running }) => running)).toEqual([0, 0]);
    });
  });

  describe('outlier ejection', () => {
    it('tells what it does and why, and returns slowly', async () => {
      const { layer, calls } = benchOf({ endpoints: ['a', 'b'], slowStartDuration: 20_000 });
      const recorder = recordEvents(layer);
      const { operation, seen, downs } = service('a');
      while (layer.endpoints[0]?.state === 'available')
        await calls.execute(operation).catch(() => {});
      expect(layer.endpoints[0]).toEqual({
        name: 'a',
        priority: 0,
        weight: 1,
        state: 'ejected',
        running: 0,
        ejections: 1,
      });
      expect(recorder.of('endpoint.ejected')).toMatchObject([
        {
          strategy: 'failover',
          pipeline: 'calls',
          endpoint: 'a',
          reason: 'consecutive-failures',
          delay: 30_000,
          enforced: true,
          attempt: 1,
        },
      ]);
      downs.length = 0;
      seen.length = 0;
      for (let call = 0; call < 100; call++) await calls.execute(operation);
      expect(seen).toEqual(Array.from({ length: 100 }, () => 'b'));
      await clock.advance(40_000);
      const shareOfA = async (): Promise<number> => {
        seen.length = 0;
        for (let call = 0; call < 2_000; call++) await calls.execute(operation);
        return seen.filter((name) => name === 'a').length / 2_000;
      };
      // A tenth of its weight beside the full weight of the other.
      expect(await shareOfA()).toBeCloseTo(0.1 / 1.1, 1);
      expect(recorder.of('endpoint.returned')).toMatchObject([{ endpoint: 'a', at: 40_000 }]);
      await clock.advance(10_000);
      expect(await shareOfA()).toBeCloseTo(1 / 3, 1);
      await clock.advance(10_000);
      expect(await shareOfA()).toBeCloseTo(1 / 2, 1);
    });

    it('goes by classify, and ignores what says nothing', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        classify: (outcome) => {
          if (!outcome.ok) return 'ignored';
          return outcome.value === 503 ? 'failure' : 'success';
        },
      });
      for (let call = 0; call < 9; call++)
        await calls.execute(() => Promise.reject(down)).catch(() => {});
      expect(layer.endpoints[0]?.state).toBe('available');
      for (let call = 0; call < 5; call++) await calls.execute(() => 503);
      expect(layer.endpoints[0]?.state).toBe('ejected');
    });

    it('does not count a cancelled call, and counts one that a timeout cut short', async () => {
      const layer = failover({
        endpoints: inOrder('a', 'b'),
        outlierDetection: { failureThreshold: 1 },
      });
      const calls = pipeline({ clock }, layer, timeout({ duration: 50 }));
      const hang = (): Promise<never> => new Promise(() => {});
      const controller = new AbortController();
      const cancelled = calls.execute(
        ({ signal }) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        { signal: controller.signal },
      );
      controller.abort(new Error('enough'));
      await expect(cancelled).rejects.toThrow('enough');
      expect(layer.endpoints[0]?.state).toBe('available');
      await expect(clock.runUntilSettled(calls.execute(hang))).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
      });
      expect(layer.endpoints[0]?.state).toBe('ejected');
    });

    it('only tells in observe mode', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        outlierDetection: { mode: 'observe' },
      });
      const recorder = recordEvents(layer);
      const { operation, seen } = service('a');
      for (let call = 0; call < 20; call++) await calls.execute(operation).catch(() => {});
      expect(seen).toEqual(Array.from({ length: 20 }, () => 'a'));
      expect(layer.endpoints[0]?.state).toBe('available');
      expect(recorder.of('endpoint.ejected')).toMatchObject([
        { endpoint: 'a', enforced: false, observed: true },
      ]);
    });

    it.each(['observe', 'enforce'] as const)(
      'starts an endpoint slowly that returns only where it was away: %s',
      async (mode) => {
        const { layer, calls } = benchOf({ endpoints: ['a', 'b'], outlierDetection: { mode } });
        const recorder = recordEvents(layer);
        const { operation, seen, downs } = service('a');
        for (let call = 0; call < 40; call++) await calls.execute(operation).catch(() => {});
        downs.length = 0;
        clock.tick(40_000);
        await calls.execute(operation);
        const observed = mode === 'observe';
        const [returned] = recorder.of('endpoint.returned');
        expect([returned?.endpoint, returned?.observed]).toEqual(['a', observed || undefined]);
        seen.length = 0;
        for (let call = 0; call < 200; call++) await calls.execute(operation);
        const share = seen.filter((name) => name === 'a').length / 200;
        if (observed) expect(share).toBeGreaterThan(0.4);
        else expect(share).toBeLessThan(0.2);
      },
    );

    it('leaves no timer behind', async () => {
      const { calls } = benchOf({ endpoints: inOrder('a', 'b') });
      for (let call = 0; call < 9; call++)
        await calls.execute(service('a').operation).catch(() => {});
      expect(clock.pending).toBe(0);
    });
  });

  describe('endpoints with guards of their own', () => {
    const guarded = (endpoint: { name: string }) => [
      circuitBreaker({ name: endpoint.name, clock, failureThreshold: 1, resetTimeout: 60_000 }),
    ];

    it('pass a call that was refused on to the next at once', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        layers: guarded,
        outlierDetection: false,
      });
      const recorder = recordEvents(calls);
      const { operation, seen } = service('a');
      await expect(calls.execute(operation)).rejects.toBe(down);
      await expect(calls.execute(operation)).resolves.toBe('b');
      await expect(calls.execute(operation)).resolves.toBe('b');
      expect(seen).toEqual(['a', 'b', 'b']);
      expect(clock.now()).toBe(0);
      expect(recorder.of('endpoint.skipped')).toMatchObject([
        { endpoint: 'a', strategy: layer.name, errorType: 'RESIL_CIRCUIT_OPEN' },
        { endpoint: 'a' },
      ]);
    });

    it('give the last refusal when all refuse', async () => {
      const { calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        layers: guarded,
        outlierDetection: false,
      });
      const { operation, seen } = service('a', 'b');
      await calls.execute(operation).catch(() => {});
      await calls.execute(operation).catch(() => {});
      await expect(calls.execute(operation)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
        strategy: 'b',
      });
      expect(seen).toEqual(['a', 'b']);
    });

    it('are heard through the pipeline, changes outside of calls too', async () => {
      const breakers: { isolate(): void }[] = [];
      const layer = failover({
        endpoints: inOrder('a', 'b'),
        layers: ({ name }) => {
          const breaker = circuitBreaker({ name, clock });
          breakers.push(breaker);
          return [breaker];
        },
      });
      const calls = pipeline('calls', layer);
      const recorder = recordEvents(calls);
      breakers[1]?.isolate();
      expect(recorder.of('circuit.isolated')).toMatchObject([{ strategy: 'b', pipeline: 'calls' }]);
      expect(calls.clock).toBe(clock);
    });

    it('must be on the clock of the pipeline', () => {
      const layer = failover({ endpoints: ['a'], layers: guarded });
      expect(() => pipeline({ clock: new VirtualClock() }, layer)).toThrow(
        "pipeline: clock of layer 'a' must be that of the pipeline and of its other layers",
      );
    });

    it('do not make a refusal further in go on', async () => {
      const layer = failover({ endpoints: inOrder('a', 'b') });
      const calls = pipeline({ clock }, layer, bulkhead({ maxConcurrentCalls: 1 }));
      const held = deferred();
      const first = calls.execute(() => held.promise);
      const operation = vi.fn();
      await expect(calls.execute(operation)).rejects.toMatchObject({ code: 'RESIL_BULKHEAD_FULL' });
      expect(layer.endpoints.map(({ running }) => running)).toEqual([1, 0]);
      held.resolve();
      await first;
    });

    it('may be a pipeline with a name and a classify of its own', async () => {
      const { calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        layers: ({ name }) => [pipeline(name, ...guarded({ name }))],
      });
      const recorder = recordEvents(calls);
      await calls.execute(service('a').operation).catch(() => {});
      expect(recorder.of('circuit.opened')).toMatchObject([{ pipeline: 'a', strategy: 'a' }]);
    });
  });

  describe('moveOn', () => {
    it('goes on where it says so, at each endpoint once, and all of them count', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b', 'c'),
        moveOn: (error) => error === down,
        outlierDetection: { failureThreshold: 1, maxEjectionRatio: 1 },
      });
      const { operation, seen } = service('a', 'b', 'c');
      await expect(calls.execute(operation)).rejects.toBe(down);
      expect(seen).toEqual(['a', 'b', 'c']);
      expect(layer.endpoints.map(({ state }) => state)).toEqual([
        'ejected',
        'ejected',
        'available',
      ]);
    });

    it('goes to an ejected endpoint rather than nowhere', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        moveOn: () => true,
        outlierDetection: { failureThreshold: 1 },
      });
      const { operation, seen, downs } = service('a');
      await expect(calls.execute(operation)).resolves.toBe('b');
      expect(layer.endpoints[0]?.state).toBe('ejected');
      downs.splice(0, 1, 'b');
      await expect(calls.execute(operation)).resolves.toBe('a');
      expect(seen).toEqual(['a', 'b', 'b', 'a']);
    });

    it('gives what an endpoint said before the refusal of another', async () => {
      const { calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        layers: ({ name }) =>
          name === 'b' ? [circuitBreaker({ name, clock, failureThreshold: 1 })] : [],
        moveOn: () => true,
        outlierDetection: false,
      });
      const { operation, seen } = service('a', 'b');
      await calls.execute(operation).catch(() => {});
      await expect(calls.execute(operation)).rejects.toBe(down);
      expect(seen).toEqual(['a', 'b', 'a']);
    });

    it('that throws is reported, and the error comes out', async () => {
      const reported: string[] = [];
      const end = reportErrorsTo((_error, where) => reported.push(where));
      const { calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        moveOn: () => {
          throw new Error('moveOn');
        },
      });
      await expect(calls.execute(service('a').operation)).rejects.toBe(down);
      end();
      expect(reported).toEqual(['moveOn']);
    });

    it('does not go on with a call that was aborted', async () => {
      const { calls } = benchOf({ endpoints: inOrder('a', 'b'), moveOn: () => true });
      const controller = new AbortController();
      const seen: unknown[] = [];
      const call = calls.execute(
        async ({ endpoint }) => {
          seen.push(endpoint?.name);
          controller.abort(new Error('enough'));
          throw down;
        },
        { signal: controller.signal },
      );
      await expect(call).rejects.toBe(down);
      expect(seen).toEqual(['a']);
    });
  });

  it('goes on neither with an error of an own layer that is no refusal, nor reports a moveOn that is not there', async () => {
    const reported = vi.fn();
    const end = reportErrorsTo(reported);
    try {
      const broken = {
        name: 'broken',
        enter: () => {
          throw down;
        },
        leave: () => {},
      };
      const { calls } = benchOf({ endpoints: inOrder('a', 'b'), layers: () => [broken] });
      const { operation, seen } = service();
      await expect(calls.execute(operation)).rejects.toBe(down);
      expect(seen).toEqual([]);
      const plain = benchOf({ endpoints: inOrder('a', 'b') });
      await expect(plain.calls.execute(service('a').operation)).rejects.toBe(down);
    } finally {
      end();
    }
    expect(reported).not.toHaveBeenCalled();
  });

  it('names endpoints by their place, where the target is no text', () => {
    const { endpoints } = failover({
      endpoints: [{ target: 1 }, { target: 2, name: 'two' }, { target: 3 }],
    });
    expect(endpoints.map(({ name }) => name)).toEqual(['endpoint 1', 'two', 'endpoint 3']);
  });

  it('refuses layers that are no list', () => {
    expect(() => failover({ endpoints: ['a'], layers: () => bulkhead() as never })).toThrow(
      'failover: result of layers must be a list',
    );
  });

  it('without health checks has nothing to end', async () => {
    const layer = failover({ endpoints: ['a'] });
    const calls = pipeline({ clock }, layer);
    calls.close();
    layer.close();
    await expect(calls.execute(async () => 1)).resolves.toBe(1);
    expect(layer.describe().options).toMatchObject({ healthCheck: false });
    const checked = failover({ endpoints: ['a'], healthCheck: { check: () => true } });
    expect(checked.describe().options).toMatchObject({ healthCheck: true });
  });

  describe('pinned', () => {
    it('sends calls to its endpoint whatever is known of it, and what comes of them counts', async () => {
      const layer = failover({
        endpoints: inOrder('a', 'b'),
        layers: ({ name }) => [circuitBreaker({ name, clock, failureThreshold: 7 })],
      });
      const calls = pipeline('pinned', layer.pinned('a'));
      const { operation, seen } = service('a');
      for (let call = 0; call < 7; call++)
        await expect(calls.execute(operation)).rejects.toBe(down);
      expect(layer.endpoints.map(({ state }) => state)).toEqual(['ejected', 'available']);
      await expect(calls.execute(operation)).rejects.toMatchObject({ code: 'RESIL_CIRCUIT_OPEN' });
      expect(seen).toEqual(Array.from({ length: 7 }, () => 'a'));
      expect(layer.endpoints[0]?.running).toBe(0);
    });

    it('goes through those of the layers that are kept', async () => {
      const layer = failover({
        endpoints: ['a'],
        layers: ({ name }) => [
          circuitBreaker({ name, clock, failureThreshold: 1 }),
          timeout({ duration: 50 }),
        ],
      });
      const kept = layer.pinned('a', (part) => part.name === 'timeout');
      const calls = pipeline({ clock }, kept);
      await expect(calls.execute(service('a').operation)).rejects.toBe(down);
      const hang = (): Promise<never> => new Promise(() => {});
      await expect(clock.runUntilSettled(calls.execute(hang))).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
      });
    });

    it('is on the clock of the layers, and its listeners hear them', async () => {
      const layer = failover({
        endpoints: ['a'],
        layers: () => [circuitBreaker({ clock, failureThreshold: 1 })],
      });
      const calls = pipeline(layer.pinned('a'));
      expect(calls.clock).toBe(clock);
      const recorder = recordEvents(calls);
      await calls.execute(service('a').operation).catch(() => {});
      expect(recorder.of('circuit.opened')).toHaveLength(1);
      const other = timeout({ duration: 1, clock: new VirtualClock() });
      expect(() => pipeline(other, layer.pinned('a'))).toThrow('clock of layer');
    });

    it('refuses a name that is none', () => {
      expect(() => failover({ endpoints: ['a'] }).pinned('b')).toThrow(
        "failover.pinned: name must be that of an endpoint, but got 'b'",
      );
    });
  });

  describe('admit', () => {
    const endpoints = inOrder('a', 'b');

    it('tells the endpoint, and goes through its own guards and timeouts alone', async () => {
      const breakers = new Map(
        endpoints.map(({ target }) => [target, circuitBreaker({ failureThreshold: 1, clock })]),
      );
      const { calls, layer } = benchOf(
        {
          endpoints,
          layers: ({ name }) => [again(3), breakers.get(name) as never, timeout({ duration: 50 })],
        },
        3,
      );
      const first = await calls.admit();
      expect(first.call.endpoint?.name).toBe('a');
      expect(layer.endpointOf(first.call)?.target).toBe('a');
      expect(first.call.remaining()).toBe(50);
      expect(layer.endpoints[0]?.running).toBe(1);
      first.settle({ ok: false, error: down });
      await clock.advance(0);
      expect(layer.endpoints[0]?.running).toBe(0);
      expect(breakers.get('a')?.state).toBe('open');
      // Its circuit is open: the next one lets the call in.
      const second = await calls.admit();
      expect(second.call.endpoint?.name).toBe('b');
      second.settle({ ok: true, value: 1 });
      await clock.advance(0);
      expect(breakers.get('b')?.state).toBe('closed');
    });

    it('counts for outlier ejection, and runs nothing again whatever moveOn says', async () => {
      const { calls, layer } = benchOf({
        endpoints,
        outlierDetection: { failureThreshold: 2, maxEjectionRatio: 0.5 },
        moveOn: () => true,
      });
      const recorder = recordEvents(calls);
      for (let call = 0; call < 2; call++) {
        const { settle } = await calls.admit();
        settle({ ok: false, error: down });
        await clock.advance(0);
      }
      expect(layer.endpoints.map(({ state, running }) => [state, running])).toEqual([
        ['ejected', 0],
        ['available', 0],
      ]);
      expect(recorder.of('endpoint.skipped')).toEqual([]);
      expect((await calls.admit()).call.endpoint?.name).toBe('b');
    });

    it('is refused when the guards of all refuse', async () => {
      const { calls } = benchOf({
        endpoints,
        layers: () => [bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 0 })],
      });
      await calls.admit();
      await calls.admit();
      await expect(calls.admit()).rejects.toMatchObject({ code: 'RESIL_BULKHEAD_FULL' });
    });
  });

  describe('panic', () => {
    it('uses all endpoints when too few are available, and tells when it begins and ends', async () => {
      const { layer, calls } = benchOf({
        endpoints: ['a', 'b', 'c', 'd'],
        panicRatio: 0.75,
        outlierDetection: { failureThreshold: 1 },
      });
      const recorder = recordEvents(layer);
      const { operation, seen, downs } = service('a', 'b');
      while (layer.endpoints.filter(({ state }) => state === 'ejected').length < 2)
        await calls.execute(operation).catch(() => {});
      downs.length = 0;
      seen.length = 0;
      for (let call = 0; call < 100; call++) await calls.execute(operation);
      expect(new Set(seen)).toEqual(new Set(['a', 'b', 'c', 'd']));
      expect(recorder.of('failover.panicked')).toMatchObject([{ available: 2 }]);
      await clock.advance(40_000);
      await calls.execute(operation);
      expect(recorder.of('failover.recovered')).toMatchObject([{ available: 4 }]);
    });

    it('is no matter of calls that may go nowhere', async () => {
      const { layer, calls } = benchOf({ endpoints: ['a'], rank: () => Infinity });
      const recorder = recordEvents(layer);
      await calls.execute(async () => {}).catch(() => {});
      expect(recorder.events).toEqual([]);
      expect(layer.describe().state).toMatchObject({ panicking: false });
    });

    it('is remembered for a thousand sets of endpoints', async () => {
      const endpoints = Array.from({ length: 11 }, (_, index) => `${index}`);
      const { layer, calls } = benchOf({
        endpoints,
        healthCheck: { check: () => false, unhealthyThreshold: 1 },
        rank: ({ name }, call) => ((Number(call.name) >> Number(name)) & 1 ? 0 : Infinity),
      });
      const go = (set: number) => calls.execute(async () => {}, { name: `${set}` });
      await go(1);
      await clock.advance(10_000);
      const recorder = recordEvents(layer);
      for (let set = 1; set <= 1_000; set++) await go(set);
      await go(1);
      expect(recorder.of('failover.panicked')).toHaveLength(1_000);
      await go(1_001);
      await go(2);
      expect(recorder.of('failover.panicked')).toHaveLength(1_001);
      await go(1);
      expect(recorder.of('failover.panicked')).toHaveLength(1_002);
      layer.close();
    });

    it('of calls that may go to some endpoints says nothing of calls that may go to others', async () => {
      const { layer, calls } = benchOf({
        endpoints: ['a', 'b'],
        outlierDetection: { failureThreshold: 1, maxEjectionRatio: 0.5 },
        rank: ({ name }, call) => (call.name === undefined || call.name === name ? 0 : Infinity),
      });
      const { operation } = service('a');
      const recorder = recordEvents(layer);
      const told = () =>
        recorder.events
          .filter(({ type }) => type.startsWith('failover.'))
          .map(({ type, name }) => [type, name]);
      await calls.execute(operation, { name: 'a' }).catch(() => {});
      expect(layer.endpoints[0]?.state).toBe('ejected');
      for (let call = 0; call < 3; call++) {
        await calls.execute(operation, { name: 'a' }).catch(() => {});
        await calls.execute(operation);
        await calls.execute(operation, { name: 'b' });
      }
      expect(told()).toEqual([['failover.panicked', 'a']]);
      expect(layer.describe().state).toMatchObject({ panicking: true });
      await clock.advance(3_600_000);
      await calls.execute(async () => {});
      expect(told()).toHaveLength(1);
      await calls.execute(async () => {}, { name: 'a' });
      expect(told()).toEqual([
        ['failover.panicked', 'a'],
        ['failover.recovered', 'a'],
      ]);
      expect(layer.describe().state).toMatchObject({ panicking: false });
    });
  });

  describe('health checks', () => {
    const healthCheck = (sick: Set<string>, asked: string[] = []) => ({
      checkInterval: 1_000,
      checkTimeout: 100,
      unhealthyThreshold: 2,
      healthyThreshold: 2,
      check: async ({ name }: { name: string }) => {
        asked.push(name);
        if (sick.has(name)) throw down;
      },
    });

    it('leave out who fails them, until they pass again', async () => {
      const sick = new Set(['a']);
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        healthCheck: healthCheck(sick),
      });
      const recorder = recordEvents(layer);
      const { operation, seen } = service();
      await calls.execute(operation);
      await clock.advance(999);
      expect(layer.endpoints[0]?.state).toBe('available');
      await clock.advance(1);
      expect(layer.endpoints[0]?.state).toBe('unhealthy');
      await calls.execute(operation);
      sick.clear();
      await clock.advance(1_000);
      expect(layer.endpoints[0]?.state).toBe('unhealthy');
      await clock.advance(1_000);
      expect(layer.endpoints[0]?.state).toBe('available');
      await calls.execute(operation);
      expect(seen).toEqual(['a', 'b', 'a']);
      expect(recorder.events.map(({ type, at }) => [type, at])).toEqual([
        ['endpoint.unhealthy', 1_000],
        ['endpoint.healthy', 3_000],
      ]);
      expect(recorder.of('endpoint.unhealthy')[0]).toMatchObject({
        error: down,
        pipeline: 'calls',
      });
      layer.close();
    });

    it('begin with the first call, spread over the interval, and end with close()', async () => {
      const asked: string[] = [];
      const { layer, calls } = benchOf({
        endpoints: ['a', 'b'],
        healthCheck: healthCheck(new Set(), asked),
      });
      await clock.advance(5_000);
      expect(asked).toEqual([]);
      expect(clock.pending).toBe(0);
      await calls.execute(service().operation);
      await clock.advance(499);
      expect(asked).toEqual(['a']);
      await clock.advance(1_501);
      expect(asked).toEqual(['a', 'b', 'a', 'b', 'a']);
      layer.close();
      expect(clock.pending).toBe(0);
      await calls.execute(service().operation);
      await clock.advance(5_000);
      expect(asked).toHaveLength(5);
    });

    it('fail when they give false, or nothing in time', async () => {
      const signals: AbortSignal[] = [];
      const { layer, calls } = benchOf({
        endpoints: ['a', 'b'],
        healthCheck: {
          ...healthCheck(new Set()),
          unhealthyThreshold: 1,
          check: ({ name }, signal) => {
            signals.push(signal);
            return name === 'a' ? false : new Promise(() => {});
          },
        },
      });
      const recorder = recordEvents(layer);
      await calls.execute(service().operation);
      await clock.advance(0);
      expect(recorder.of('endpoint.unhealthy')).toMatchObject([{ endpoint: 'a' }]);
      await clock.advance(600);
      expect(
        recorder.of('endpoint.unhealthy').map(({ endpoint, errorType }) => [endpoint, errorType]),
      ).toEqual([
        ['a', 'Error'],
        ['b', 'RESIL_TIMEOUT'],
      ]);
      expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
      expect(recorder.of('failover.panicked')).toEqual([]);
      await expect(calls.execute(service().operation)).resolves.toMatch(/a|b/);
      expect(recorder.of('failover.panicked')).toMatchObject([{ available: 0 }]);
      layer.close();
    });

    it('go on while a pipeline that is not closed holds the failover', async () => {
      const asked: string[] = [];
      const layer = failover({ endpoints: ['a'], healthCheck: healthCheck(new Set(), asked) });
      const first = pipeline({ clock }, layer);
      const second = pipeline({ clock }, pipeline('inner', layer));
      await first.execute(async () => {});
      await clock.advance(1_500);
      expect(asked).toHaveLength(2);
      first.close();
      first.close();
      first.narrow(() => true).close();
      await clock.advance(1_000);
      expect(asked).toHaveLength(3);
      second.close();
      await clock.advance(10_000);
      expect(asked).toHaveLength(3);
      expect(clock.pending).toBe(0);
      // Calls still work, and begin nothing.
      await second.execute(async () => {});
      await clock.advance(10_000);
      expect(asked).toHaveLength(3);
    });

    it('begin again with a new pipeline, and the check of before says nothing then', async () => {
      const asked: ((answer: boolean) => void)[] = [];
      const layer = failover({
        endpoints: ['a'],
        healthCheck: {
          checkInterval: 1_000,
          unhealthyThreshold: 1,
          check: () => new Promise((resolve) => asked.push(resolve)),
        },
      });
      const first = pipeline({ clock }, layer);
      await first.execute(async () => {});
      await clock.advance(0);
      first.close();
      const second = pipeline({ clock }, layer);
      await second.execute(async () => {});
      await clock.advance(0);
      expect(asked).toHaveLength(2);
      asked[0]?.(false);
      await clock.advance(1_000);
      expect(layer.endpoints[0]?.state).toBe('available');
      expect(asked).toHaveLength(2);
      asked[1]?.(true);
      await clock.advance(1_000);
      expect(asked).toHaveLength(3);
      layer.close();
      // For good, whoever comes.
      await pipeline({ clock }, layer).execute(async () => {});
      await clock.advance(5_000);
      expect(asked).toHaveLength(3);
    });

    it('of keyed pipelines end with their key, and with all of them', async () => {
      const asked: string[] = [];
      const failoverOf = (key: string) =>
        failover({ endpoints: [key], healthCheck: healthCheck(new Set(), asked) });
      const shards = keyed((key) => pipeline({ key, clock }, failoverOf(key)), {
        maxKeys: 1,
        clock,
      });
      const askedIn = async (duration: number) => {
        asked.length = 0;
        await clock.advance(duration);
        return [...asked];
      };
      await shards.execute('a', async () => {});
      expect(await askedIn(1_000)).toEqual(['a', 'a']);
      await shards.execute('b', async () => {});
      expect(await askedIn(1_000)).toEqual(['b', 'b']);
      shards.close();
      shards.close();
      await shards.execute('c', async () => {});
      expect(await askedIn(5_000)).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('that is running is told of close()', async () => {
      let signal: AbortSignal | undefined;
      const { layer, calls } = benchOf({
        endpoints: ['a'],
        healthCheck: {
          check: (_, own) => {
            signal = own;
            return new Promise(() => {});
          },
        },
      });
      await calls.execute(service().operation);
      await clock.advance(0);
      expect(signal?.aborted).toBe(false);
      layer.close();
      expect(signal?.aborted).toBe(true);
      expect(clock.pending).toBe(0);
    });

    it('end an ejection when they pass', async () => {
      const { layer, calls } = benchOf({
        endpoints: inOrder('a', 'b'),
        healthCheck: healthCheck(new Set()),
      });
      for (let call = 0; call < 5; call++)
        await calls.execute(service('a').operation).catch(() => {});
      expect(layer.endpoints[0]?.state).toBe('ejected');
      await clock.advance(1_000);
      expect(layer.endpoints[0]?.state).toBe('available');
      layer.close();
    });

    it('do not keep the process alive', () => {
      const background: (boolean | undefined)[] = [];
      const spied = {
        now: () => clock.now(),
        schedule: (callback: () => void, delay: number, own?: boolean) => {
          background.push(own);
          return clock.schedule(callback, delay);
        },
      };
      const layer = failover({
        endpoints: ['a'],
        healthCheck: healthCheck(new Set()),
        clock: spied,
      });
      void pipeline(layer).execute(() => 1);
      layer.close();
      expect(background).toEqual([true]);
    });
  });

  describe('standard({ failover })', () => {
    it('gives each endpoint a breaker, a bulkhead and an attempt timeout of its own', async () => {
      const calls = standard({
        clock,
        name: 'quotes',
        random: seededRandom(1),
        failover: { endpoints: inOrder('a', 'b'), outlierDetection: false },
        retry: { maxAttempts: 2, baseDelay: 1, jitter: 'none', budget: false },
        circuitBreaker: { failureThreshold: 2, resetTimeout: 60_000 },
        attemptTimeout: 50,
      });
      const recorder = recordEvents(calls);
      const seen: string[] = [];
      const operation = (call: Call) => {
        const { name } = call.endpoint as { name: string };
        seen.push(name);
        return name === 'a' ? new Promise<string>(() => {}) : name;
      };
      for (let call = 0; call < 3; call++)
        await expect(clock.runUntilSettled(calls.execute(operation))).resolves.toBe('b');
      expect(seen).toEqual(['a', 'b', 'a', 'b', 'b']);
      expect(clock.now()).toBe(102);
      expect(recorder.of('circuit.opened')).toMatchObject([{ strategy: 'a', pipeline: 'quotes' }]);
      expect(recorder.of('endpoint.skipped')).toMatchObject([
        { strategy: 'quotes', endpoint: 'a' },
      ]);
    });
  });
});
