import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Deferred, deferred } from '../test/deferred.js';
import { AdaptiveLimiter, adaptiveLimiter } from './adaptive-limiter.js';
import {
  type AdaptiveLimiterOptions,
  adaptiveLimiterDefaults,
} from './adaptive-limiter-options.js';
import type { CallOptions } from './call.js';
import { reportErrorsTo } from './emitter.js';
import { LimitExceededError, QueueTimeoutError } from './errors.js';
import type { LimitAlgorithm } from './limit-algorithm.js';
import { aimd, vegas } from './limit-algorithms.js';
import { type Pipeline, pipeline } from './pipeline.js';

const down = new Error('down');

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

function benchOf(options: AdaptiveLimiterOptions): { layer: AdaptiveLimiter; calls: Pipeline } {
  const layer = adaptiveLimiter({ clock, ...options });
  return { layer, calls: pipeline({ clock }, layer) };
}

/** A limit that stays where it is. */
const fixed = (limit: number): AdaptiveLimiterOptions => ({ minLimit: limit, maxLimit: limit });

/** Starts so many calls that run until they are let go. */
function occupy(calls: Pipeline, count: number, options?: CallOptions): Deferred<void>[] {
  return Array.from({ length: count }, () => {
    const held = deferred();
    calls.execute(() => held.promise, options).catch(() => {});
    return held;
  });
}

describe('adaptiveLimiter', () => {
  it('gives an instance of its class, with aimd from 20 between 1 and 200', () => {
    const layer = adaptiveLimiter();
    expect(layer).toBeInstanceOf(AdaptiveLimiter);
    expect([layer.name, layer.limit, layer.estimate, layer.inFlight]).toEqual([
      'adaptive-limiter',
      20,
      20,
      0,
    ]);
    expect(adaptiveLimiterDefaults.algorithm).toBe('aimd');
  });

  describe('limit', () => {
    it('lets so many calls in and refuses the next without running it', async () => {
      const { layer, calls } = benchOf({ ...fixed(2), name: 'search' });
      const recorder = recordEvents(calls);
      occupy(calls, 2);
      const operation = vi.fn();
      const refused = calls.execute(operation);
      await expect(refused).rejects.toBeInstanceOf(LimitExceededError);
      await expect(refused).rejects.toMatchObject({
        code: 'RESIL_LIMIT_EXCEEDED',
        message: "'search' is at its limit of 2: 2 in flight, 0 waiting",
        strategy: 'search',
        limit: 2,
        inFlight: 2,
        waiting: 0,
        refusal: true,
      });
      expect([operation.mock.calls.length, layer.inFlight]).toEqual([0, 2]);
      expect(recorder.of('limiter.rejected')).toMatchObject([
        { reason: 'full', limit: 2, inFlight: 2, waiting: 0 },
      ]);
    });

    it('follows the estimate, tells each change and can be explained', async () => {
      const { layer, calls } = benchOf({ initialLimit: 10, maxLimit: 12 });
      const recorder = recordEvents(calls);
      const held = occupy(calls, 5);
      await clock.advance(40);
      for (const one of held.slice(0, 4)) one.resolve();
      await clock.flush();
      // The fifth call began with five in flight, half of the limit: one more. The others with less.
      expect(layer.limit).toBe(10);
      held[4]?.resolve();
      await clock.flush();
      expect(layer.limit).toBe(11);
      for (let call = 0; call < 2; call++)
        await expect(calls.execute(() => Promise.reject(down))).rejects.toBe(down);
      expect([layer.limit, layer.estimate, layer.inFlight]).toEqual([8, 8, 0]);
      expect(layer.explain()).toEqual([
        {
          at: 40,
          until: 40,
          from: 10,
          to: 10,
          reason: 'idle',
          samples: 4,
          duration: 40,
          inFlight: 4,
        },
        {
          at: 40,
          until: 40,
          from: 10,
          to: 11,
          reason: 'room',
          samples: 1,
          duration: 40,
          inFlight: 5,
        },
        {
          at: 40,
          until: 40,
          from: 11,
          to: 8,
          reason: 'drop',
          samples: 2,
          duration: 0,
          inFlight: 1,
        },
      ]);
      expect(recorder.of('limiter.limit-changed')).toMatchObject([
        { previous: 10, limit: 11, reason: 'room' },
        { previous: 11, limit: 9, reason: 'drop' },
        { previous: 9, limit: 8, reason: 'drop' },
      ]);
    });

    it.each<[string, LimitAlgorithm]>([
      [
        'throws',
        vegas({
          initialLimit: 1,
          threshold: () => {
            throw down;
          },
        }),
      ],
      ['gives no number', vegas({ initialLimit: 1, threshold: () => Number.NaN })],
      [
        'has an estimate that is no number',
        {
          name: 'mine',
          windowed: false,
          estimate: 1,
          update() {
            (this as { estimate: number }).estimate = Number.NaN;
            return 'steady';
          },
        },
      ],
    ])('stays where it is and lets the next one go if an algorithm %s', async (_, algorithm) => {
      const reported = vi.fn();
      const restore = reportErrorsTo(reported);
      const { layer, calls } = benchOf({ algorithm, sampleWindow: false, maxQueueSize: 1 });
      for (let round = 0; round < 3; round++) {
        const [held] = occupy(calls, 1);
        const waiting = calls.execute(() => 'in');
        await clock.advance(10);
        held?.resolve();
        await expect(waiting).resolves.toBe('in');
      }
      restore();
      expect([layer.limit, layer.inFlight, layer.waiting]).toEqual([1, 0, 0]);
      expect(reported).toHaveBeenCalledWith(expect.any(Error), `algorithm '${algorithm.name}'`);
    });

    it('explains the latest twenty decisions and no more', async () => {
      const { layer, calls } = benchOf({ initialLimit: 100, maxLimit: 200 });
      for (let call = 0; call < 50; call++)
        await calls.execute(() => (call % 2 ? 1 : Promise.reject(down))).catch(() => {});
      const decisions = layer.explain();
      expect(decisions).toHaveLength(20);
      expect(decisions.at(-1)).toMatchObject({ to: layer.limit });
    });

    it('takes an algorithm of your own', async () => {
      let estimate = 3.7;
      const own: LimitAlgorithm = {
        name: 'own',
        windowed: false,
        get estimate() {
          return estimate;
        },
        update: () => {
          estimate = 0.2;
          return 'steady';
        },
      };
      const { layer, calls } = benchOf({ algorithm: own });
      expect([layer.limit, layer.estimate]).toEqual([3, 3.7]);
      await calls.execute(() => 1);
      expect([layer.limit, layer.estimate]).toEqual([1, 0.2]);
    });
  });

  describe('samples', () => {
    const reasons = (layer: AdaptiveLimiter): string[] =>
      layer.explain().map(({ reason }) => reason);

    it('are not made of refusals, cancelled calls and what classify ignores', async () => {
      const { layer, calls } = benchOf({
        classify: (outcome) => (outcome.ok ? 'success' : 'ignored'),
      });
      const caller = new AbortController();
      await expect(calls.execute(() => Promise.reject(down))).rejects.toBe(down);
      const gone = calls.execute(() => new Promise(() => {}), { signal: caller.signal });
      caller.abort('gone');
      void gone.catch(() => {});
      expect([layer.explain(), layer.limit]).toEqual([[], 20]);
    });

    it('of failures that are no sign of overload are ignored by isOverload', async () => {
      const reported = vi.fn();
      const restore = reportErrorsTo(reported);
      const { layer, calls } = benchOf({
        isOverload: (outcome) => {
          if (outcome.ok) return false;
          if (outcome.error === 'odd') throw new Error('odd');
          return outcome.error === 'busy';
        },
      });
      await calls.execute(() => Promise.reject('bug')).catch(() => {});
      expect(reasons(layer)).toEqual([]);
      await calls.execute(() => Promise.reject('busy')).catch(() => {});
      expect(reasons(layer)).toEqual(['drop']);
      await calls.execute(() => Promise.reject('odd')).catch(() => {});
      restore();
      expect(layer.explain()[0]?.samples).toBe(2);
      expect(reported).toHaveBeenCalledWith(new Error('odd'), 'isOverload');
    });

    it('are summed up over a window for vegas and gradient2, and by sampleWindow', async () => {
      const slow = (): Promise<void> => new Promise((end) => clock.schedule(end, 100));
      const { layer, calls } = benchOf({ algorithm: 'vegas', random: seededRandom(1) });
      const each = benchOf({ algorithm: vegas(), sampleWindow: false });
      for (let round = 0; round < 25; round++) {
        const all = Array.from({ length: 12 }, () => [
          calls.execute(slow),
          each.calls.execute(slow),
        ]);
        await clock.runUntilSettled(Promise.all(all.flat()));
      }
      expect(layer.explain().reduce((sum, { samples }) => sum + samples, 0)).toBe(2);
      expect(each.layer.explain().reduce((sum, { samples }) => sum + samples, 0)).toBe(300);
    });

    it('are dropped when the event loop stood still while their calls were in flight', async () => {
      let missed = 0;
      const stalling = {
        now: () => clock.now() + missed,
        schedule: (callback: () => void, delay: number) => clock.schedule(callback, delay),
      };
      const layer = adaptiveLimiter({
        clock: stalling,
        algorithm: aimd({ slowCallDuration: 200 }),
      });
      const calls = pipeline({ clock: stalling }, layer);
      const quick = (): Promise<void> => new Promise((end) => clock.schedule(end, 10));
      const during = calls.execute(quick);
      missed += 500;
      await clock.runUntilSettled(during);
      expect(reasons(layer)).toEqual(['stall']);
      expect(layer.limit).toBe(20);
      await clock.advance(30);
      await clock.runUntilSettled(calls.execute(quick));
      expect(reasons(layer)).toEqual(['stall', 'idle']);
      // A dependency that is slow by itself is no stall.
      const slow = (): Promise<void> => new Promise((end) => clock.schedule(end, 500));
      await clock.runUntilSettled(calls.execute(slow));
      expect(reasons(layer)).toEqual(['stall', 'idle', 'slow']);
    });

    it('leave no timer behind', async () => {
      const { calls } = benchOf({});
      await calls.execute(() => 1);
      await clock.advance(20);
      expect(clock.pending).toBe(0);
    });
  });

  describe('queue', () => {
    it('serves first come, first served, and tells', async () => {
      const { layer, calls } = benchOf({ ...fixed(1), maxQueueSize: 2 });
      const recorder = recordEvents(calls);
      const [held] = occupy(calls, 1);
      const order: number[] = [];
      const all = [1, 2].map((id) => calls.execute(async () => order.push(id)));
      await expect(calls.execute(() => 3)).rejects.toBeInstanceOf(LimitExceededError);
      expect(layer.waiting).toBe(2);
      await clock.advance(30);
      held?.resolve();
      await Promise.all(all);
      expect(order).toEqual([1, 2]);
      expect(recorder.of('limiter.dequeued').map(({ duration }) => duration)).toEqual([30, 30]);
      expect([layer.waiting, layer.inFlight]).toEqual([0, 0]);
    });

    it('lets nobody wait longer than queueTimeout', async () => {
      const { layer, calls } = benchOf({ ...fixed(1), maxQueueSize: 2, queueTimeout: 100 });
      const recorder = recordEvents(calls);
      occupy(calls, 1);
      const call = calls.execute(() => 1);
      await clock.advance(100);
      await expect(call).rejects.toBeInstanceOf(QueueTimeoutError);
      expect(recorder.of('limiter.rejected')).toMatchObject([{ reason: 'queue-timeout' }]);
      expect(layer.waiting).toBe(0);
    });

    it('lets those go who wait when the limit rises', async () => {
      const { layer, calls } = benchOf({ initialLimit: 1, maxLimit: 10, maxQueueSize: 5 });
      const [first] = occupy(calls, 1);
      const held = occupy(calls, 5);
      first?.resolve();
      await clock.flush();
      expect([layer.limit, layer.inFlight, layer.waiting]).toEqual([2, 2, 3]);
      for (const one of held) one.resolve();
      await clock.flush();
      expect([layer.inFlight, layer.waiting]).toEqual([0, 0]);
    });

    it('of adaptive-lifo serves the newest first once it has not been empty for queueInterval', async () => {
      const { calls } = benchOf({
        ...fixed(1),
        maxQueueSize: 100,
        queue: 'adaptive-lifo',
        targetDelay: 20,
        queueInterval: 100,
      });
      const [held] = occupy(calls, 1);
      const served: string[] = [];
      const expired: string[] = [];
      const come = (name: string): void => {
        const serve = (): Promise<void> => {
          served.push(name);
          return new Promise((end) => clock.schedule(end, 10));
        };
        calls.execute(serve).catch(() => expired.push(`${name} at ${clock.now()}`));
      };
      come('a');
      await clock.advance(60);
      come('b');
      // The first has waited an interval, as long as anybody may; the queue has not been empty since.
      await clock.advance(41);
      expect(expired).toEqual(['a at 100']);
      come('c');
      come('d');
      held?.resolve();
      await clock.advance(10);
      expect(served).toEqual(['d', 'c']);
      await clock.advance(100);
      expect(served).toEqual(['d', 'c', 'b']);
    });

    it('of codel drops from the front while waits stay above targetDelay', async () => {
      const { calls } = benchOf({
        ...fixed(1),
        maxQueueSize: 1_000,
        queueTimeout: Infinity,
        queue: 'codel',
      });
      const recorder = recordEvents(calls);
      const serve = (): Promise<void> => new Promise((end) => clock.schedule(end, 10));
      // Twice as many as can be served.
      for (let call = 0; call < 200; call++) {
        void calls.execute(serve).catch(() => {});
        await clock.advance(5);
      }
      await clock.runUntilIdle();
      const dropped = recorder.of('limiter.rejected');
      expect(dropped.length).toBeGreaterThan(10);
      expect(new Set(dropped.map(({ reason }) => reason))).toEqual(new Set(['codel']));
    });
  });

  describe('partitions', () => {
    const partitions = [
      { name: 'live', guaranteedRatio: 0.5, minPriority: 10 },
      { name: 'batch', guaranteedRatio: 0.3, minPriority: 5 },
    ];
    const live = { priority: 10 };
    const batch = { priority: 7 };
    const others = { priority: 0 };

    it('are at least one call, rounded up, and the rest has none', () => {
      const shares = (limit: number): number[] =>
        benchOf({ ...fixed(limit), partitions }).layer.partitions.map(
          ({ guaranteed }) => guaranteed,
        );
      expect(shares(10)).toEqual([5, 3, 0]);
      expect(shares(1)).toEqual([1, 1, 0]);
      expect(shares(11)).toEqual([6, 4, 0]);
    });

    it('may use what others leave over, and get what is theirs even so', async () => {
      const { layer, calls } = benchOf({ ...fixed(10), partitions });
      occupy(calls, 10, others);
      await expect(calls.execute(() => 1, others)).rejects.toBeInstanceOf(LimitExceededError);
      occupy(calls, 5, live);
      occupy(calls, 3, batch);
      expect(layer.partitions.map(({ inFlight }) => inFlight)).toEqual([5, 3, 10]);
      for (const options of [live, batch])
        await expect(calls.execute(() => 1, options)).rejects.toBeInstanceOf(LimitExceededError);
      expect(layer.inFlight).toBe(18);
    });

    it('are served by share first, then by importance', async () => {
      const { calls } = benchOf({ ...fixed(4), partitions, maxQueueSize: 10 });
      const held = occupy(calls, 4, others);
      const order: string[] = [];
      const run = (name: string, options: CallOptions): Promise<number> =>
        calls.execute(() => order.push(name), options);
      occupy(calls, 2, live);
      const [theirs] = occupy(calls, 2, batch);
      const all = [run('other', others), run('live', live), run('batch', batch)];
      for (const one of held) one.resolve();
      await clock.flush();
      // Four are in flight, all of them by right of their shares.
      expect(order).toEqual([]);
      theirs?.resolve();
      await Promise.all(all);
      expect(order).toEqual(['batch', 'live', 'other']);
    });

    it('give way in a full queue to a more important one', async () => {
      const { layer, calls } = benchOf({ ...fixed(1), partitions, maxQueueSize: 2 });
      const recorder = recordEvents(calls);
      const [first] = occupy(calls, 1, live);
      occupy(calls, 1, batch);
      const order: string[] = [];
      const run = (name: string, options: CallOptions) =>
        calls
          .execute(() => order.push(name), options)
          .catch(({ code }) => order.push(`${name} ${code}`));
      const all = [run('other', others), run('batch', batch)];
      all.push(run('live 1', live), run('live 2', live), run('live 3', live), run('late', others));
      await clock.flush();
      expect(order).toEqual(
        [
          'other RESIL_LIMIT_EXCEEDED',
          'live 3 RESIL_LIMIT_EXCEEDED',
          'late RESIL_LIMIT_EXCEEDED',
          'batch RESIL_LIMIT_EXCEEDED',
        ].toSorted((one, other) => order.indexOf(one) - order.indexOf(other)),
      );
      expect(recorder.of('limiter.rejected').map(({ reason }) => reason)).toEqual([
        'shed',
        'shed',
        'full',
        'full',
      ]);
      expect(layer.waiting).toBe(2);
      first?.resolve();
      await clock.flush();
      expect(order.slice(4)).toEqual(['live 1', 'live 2']);
      await Promise.all(all);
    });

    it('are told by partitionBy; what it does not know, or throws for, has no share', async () => {
      const reported = vi.fn();
      const restore = reportErrorsTo(reported);
      const { layer, calls } = benchOf({
        ...fixed(10),
        partitions,
        partitionBy: ({ key }) => {
          if (key === undefined) throw down;
          return key;
        },
      });
      occupy(calls, 1, { key: 'batch' });
      occupy(calls, 1, { key: 'unknown' });
      occupy(calls, 1);
      restore();
      expect(layer.partitions.map(({ name, inFlight }) => [name, inFlight])).toEqual([
        ['live', 0],
        ['batch', 1],
        ['(others)', 2],
      ]);
      expect(reported).toHaveBeenCalledWith(down, 'partitionBy');
    });
  });

  it.each(['vegas', 'gradient2'] as const)(
    'with %s finds what a server of 20 workers can take',
    async (algorithm) => {
      const random = seededRandom(algorithm);
      const { layer, calls } = benchOf({
        algorithm,
        random,
        sampleWindow: { minDuration: 200, maxDuration: 200 },
      });
      // 20 workers of 50 ms, a queue of any length before them: 400 calls per second.
      let free = 20;
      const waiting: (() => void)[] = [];
      const work = (end: () => void): void => {
        clock.schedule(() => {
          end();
          const next = waiting.shift();
          if (next === undefined) free++;
          else work(next);
        }, 50);
      };
      const serve = (): Promise<void> =>
        new Promise((end) => {
          if (free === 0) return void waiting.push(end);
          free--;
          work(end);
        });
      let served = 0;
      for (let ms = 0; ms < 60_000; ms++) {
        // Two thousand a second.
        for (let call = 0; call < 2; call++)
          calls.execute(serve).then(
            () => served++,
            () => {},
          );
        await clock.advance(1);
      }
      expect(served).toBeGreaterThan(0.95 * 400 * 60);
      expect(layer.limit).toBeGreaterThanOrEqual(20);
      expect(layer.limit).toBeLessThan(100);
    },
  );
});
