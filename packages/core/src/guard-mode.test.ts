import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { adaptiveLimiter } from './adaptive-limiter.js';
import type { AdaptiveLimiterOptions } from './adaptive-limiter-options.js';
import { bulkhead } from './bulkhead.js';
import { type CircuitBreaker, circuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions } from './circuit-breaker-options.js';
import { isRefusal } from './errors.js';
import { pipeline } from './pipeline.js';
import { rateLimiter } from './rate-limiter.js';
import type { RateLimiterOptions } from './rate-limiter-options.js';
import { throttle } from './throttle.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const swallow = (): void => {};

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock({ now: 1_000 });
});

describe("mode: 'observe'", () => {
  describe('circuit breaker', () => {
    function observing(options: CircuitBreakerOptions = {}): CircuitBreaker {
      return circuitBreaker({
        clock,
        failureThreshold: 2,
        resetTimeout: 100,
        ...options,
        mode: 'observe',
      });
    }

    it('opens as ever, marks its events, and lets the calls go that it would have refused', async () => {
      const breaker = observing({ name: 'db' });
      const recorder = recordEvents(breaker);
      for (let n = 0; n < 2; n++) await breaker.execute(fail).catch(swallow);
      expect(breaker.state).toBe('open');
      const operation = vi.fn(() => 'ran');
      await expect(breaker.execute(operation)).resolves.toBe('ran');
      await expect(breaker.execute(fail)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
      expect(recorder.of('circuit.opened')).toMatchObject([{ observed: true, strategy: 'db' }]);
      expect(recorder.of('circuit.rejected')).toMatchObject([
        { observed: true, state: 'open', strategy: 'db' },
        { observed: true, state: 'open', strategy: 'db' },
      ]);
      expect(recorder.of('call.rejected')).toEqual([]);
      expect(breaker.describe()).toMatchObject({
        options: { mode: 'observe' },
        counters: { failed: 2, succeeded: 0, rejected: 0, observed: 2, late: 0 },
      });
    });

    it('counts nothing of how those calls end, not even when they end in another state', async () => {
      const breaker = observing({ failureThreshold: 1 });
      await breaker.execute(fail).catch(swallow);
      const held = Array.from({ length: 3 }, () => deferred());
      const calls = held.map(({ promise }) => breaker.execute(() => promise).catch(swallow));
      await clock.advance(100);
      await breaker.execute(() => 'probe');
      expect(breaker.state).toBe('closed');
      for (const { reject } of held) reject(down);
      await Promise.all(calls);
      expect(breaker.state).toBe('closed');
      expect(breaker.describe().counters).toMatchObject({ failed: 1, succeeded: 1, observed: 3 });
    });

    it('half-open, goes by its probes alone; the rest run uncounted', async () => {
      const breaker = observing({ failureThreshold: 1, halfOpenCalls: 1 });
      const recorder = recordEvents(breaker);
      await breaker.execute(fail).catch(swallow);
      await clock.advance(100);
      const probe = deferred();
      const probing = breaker.execute(() => probe.promise).catch(swallow);
      expect(breaker.state).toBe('half-open');
      await breaker.execute(() => 'beside');
      await breaker.execute(fail).catch(swallow);
      expect(recorder.of('circuit.rejected').map(({ state }) => state)).toEqual([
        'half-open',
        'half-open',
      ]);
      expect(breaker.state).toBe('half-open');
      probe.reject(down);
      await probing;
      expect(breaker.state).toBe('open');
      expect(breaker.describe()).toMatchObject({ state: { openings: 2 }, counters: { failed: 2 } });
    });

    it('isolated, lets calls go and tells', async () => {
      const breaker = observing();
      const recorder = recordEvents(breaker);
      breaker.isolate();
      await expect(breaker.execute(() => 1)).resolves.toBe(1);
      expect(recorder.of('circuit.isolated')).toMatchObject([{ observed: true }]);
      expect(recorder.of('circuit.rejected')).toMatchObject([
        { observed: true, state: 'isolated' },
      ]);
    });

    it('costs no event where nobody listens, and gives its events no mark where it enforces', async () => {
      const breaker = observing({ failureThreshold: 1 });
      const calls = pipeline('calls', timeout({ duration: 50 }), breaker);
      await calls.execute(fail).catch(swallow);
      await calls.execute(() => 1);
      expect(breaker.describe().counters).toMatchObject({ observed: 1 });
      const enforcing = circuitBreaker({ clock, failureThreshold: 1 });
      const recorder = recordEvents(enforcing);
      await enforcing.execute(fail).catch(swallow);
      await enforcing.execute(() => 1).catch(swallow);
      for (const event of recorder.events) expect(event).not.toHaveProperty('observed');
    });

    it('goes through the states of an enforcing one, and tells of each call that one refuses', async () => {
      const step = fc.record({
        outcome: fc.constantFrom('success', 'failure'),
        duration: fc.constantFrom(0, 0, 0, 10, 60, 150),
        pause: fc.constantFrom(0, 0, 0, 5, 50, 100),
        manual: fc.constantFrom('nothing', 'nothing', 'nothing', 'nothing', 'isolate', 'reset'),
      });
      const options = fc.constantFrom<CircuitBreakerOptions>(
        { failureThreshold: 2, resetTimeout: 100 },
        { window: { calls: 4 }, minimumCalls: 2, resetTimeout: 60, halfOpenCalls: 2 },
        { window: { duration: 200 }, minimumCalls: 3, slowCallDuration: 50, resetTimeout: 80 },
        { failureThreshold: 1, resetTimeout: 10, halfOpenCalls: 3, probeTimeout: 120 },
      );
      await fc.assert(
        fc.asyncProperty(options, fc.array(step, { maxLength: 40 }), async (given, steps) => {
          const time = new VirtualClock();
          const pair = (['enforce', 'observe'] as const).map((mode) => {
            const breaker = circuitBreaker({ clock: time, ...given, mode });
            return { breaker, recorder: recordEvents(breaker), refused: [] as number[] };
          });
          const pending: Promise<unknown>[] = [];
          for (const [index, { outcome, duration, pause, manual }] of steps.entries()) {
            const work = (): Promise<void> =>
              new Promise((resolve, reject) => {
                const end = (): void => (outcome === 'success' ? resolve() : reject(down));
                if (duration === 0) end();
                else time.schedule(end, duration);
              });
            for (const { breaker, recorder, refused } of pair) {
              if (manual !== 'nothing') breaker[manual]();
              const before = recorder.of('circuit.rejected').length;
              const call = breaker.execute(work);
              if (recorder.of('circuit.rejected').length > before) refused.push(index);
              pending.push(
                call.catch((error) => {
                  if (isRefusal(error)) expect(breaker.describe().options.mode).toBe('enforce');
                }),
              );
            }
            await time.advance(pause);
            expect(pair[1]?.breaker.state).toBe(pair[0]?.breaker.state);
          }
          expect(pair[1]?.refused).toEqual(pair[0]?.refused);
          await time.runUntilSettled(Promise.all(pending));
          const [enforced, observed] = pair.map(({ breaker }) => breaker.describe().counters);
          expect({ ...observed, observed: 0, rejected: observed?.observed }).toEqual(enforced);
        }),
      );
    });
  });

  describe('adaptive limiter', () => {
    const limiterOf = (options: AdaptiveLimiterOptions = {}) =>
      adaptiveLimiter({
        clock,
        name: 'db',
        initialLimit: 1,
        maxQueueSize: 2,
        ...options,
        mode: 'observe',
      });

    it('lets every call run at once and tells who would have waited and who been refused', async () => {
      const layer = limiterOf();
      const calls = pipeline({ clock }, layer);
      const recorder = recordEvents(calls);
      const held = Array.from({ length: 5 }, () => deferred());
      const operation = vi.fn((index: number) => held[index]?.promise);
      const running = held.map((_, index) => calls.execute(() => operation(index)));
      expect(operation).toHaveBeenCalledTimes(5);
      expect([layer.inFlight, layer.waiting, layer.limit]).toEqual([3, 0, 1]);
      expect(recorder.of('limiter.queued')).toMatchObject([
        { observed: true, strategy: 'db', limit: 1, inFlight: 1, waiting: 1 },
        { observed: true, strategy: 'db', limit: 1, inFlight: 1, waiting: 2 },
      ]);
      expect(recorder.of('limiter.rejected')).toMatchObject([
        { observed: true, strategy: 'db', reason: 'full', limit: 1, inFlight: 3, waiting: 2 },
        { observed: true, strategy: 'db', reason: 'full', limit: 1, inFlight: 3, waiting: 2 },
      ]);
      for (const { resolve } of held) resolve();
      await Promise.all(running);
      expect(layer.describe()).toMatchObject({
        options: { mode: 'observe' },
        state: { inFlight: 0, waiting: 0 },
        counters: { admitted: 3, queued: 2, rejected: 0, observed: 2 },
      });
      expect(recorder.types).not.toContain('call.rejected');
    });

    it('goes by how the calls end that would have run, and by no other', async () => {
      const layer = limiterOf({ initialLimit: 10, maxQueueSize: 0 });
      const recorder = recordEvents(layer);
      const held = Array.from({ length: 12 }, () => deferred());
      const running = held.map(({ promise }) => layer.execute(() => promise).catch(swallow));
      for (const { reject } of held.slice(10)) reject(down);
      await clock.flush();
      expect(layer.limit).toBe(10);
      held[0]?.reject(down);
      await clock.flush();
      expect(layer.limit).toBe(9);
      expect(recorder.of('limiter.limit-changed')).toMatchObject([
        { observed: true, limit: 9, previous: 10 },
      ]);
      for (const { resolve } of held) resolve();
      await Promise.all(running);
      expect(layer.inFlight).toBe(0);
    });

    it('has no queue to wait in where queueTimeout is 0, and lets calls go while it drains', async () => {
      const layer = limiterOf({ queueTimeout: 0 });
      const held = deferred();
      const calls = pipeline({ clock }, layer);
      const first = calls.execute(() => held.promise);
      calls.drain();
      expect(await calls.execute(() => 1)).toBe(1);
      expect(layer.describe().counters).toMatchObject({ admitted: 1, queued: 0, observed: 1 });
      held.resolve();
      await first;
    });
  });

  describe('bulkhead', () => {
    it('lets every call run at once and tells who would have waited and who been refused', async () => {
      const layer = bulkhead({
        name: 'db',
        maxConcurrentCalls: 1,
        maxQueueSize: 2,
        mode: 'observe',
      });
      const calls = pipeline({ clock }, layer);
      const recorder = recordEvents(calls);
      const held = Array.from({ length: 4 }, () => deferred());
      const running = held.map(({ promise }) => calls.execute(() => promise));
      expect([layer.running, layer.waiting]).toEqual([4, 0]);
      expect(recorder.of('bulkhead.queued')).toMatchObject([
        { observed: true, strategy: 'db', running: 1, waiting: 1 },
        { observed: true, strategy: 'db', running: 1, waiting: 2 },
      ]);
      expect(recorder.of('bulkhead.rejected')).toMatchObject([
        { observed: true, strategy: 'db', reason: 'full', running: 1, waiting: 2 },
      ]);
      for (const { resolve } of held) resolve();
      await Promise.all(running);
      await calls.execute(() => 1);
      expect(layer.describe()).toMatchObject({
        options: { mode: 'observe' },
        state: { running: 0, waiting: 0 },
        counters: { admitted: 5, queued: 2, rejected: 0, observed: 1 },
      });
      expect(recorder.types).not.toContain('call.rejected');
    });

    it('has no queue to wait in where queueTimeout is 0, and tells nobody where nobody listens', async () => {
      const layer = bulkhead({
        maxConcurrentCalls: 1,
        maxQueueSize: 2,
        queueTimeout: 0,
        mode: 'observe',
      });
      const held = deferred();
      const first = layer.execute(() => held.promise);
      await layer.execute(() => 1);
      expect(layer.describe().counters).toMatchObject({ admitted: 2, queued: 0, observed: 1 });
      held.resolve();
      await first;
      expect(layer.running).toBe(0);
    });
  });

  describe('rate limiter', () => {
    it('lets every call go at once and tells who would have waited and who been refused', async () => {
      const layer = rateLimiter({
        clock,
        name: 'api',
        maxCalls: 10,
        maxQueueSize: 2,
        mode: 'observe',
      });
      const recorder = recordEvents(layer);
      const operation = vi.fn();
      for (let n = 0; n < 4; n++) await layer.execute(operation);
      expect(operation).toHaveBeenCalledTimes(4);
      expect(clock.pending).toBe(0);
      expect(recorder.of('rate-limit.queued')).toMatchObject([
        { observed: true, strategy: 'api', waiting: 1 },
        { observed: true, strategy: 'api', waiting: 2 },
      ]);
      expect(recorder.of('rate-limit.rejected')).toMatchObject([
        { observed: true, strategy: 'api', reason: 'full', waiting: 2 },
      ]);
      expect(layer.describe()).toMatchObject({
        options: { mode: 'observe' },
        state: { waiting: 0, available: 0, delay: 300 },
        counters: { admitted: 4, queued: 2, rejected: 0, observed: 1 },
      });
      await clock.advance(300);
      expect([layer.available, layer.delay]).toEqual([1, 0]);
    });

    it('decides as an enforcing one whose calls wait', async () => {
      const options = fc.constantFrom<RateLimiterOptions>(
        { maxCalls: 10, queueTimeout: Infinity, maxQueueSize: 3 },
        { maxCalls: 10, queueTimeout: 250, burstSize: 3 },
        { maxCalls: 4, queueTimeout: Infinity, maxQueueSize: 20, burstSize: 2 },
      );
      const step = fc.record({
        pause: fc.constantFrom(0, 0, 0, 50, 100, 130, 700),
        time: fc.constantFrom(Infinity, Infinity, 120),
        hint: fc.constantFrom(
          undefined,
          undefined,
          undefined,
          { retryAfter: 170 },
          { quotas: [{ remaining: 2, resetDelay: 900 }] },
        ),
      });
      await fc.assert(
        fc.asyncProperty(options, fc.array(step, { maxLength: 30 }), async (given, steps) => {
          const time = new VirtualClock();
          const hinted = given.queueTimeout === Infinity;
          const decisions = (['enforce', 'observe'] as const).map((mode) => {
            const layer = rateLimiter({ clock: time, ...given, mode });
            return { layer, recorder: recordEvents(layer), ran: 0 };
          });
          const pending: Promise<unknown>[] = [];
          for (const { pause, time: left, hint } of steps) {
            const deadline = hinted ? Infinity : time.now() + left;
            for (const each of decisions) {
              if (hint !== undefined && hinted) each.layer.slowDown(hint);
              pending.push(each.layer.execute(() => each.ran++, { deadline }).catch(swallow));
            }
            await time.advance(pause);
            const [enforced, observed] = decisions.map(({ layer }) => layer.delay);
            expect(observed).toBeCloseTo(enforced as number, 3);
          }
          await time.runUntilSettled(Promise.all(pending));
          const [enforced, observed] = decisions.map(({ recorder }) => [
            recorder.of('rate-limit.queued').map(({ waiting }) => waiting),
            recorder.of('rate-limit.rejected').map(({ reason, waiting }) => [reason, waiting]),
          ]);
          expect(observed).toEqual(enforced);
          expect(decisions[1]?.ran).toBe(steps.length);
        }),
      );
    });
  });

  describe('throttle', () => {
    it('refuses nobody, tells what an enforcing one refuses, and looks back on the same', async () => {
      const pair = (['enforce', 'observe'] as const).map((mode) => {
        const layer = throttle({ clock, name: 'api', random: seededRandom(7), mode });
        return { layer, recorder: recordEvents(layer), ran: 0 };
      });
      for (let n = 0; n < 300; n++) {
        for (const each of pair) {
          const operation = (): Promise<void> => {
            each.ran++;
            return n % 4 === 0 ? Promise.resolve() : fail();
          };
          await each.layer.execute(operation).catch(swallow);
        }
        expect(pair[1]?.layer.rejectionRatio).toBe(pair[0]?.layer.rejectionRatio);
        await clock.advance(100);
      }
      const [enforced, observed] = pair.map(({ recorder }) => recorder.of('throttle.rejected'));
      expect(enforced?.length).toBeGreaterThan(20);
      expect(observed?.map(({ at, rejectionRatio }) => [at, rejectionRatio])).toEqual(
        enforced?.map(({ at, rejectionRatio }) => [at, rejectionRatio]),
      );
      for (const event of observed ?? [])
        expect(event).toMatchObject({ observed: true, strategy: 'api' });
      for (const event of enforced ?? []) expect(event).not.toHaveProperty('observed');
      const refused = enforced?.length as number;
      expect(pair.map(({ ran }) => ran)).toEqual([300 - refused, 300]);
      const [strict, lenient] = pair.map(({ layer }) => layer.describe().counters);
      expect(strict).toMatchObject({ rejected: refused, observed: 0 });
      expect(lenient).toEqual({ ...strict, rejected: 0, observed: refused });
    });
  });
});
