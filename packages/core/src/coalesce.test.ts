import { AsyncLocalStorage } from 'node:async_hooks';
import { recordEvents, VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Deferred, deferred } from '../test/deferred.js';
import type { Call, CallAttributes } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { Coalesce, coalesce } from './coalesce.js';
import { reportErrorsTo } from './emitter.js';
import { pipeline } from './pipeline.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const gone = new Error('gone');
const key = ({ key }: Call): string | undefined => key;

let clock: VirtualClock;
let flights: { call: Call; end: Deferred<string> }[];
const operation = vi.fn((call: Call) => {
  const end = deferred<string>();
  flights.push({ call, end });
  return end.promise;
});
beforeEach(() => {
  clock = new VirtualClock();
  flights = [];
  operation.mockClear();
});

describe('coalesce', () => {
  it('gives an instance of its class', () => {
    expect(coalesce({ key })).toBeInstanceOf(Coalesce);
    expect([coalesce({ key }).name, coalesce({ key, name: 'users' }).name]).toEqual([
      'coalesce',
      'users',
    ]);
  });

  describe('a flight', () => {
    it('is shared by the calls of a key, and ends with the answer for all', async () => {
      const layer = coalesce({ key });
      const recorder = recordEvents(layer);
      const calls = ['a', 'b', 'a', 'a'].map((key) => layer.execute(operation, { key }));
      expect(layer.flights).toBe(2);
      expect(layer.describe().state).toEqual({ flights: 2, calls: 4 });
      flights[0]?.end.resolve('A');
      flights[1]?.end.resolve('B');
      expect(await Promise.all(calls)).toEqual(['A', 'B', 'A', 'A']);
      expect(operation).toHaveBeenCalledTimes(2);
      expect(recorder.of('coalesce.joined')).toMatchObject([
        { key: 'a', waiting: 2, strategy: 'coalesce' },
        { key: 'a', waiting: 3 },
      ]);
      expect(layer.describe()).toEqual({
        type: 'coalesce',
        name: 'coalesce',
        options: { key: 'function' },
        state: { flights: 0, calls: 0 },
        counters: { alone: 0, flights: 2, joined: 2, left: 0, aborted: 0 },
      });
    });

    it('fails with the very error for all, and nothing of it is kept', async () => {
      const layer = coalesce({ key });
      const calls = [1, 2].map(() => layer.execute(operation, { key: 'a' }));
      flights[0]?.end.reject(down);
      for (const call of calls) await expect(call).rejects.toBe(down);
      const after = layer.execute(operation, { key: 'a' });
      flights[1]?.end.resolve('again');
      await expect(after).resolves.toBe('again');
    });

    it('goes by what the given function says, and by nothing else', () => {
      const layer = coalesce({ key: ({ name }) => name });
      const calls = pipeline({ key: 'orders' }, layer);
      for (const name of ['GET /a', 'GET /b', 'GET /a', undefined, undefined])
        void calls.execute(operation, { key: 'host', name });
      expect(operation).toHaveBeenCalledTimes(4);
      expect(layer.describe().counters).toMatchObject({ flights: 2, joined: 1, alone: 2 });
    });

    it('has to be told what a call asks for', () => {
      for (const given of [{}, { key: undefined }]) {
        expect(() => coalesce(given as never)).toThrow(
          /^coalesce\.key must be given: a function of the call .*, but got undefined$/,
        );
      }
    });

    it('takes in a call that its own operation makes at once', async () => {
      const layer = coalesce({ key });
      let inner: Promise<string> | undefined;
      const outer = layer.execute(
        async () => {
          inner = layer.execute(operation, { key: 'a' });
          return 'A';
        },
        { key: 'a' },
      );
      expect([await outer, await inner]).toEqual(['A', 'A']);
      expect(operation).not.toHaveBeenCalled();
      expect(layer.describe()).toMatchObject({
        state: { flights: 0, calls: 0 },
        counters: { flights: 1, joined: 1 },
      });
    });

    it('is not shared by calls without a key, nor where the key can not be had', async () => {
      const errors: unknown[] = [];
      const restore = reportErrorsTo((error) => errors.push(error));
      const throwing = coalesce({
        key: () => {
          throw down;
        },
      });
      const wrong = coalesce({ key: () => 7 as never });
      for (const layer of [coalesce({ key }), throwing, wrong]) {
        void layer.execute(operation, { name: 'get' });
        void layer.execute(operation, { name: 'get' });
        expect(layer.describe().counters).toMatchObject({ alone: 2, flights: 0 });
      }
      expect(operation).toHaveBeenCalledTimes(6);
      expect(errors).toEqual([
        down,
        down,
        ...Array(2).fill(new TypeError('key gave number instead of a string')),
      ]);
      restore();
    });

    it('has the name, key and attributes of the first call, and no deadline', async () => {
      const layer = coalesce({ key });
      const attributes = { mine: 1 } as CallAttributes;
      const options = { key: 'a', name: 'get', idempotent: true, attributes, deadline: 1_000 };
      const first = pipeline({ clock }, layer).execute(operation, options);
      expect(flights[0]?.call).toMatchObject({
        key: 'a',
        name: 'get',
        idempotent: true,
        attributes,
      });
      expect(flights[0]?.call.deadline).toBe(Infinity);
      flights[0]?.end.resolve('A');
      await first;
    });
  });

  describe('a call', () => {
    it('leaves alone when it is aborted, be it the one that began the flight', async () => {
      const layer = coalesce({ key });
      const leaving = new AbortController();
      const first = layer.execute(operation, { key: 'a', signal: leaving.signal });
      const second = layer.execute(operation, { key: 'a' });
      leaving.abort(gone);
      await expect(first).rejects.toBe(gone);
      expect(flights[0]?.call.aborted).toBe(false);
      flights[0]?.end.resolve('A');
      await expect(second).resolves.toBe('A');
      expect(layer.describe().counters).toMatchObject({ left: 1, aborted: 0 });
    });

    it('aborts the flight when it is the last to leave, and the next one begins another', async () => {
      const layer = coalesce({ key });
      const controllers = [new AbortController(), new AbortController()];
      const calls = controllers.map(({ signal }) =>
        layer.execute(operation, { key: 'a', signal }).catch((error: unknown) => error),
      );
      controllers[0]?.abort('first');
      controllers[1]?.abort(gone);
      expect(flights[0]?.call).toMatchObject({ aborted: true, reason: gone, cancelled: true });
      expect(flights[0]?.call.signal.reason).toBe(gone);
      const next = layer.execute(operation, { key: 'a' });
      expect(operation).toHaveBeenCalledTimes(2);
      flights[0]?.end.reject(down);
      // What ran gives its own answer to the abort.
      expect(await Promise.all(calls)).toEqual(['first', down]);
      flights[1]?.end.resolve('again');
      await expect(next).resolves.toBe('again');
      expect(layer.flights).toBe(0);
    });

    it('has its own deadline; the flight goes on for the others', async () => {
      const calls = pipeline({ clock }, coalesce({ key }));
      const short = calls.execute(operation, { key: 'a', deadline: 100 });
      const long = calls.execute(operation, { key: 'a', deadline: 500 });
      const settled = short.catch((error: { code?: string }) => error.code);
      await clock.advance(100);
      expect(await settled).toBe('RESIL_TIMEOUT');
      expect(flights[0]?.call.aborted).toBe(false);
      await clock.advance(100);
      flights[0]?.end.resolve('A');
      await expect(long).resolves.toBe('A');
    });

    it('that times out as the last counts as a failure further in, a cancelled one as nothing', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 1 });
      const calls = pipeline({ clock }, timeout({ duration: 100 }), coalesce({ key }), breaker);
      const honest = (call: Call): Promise<never> =>
        new Promise((_, reject) => call.onAbort(reject));
      const leaving = new AbortController();
      const left = calls.execute(honest, { key: 'a', signal: leaving.signal });
      leaving.abort(gone);
      await expect(left).rejects.toBe(gone);
      await clock.flush();
      expect(breaker.describe().counters).toMatchObject({ ignored: 1, failed: 0 });
      const late = calls.execute(honest, { key: 'a' }).catch(() => {});
      await clock.advance(100);
      await late;
      expect(breaker.describe().counters).toMatchObject({ ignored: 1, failed: 1 });
    });

    it('goes on in its own async context', async () => {
      const context = new AsyncLocalStorage<number>();
      const layer = coalesce({ key });
      const seen = [1, 2, 3].map((id) =>
        context.run(id, async () => {
          await layer.execute(operation, { key: 'a' });
          return context.getStore();
        }),
      );
      flights[0]?.end.resolve('A');
      expect(await Promise.all(seen)).toEqual([1, 2, 3]);
    });
  });

  it('never runs two flights of a key, aborts none that is awaited, and forgets all', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b'),
      act: fc.constantFrom('call', 'call', 'call', 'abort', 'end', 'fail'),
      pick: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const layer = coalesce({ key });
        const open = new Map<string, { call: Call; end: Deferred<string>; waiters: number }>();
        const waiting: { key: string; controller: AbortController }[] = [];
        const pending: Promise<unknown>[] = [];
        for (const { key, act, pick } of steps) {
          const flight = open.get(key);
          if (act === 'call') {
            const controller = new AbortController();
            const work = (call: Call): Promise<string> => {
              expect(open.has(key)).toBe(false);
              const end = deferred<string>();
              open.set(key, { call, end, waiters: 0 });
              call.onAbort(end.reject);
              return end.promise;
            };
            const { signal } = controller;
            pending.push(layer.execute(work, { key, signal }).catch(() => {}));
            (open.get(key) as { waiters: number }).waiters++;
            waiting.push({ key, controller });
          } else if (act === 'abort') {
            const mine = waiting.filter((waiter) => waiter.key === key);
            const waiter = mine[pick % Math.max(1, mine.length)];
            if (waiter === undefined || flight === undefined) continue;
            waiting.splice(waiting.indexOf(waiter), 1);
            flight.waiters--;
            waiter.controller.abort(gone);
            expect(flight.call.aborted).toBe(flight.waiters === 0);
            if (flight.waiters === 0) open.delete(key);
          } else if (flight !== undefined) {
            flight.end[act === 'end' ? 'resolve' : 'reject']('end');
            open.delete(key);
            for (const waiter of waiting.filter((each) => each.key === key))
              waiting.splice(waiting.indexOf(waiter), 1);
            await clock.flush();
          }
          expect(layer.flights).toBe(open.size);
        }
        for (const { end } of open.values()) end.resolve('end');
        await Promise.all(pending);
        expect(layer.describe().state).toEqual({ flights: 0, calls: 0 });
      }),
    );
  });
});
