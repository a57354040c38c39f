import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Deferred, deferred } from '../test/deferred.js';
import { Cache, cache } from './cache.js';
import type { CachedAnswer, CacheStore } from './cache-store.js';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { reportErrorsTo } from './emitter.js';
import { pipeline } from './pipeline.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const options = { key: 'a' };
const key = ({ key }: Call): string | undefined => key;

let clock: VirtualClock;
let asked: number;
const ask = async (): Promise<number> => ++asked;
beforeEach(() => {
  clock = new VirtualClock();
  asked = 0;
});

/** A store that answers by promises. */
function shared(answers: Partial<CacheStore> = {}): CacheStore {
  return { get: async () => undefined, set: async () => {}, delete: async () => {}, ...answers };
}

describe('cache', () => {
  it('gives an instance of its class', () => {
    expect(cache({ key })).toBeInstanceOf(Cache);
    expect([cache({ key }).name, cache({ key, name: 'users' }).name]).toEqual(['cache', 'users']);
  });

  it('gives an answer while it is fresh, and asks anew when it is not', async () => {
    const layer = cache({ key, clock, freshDuration: 100 });
    const recorder = recordEvents(layer);
    expect(await layer.execute(ask, options)).toBe(1);
    await clock.advance(99);
    expect(await layer.execute(ask, options)).toBe(1);
    await clock.advance(1);
    expect(await layer.execute(ask, options)).toBe(2);
    expect(await layer.execute(ask, { key: 'b' })).toBe(3);
    expect(recorder.of('cache.hit')).toMatchObject([{ age: 99, key: 'a', strategy: 'cache' }]);
    expect(recorder.of('cache.miss')).toHaveLength(3);
    expect(recorder.of('cache.stored')).toMatchObject(Array(3).fill({ duration: 100 }));
    expect(layer.describe()).toMatchObject({
      type: 'cache',
      state: { entries: 2, bytes: 0, revalidating: 0 },
      counters: { hits: 1, misses: 3, stored: 3, stale: 0, past: 0 },
    });
  });

  it('has to be told what a call asks for', () => {
    for (const given of [{}, { key: undefined }]) {
      expect(() => cache(given as never)).toThrow(
        /^cache\.key must be given: a function of the call .*, but got undefined$/,
      );
    }
  });

  it('keeps the requests of an adapter apart, whose `call.key` is the destination', async () => {
    const layer = cache({ key: ({ name }) => name, clock });
    const calls = pipeline({ key: 'orders' }, layer);
    expect(await calls.execute(ask, { key: 'host', name: 'GET /a' })).toBe(1);
    expect(await calls.execute(ask, { key: 'host', name: 'GET /b' })).toBe(2);
    expect([await calls.execute(ask), await calls.execute(ask)]).toEqual([3, 4]);
  });

  it('is passed by calls without a key, and keeps no failure and nothing that is ignored', async () => {
    const layer = cache({
      key,
      clock,
      classify: (outcome) => (outcome.ok && outcome.value === 1 ? 'ignored' : 'success'),
    });
    expect([await layer.execute(ask), await layer.execute(ask)]).toEqual([1, 2]);
    asked = 0;
    await expect(layer.execute(fail, options)).rejects.toBe(down);
    expect(await layer.execute(ask, options)).toBe(1);
    expect(await layer.execute(ask, options)).toBe(2);
    expect(await layer.execute(ask, options)).toBe(2);
    expect(layer.describe().counters).toMatchObject({ past: 2, stored: 1, hits: 1 });
  });

  describe('a stale answer', () => {
    it('is given at once while one revalidation runs, which nobody who leaves ends', async () => {
      const layer = cache({ key, clock, freshDuration: 100, staleDuration: 50 });
      const recorder = recordEvents(layer);
      await layer.execute(ask, options);
      await clock.advance(120);
      const flights: Deferred<number>[] = [];
      const slow = vi.fn(() => {
        const end = deferred<number>();
        flights.push(end);
        return end.promise;
      });
      const leaving = new AbortController();
      expect(await layer.execute(slow, { ...options, signal: leaving.signal })).toBe(1);
      leaving.abort();
      expect(await layer.execute(slow, options)).toBe(1);
      expect(slow).toHaveBeenCalledTimes(1);
      expect(layer.describe().state).toMatchObject({ revalidating: 1 });
      flights[0]?.resolve(7);
      await clock.flush();
      expect(await layer.execute(slow, options)).toBe(7);
      expect(recorder.of('cache.stale')).toMatchObject(
        Array(2).fill({ age: 120, reason: 'revalidate' }),
      );
      expect(layer.describe()).toMatchObject({
        state: { revalidating: 0 },
        counters: { stale: 2, hits: 1, revalidations: 1, revalidationsFailed: 0 },
      });
      expect(clock.pending).toBe(0);
    });

    it('stays when the revalidation fails or hangs, which is told', async () => {
      const layer = cache({
        key,
        clock,
        freshDuration: 100,
        staleDuration: 10_000,
        revalidateTimeout: 500,
      });
      const recorder = recordEvents(layer);
      await layer.execute(ask, options);
      await clock.advance(100);
      expect(await layer.execute(fail, options)).toBe(1);
      await clock.flush();
      await layer.execute(({ signal }) => {
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      }, options);
      await clock.advance(500);
      expect(recorder.of('cache.revalidation-failed')).toMatchObject([
        { error: down },
        { error: { code: 'RESIL_TIMEOUT' } },
      ]);
      expect(layer.describe()).toMatchObject({
        state: { revalidating: 0 },
        counters: { revalidationsFailed: 2 },
      });
    });

    it('is asked for again after a revalidation that heeds no abort, whose late answer is not kept', async () => {
      const layer = cache({
        key,
        clock,
        freshDuration: 100,
        staleDuration: 10_000,
        revalidateTimeout: 500,
      });
      const recorder = recordEvents(layer);
      await layer.execute(ask, options);
      await clock.advance(100);
      const late = deferred<number>();
      expect(await layer.execute(() => late.promise, options)).toBe(1);
      await clock.advance(500);
      expect(layer.describe()).toMatchObject({
        state: { revalidating: 0 },
        counters: { revalidations: 1, revalidationsFailed: 1 },
      });
      late.resolve(99);
      await clock.flush();
      expect(await layer.execute(ask, options)).toBe(1);
      await clock.flush();
      expect(await layer.execute(ask, options)).toBe(2);
      expect(recorder.of('cache.revalidation-failed')).toMatchObject([
        { error: { code: 'RESIL_TIMEOUT', timeout: 500 } },
      ]);
      expect(layer.describe().counters).toMatchObject({ revalidations: 2, stored: 2 });
      expect(clock.pending).toBe(0);
    });

    it('frees what a revalidation gave that is not kept, be it late or a failure', async () => {
      const freed: unknown[] = [];
      const layer = cache({
        key,
        clock,
        freshDuration: 100,
        staleDuration: 10_000,
        revalidateTimeout: 500,
        classify: (outcome) => ({
          kind: outcome.ok && outcome.value !== 'failed' ? 'success' : 'failure',
          repeat: false,
          discard: () => {
            if (outcome.ok) freed.push(outcome.value);
          },
        }),
      });
      await layer.execute(() => 'kept', options);
      await clock.advance(100);
      const late = deferred<string>();
      await layer.execute(() => late.promise, options);
      await clock.advance(500);
      expect(freed).toEqual([]);
      late.resolve('late');
      await clock.flush();
      expect(freed).toEqual(['late']);
      await layer.execute(() => 'failed', options);
      await clock.flush();
      expect(freed).toEqual(['late', 'failed']);
      expect(await layer.execute(() => 'new', options)).toBe('kept');
      await clock.flush();
      expect(await layer.execute(() => 'newer', options)).toBe('new');
      expect(freed).toEqual(['late', 'failed']);
    });

    it('stands for a failure and a refusal, not for a cancellation, and not for ever', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: Infinity });
      const layer = cache({ key, clock, freshDuration: 100, staleIfErrorDuration: 900 });
      const calls = pipeline(layer, breaker);
      const recorder = recordEvents(calls);
      await calls.execute(ask, options);
      await clock.advance(200);
      const leaving = new AbortController();
      const left = calls.execute(
        ({ signal }) => {
          leaving.abort('gone');
          return Promise.reject(signal.reason);
        },
        { ...options, signal: leaving.signal },
      );
      await expect(left).rejects.toBe('gone');
      expect(await calls.execute(fail, options)).toBe(1);
      expect(breaker.state).toBe('open');
      expect(await calls.execute(ask, options)).toBe(1);
      expect(recorder.of('cache.stale')).toMatchObject(
        Array(2).fill({ age: 200, reason: 'error' }),
      );
      await clock.advance(800);
      await expect(calls.execute(ask, options)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
      });
      expect(asked).toBe(1);
    });
  });

  describe('a store', () => {
    it('may answer later, with an age of its own', async () => {
      const set = vi.fn(async () => {});
      const store = shared({ get: async () => ({ value: 'kept', age: 40 }), set });
      expect(await cache({ key, clock, store, freshDuration: 50 }).execute(ask, options)).toBe(
        'kept',
      );
      const layer = cache({ key, clock, store, freshDuration: 30, staleIfErrorDuration: 20 });
      expect(await layer.execute(ask, options)).toBe(1);
      expect(set.mock.calls).toEqual([['a', 1, 50]]);
    });

    it('may answer by promises of its own', async () => {
      const errors: unknown[] = [];
      const restore = reportErrorsTo((error) => errors.push(error));
      const own = {
        // biome-ignore lint/suspicious/noThenProperty: what is tested
        then: (give: (answer: CachedAnswer) => void) => give({ value: 'kept', age: 4 }),
      } as PromiseLike<CachedAnswer>;
      const broken = {
        // biome-ignore lint/suspicious/noThenProperty: what is tested
        then: () => {
          throw down;
        },
      } as PromiseLike<CachedAnswer>;
      const stores = [own, broken].map((answer) => shared({ get: () => answer }));
      const layers = stores.map((store) => cache({ key, clock, store }));
      const answers = layers.map((layer) => layer.execute<unknown>(ask, options));
      expect(await Promise.all(answers)).toEqual(['kept', 1]);
      expect(errors).toEqual([down]);
      restore();
    });

    it.each([() => null, async () => null])('may say null for nothing (%s)', async (get) => {
      const layer = cache({ key, clock, store: shared({ get: get as never }) });
      expect(await layer.execute(ask, options)).toBe(1);
      expect(layer.describe().counters).toMatchObject({ misses: 1, storeErrors: 0 });
    });

    it('that fails or hangs is reported, and counts as a miss', async () => {
      const errors: unknown[] = [];
      const restore = reportErrorsTo((error) => errors.push(error));
      const never = (): Promise<never> => new Promise(() => {});
      const throwing = (): never => {
        throw down;
      };
      const stores = [
        shared({ get: fail, set: fail }),
        shared({ get: throwing, set: throwing }),
        shared({ get: never, set: never }),
      ];
      for (const store of stores) {
        const layer = cache({ key, clock, store, storeTimeout: 50 });
        await clock.runUntilSettled(layer.execute(ask, options));
      }
      await clock.flush();
      expect(asked).toBe(3);
      expect(clock.now()).toBe(50);
      expect(errors).toEqual([down, down, down, down, expect.objectContaining({ timeout: 50 })]);
      restore();
    });
  });
});
