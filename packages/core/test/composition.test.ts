import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  type Call,
  cache,
  circuitBreaker,
  coalesce,
  failover,
  fallback,
  hedge,
  isResilienceError,
  keyed,
  pipeline,
  retry,
  retryBudget,
  standard,
  timeout,
} from '../src/index.js';
import { deferred } from './deferred.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

const again = (maxAttempts: number, baseDelay = 100) =>
  retry({ maxAttempts, baseDelay, backoff: 'constant', jitter: 'none' });

/** An operation that fails by the call's attempt number, so many times. */
const failing = (times: number) =>
  vi.fn(({ attempt }: Call) => (attempt <= times ? fail() : `attempt ${attempt}`));
const key = (call: Call): string | undefined => call.key;
const hang = (): Promise<never> => new Promise(() => {});

describe('composition', () => {
  describe('retry > timeout', () => {
    it('gives each attempt its own time, and repeats what was too slow', async () => {
      const calls = pipeline({ clock }, again(3), timeout({ duration: 1_000 }));
      const recorder = recordEvents(calls);
      const signals: AbortSignal[] = [];
      const operation = vi.fn(({ attempt, signal }: Call) => {
        signals.push(signal);
        return attempt < 3 ? hang() : 'third';
      });
      await expect(clock.runUntilSettled(calls.execute<string>(operation))).resolves.toBe('third');
      expect(operation).toHaveBeenCalledTimes(3);
      expect(clock.now()).toBe(2_200);
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false]);
      expect(recorder.events.map(({ type, attempt, at }) => [type, attempt, at])).toEqual([
        ['call.started', 1, 0],
        ['timeout.expired', 1, 1_000],
        ['retry.scheduled', 1, 1_000],
        ['timeout.expired', 2, 2_100],
        ['retry.scheduled', 2, 2_100],
        ['call.succeeded', 1, 2_200],
      ]);
    });

    it('gives the last timeout itself when the attempts run out', async () => {
      const calls = pipeline({ clock }, again(2), timeout({ duration: 1_000 }));
      await expect(clock.runUntilSettled(calls.execute(hang))).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
        timeout: 1_000,
      });
      expect(clock.now()).toBe(2_100);
    });
  });

  describe('timeout > retry', () => {
    it('limits all attempts and delays together', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 1_000 }), again(9, 300));
      const operation = vi.fn(
        () => new Promise((_, reject) => clock.schedule(() => reject(down), 200)),
      );
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toBe(down);
      // Attempts at 0 and 500 ms; the delay after the second would end at the deadline.
      expect([operation.mock.calls.length, clock.now()]).toEqual([2, 700]);
    });

    it('ends an attempt that runs, and none follows', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 1_000 }), again(9));
      const operation = vi.fn(hang);
      const call = calls.execute(operation);
      await clock.advance(1_000);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      await clock.advance(60_000);
      expect(operation).toHaveBeenCalledTimes(1);
      expect(clock.pending).toBe(0);
    });
  });

  describe('retry > circuitBreaker', () => {
    it('counts every attempt, and stops when the circuit opens', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2, resetTimeout: 60_000 });
      const calls = pipeline(again(5), breaker);
      const operation = vi.fn(fail);
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
      });
      expect([operation.mock.calls.length, clock.now()]).toEqual([2, 200]);
    });
  });

  describe('circuitBreaker > retry', () => {
    it('counts the call once, by its last attempt', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2 });
      const calls = pipeline(breaker, again(3));
      await clock.runUntilSettled(calls.execute(failing(2)));
      await clock.runUntilSettled(calls.execute(fail)).catch(() => {});
      expect(breaker.state).toBe('closed');
      await clock.runUntilSettled(calls.execute(fail)).catch(() => {});
      expect(breaker.state).toBe('open');
    });
  });

  describe('retry > hedge', () => {
    const idempotent = { idempotent: true } as const;

    it('counts a call once in the budget that they share, and repeats what all attempts failed in', async () => {
      const budget = retryBudget({ clock, ratio: 1, minPerSecond: 1 });
      const before = budget.balance;
      const calls = pipeline(
        retry({ maxAttempts: 2, baseDelay: 100, jitter: 'none', budget }),
        hedge({ delay: 50, budget }),
      );
      const recorder = recordEvents(calls);
      const operation = vi.fn(fail);
      await expect(clock.runUntilSettled(calls.execute(operation, idempotent))).rejects.toBe(down);
      // Two attempts of the retry, each with a hedge at once after its failure.
      expect([operation.mock.calls.length, clock.now()]).toEqual([4, 100]);
      expect(budget.balance).toBe(before + 1 - 3);
      expect(recorder.types).toEqual([
        'call.started',
        'hedge.started',
        'retry.scheduled',
        'hedge.started',
        'retry.exhausted',
        'call.failed',
      ]);
    });

    it('stops both when it is empty', async () => {
      const budget = retryBudget({ clock, ratio: 0, minPerSecond: 0.1 });
      const calls = pipeline(
        retry({ maxAttempts: 5, baseDelay: 100, budget }),
        hedge({ delay: 50, maxHedges: 5, budget }),
      );
      const recorder = recordEvents(calls);
      const operation = vi.fn(fail);
      await expect(clock.runUntilSettled(calls.execute(operation, idempotent))).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(2);
      expect(recorder.of('budget.exhausted').map(({ wanted, reason }) => [wanted, reason])).toEqual(
        [
          ['hedge', 'window'],
          ['retry', 'window'],
        ],
      );
    });
  });

  describe('hedge > retry', () => {
    it('ends the backoff of the attempt that lost', async () => {
      const calls = pipeline({ clock }, hedge({ delay: 50, budget: false }), again(3, 1_000));
      let runs = 0;
      const operation = vi.fn(() => (++runs === 1 ? fail() : 'second'));
      const call = calls.execute(operation, { idempotent: true });
      expect(await clock.runUntilSettled(call)).toBe('second');
      expect(clock.now()).toBe(50);
      await clock.advance(10_000);
      expect([operation.mock.calls.length, clock.pending]).toEqual([2, 0]);
    });
  });

  describe('hedge > timeout', () => {
    it('starts the next attempt when one is cut short', async () => {
      const calls = pipeline(
        { clock },
        hedge({ delay: Infinity, budget: false }),
        timeout({ duration: 100 }),
      );
      const operation = vi.fn(({ attempt }: Call) => (attempt === 1 ? hang() : 'second'));
      const call = calls.execute<unknown>(operation, { idempotent: true });
      expect(await clock.runUntilSettled(call)).toBe('second');
      expect(clock.now()).toBe(100);
    });
  });

  describe('fallback > hedge', () => {
    it('answers when all attempts have failed', async () => {
      const calls = pipeline(
        { clock },
        fallback(() => 'instead'),
        hedge({ delay: 50 }),
      );
      const operation = vi.fn(fail);
      expect(
        await clock.runUntilSettled(calls.execute<unknown>(operation, { idempotent: true })),
      ).toBe('instead');
      expect(operation).toHaveBeenCalledTimes(2);
    });
  });

  describe('pipeline > hedge in a nested pipeline', () => {
    it('hedges, under the name of the nested one', async () => {
      const inner = pipeline('inner', hedge({ delay: 50, budget: false }));
      const calls = pipeline({ name: 'outer', clock }, timeout({ duration: 1_000 }), inner);
      const recorder = recordEvents(calls);
      const operation = ({ attempt }: Call) => (attempt === 1 ? hang() : 'second');
      const call = calls.execute<unknown>(operation, { idempotent: true });
      expect(await clock.runUntilSettled(call)).toBe('second');
      expect(recorder.of('hedge.won')).toMatchObject([{ pipeline: 'inner', attempt: 2, at: 50 }]);
    });
  });

  describe('retry > bulkhead', () => {
    it('holds no permit in the backoff', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1 });
      const call = pipeline({ clock }, again(2), limit).execute(failing(1));
      await clock.flush();
      expect(limit.running).toBe(0);
      await expect(clock.runUntilSettled(call)).resolves.toBe('attempt 2');
    });
  });

  describe('bulkhead > retry', () => {
    it('holds its permit through the backoff', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1 });
      const call = pipeline({ clock }, limit, again(2)).execute(failing(1));
      await clock.flush();
      expect(limit.running).toBe(1);
      await expect(clock.runUntilSettled(call)).resolves.toBe('attempt 2');
      expect(limit.running).toBe(0);
    });
  });

  describe('fallback > retry > circuitBreaker', () => {
    it('answers when all attempts have failed, and while the circuit is open', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2, resetTimeout: 60_000 });
      const fn = vi.fn((error: unknown) => (isResilienceError(error) ? error.code : 'failed'));
      const calls = pipeline(fallback(fn), again(2), breaker);
      const operation = vi.fn(fail);
      expect(await clock.runUntilSettled(calls.execute<unknown>(operation))).toBe('failed');
      expect(await calls.execute<unknown>(operation)).toBe('RESIL_CIRCUIT_OPEN');
      expect([fn.mock.calls.length, operation.mock.calls.length]).toEqual([2, 2]);
    });
  });

  describe('retry > fallback', () => {
    it('repeats nothing that the fallback answered', async () => {
      const operation = vi.fn(fail);
      const calls = pipeline(
        again(3),
        fallback(() => 'instead'),
      );
      await expect(calls.execute<unknown>(operation)).resolves.toBe('instead');
      expect(operation).toHaveBeenCalledTimes(1);
    });
  });

  describe('circuitBreaker > fallback', () => {
    it('sees the answer of the fallback, not the failure', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      await pipeline(
        breaker,
        fallback(() => 'instead'),
      ).execute(fail);
      expect(breaker.state).toBe('closed');
    });
  });

  describe('timeout > bulkhead > timeout', () => {
    it('frees the permit when the inner one expires, and keeps it when the outer one does', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      const calls = pipeline(
        { clock },
        timeout({ duration: 150, name: 'outer' }),
        limit,
        timeout({ duration: 100, name: 'inner' }),
      );
      const first = calls.execute(hang);
      const second = calls.execute(hang);
      await clock.advance(100);
      await expect(first).rejects.toMatchObject({ strategy: 'inner' });
      expect([limit.running, limit.waiting]).toEqual([1, 0]);
      await clock.advance(50);
      await expect(second).rejects.toMatchObject({ strategy: 'outer' });
      // The work of the second has not ended; nobody else may begin.
      expect(limit.running).toBe(1);
    });
  });

  describe('nested pipelines', () => {
    it('stand for their layers: the same attempts, times and permits', async () => {
      const limit = bulkhead();
      const flat = pipeline(
        { clock },
        timeout({ duration: 900 }),
        again(3),
        limit,
        timeout({ duration: 200 }),
      );
      const nested = pipeline(
        { clock },
        pipeline(timeout({ duration: 900 }), pipeline(again(3))),
        pipeline(limit),
        pipeline(pipeline(timeout({ duration: 200 }))),
      );
      const results: unknown[] = [];
      for (const calls of [flat, nested]) {
        const start = clock.now();
        const operation = vi.fn(({ attempt }: Call) => (attempt === 2 ? fail() : hang()));
        const error = await clock
          .runUntilSettled(calls.execute<unknown>(operation))
          .catch((reason: unknown) => reason);
        results.push([operation.mock.calls.length, clock.now() - start, error]);
        expect(limit.running).toBe(0);
      }
      expect(results[0]).toMatchObject([3, 600, { code: 'RESIL_TIMEOUT', timeout: 200 }]);
      expect(results[1]).toEqual(results[0]);
    });

    it('speak under their own names, and the outer one hears them too', async () => {
      const inner = pipeline({ name: 'inner', key: 'i' }, again(2, 10));
      const outer = pipeline(
        { name: 'outer', clock },
        again(2, 100),
        inner,
        timeout({ duration: 5 }),
      );
      const [heardInside, heardOutside] = [recordEvents(inner), recordEvents(outer)];
      const call = outer.execute(({ key }) => (key === undefined ? hang() : fail()));
      await clock.runUntilSettled(call).catch(() => {});
      expect(heardOutside.events.map(({ type, pipeline: name, key }) => [type, name, key])).toEqual(
        [
          ['call.started', 'outer', undefined],
          ['timeout.expired', 'outer', undefined],
          ['retry.scheduled', 'inner', 'i'],
          ['timeout.expired', 'outer', undefined],
          ['retry.exhausted', 'inner', 'i'],
          ['retry.scheduled', 'outer', undefined],
          ['timeout.expired', 'outer', undefined],
          ['retry.scheduled', 'inner', 'i'],
          ['timeout.expired', 'outer', undefined],
          ['retry.exhausted', 'inner', 'i'],
          ['retry.exhausted', 'outer', undefined],
          ['call.failed', 'outer', undefined],
        ],
      );
      expect(heardInside.types).toEqual([
        'retry.scheduled',
        'retry.exhausted',
        'retry.scheduled',
        'retry.exhausted',
      ]);
    });

    it('without a name speak under that of the outer one', async () => {
      const outer = pipeline({ name: 'outer', key: 'o', clock }, pipeline(again(2)));
      const recorder = recordEvents(outer);
      await clock.runUntilSettled(outer.execute(fail)).catch(() => {});
      expect(recorder.of('retry.scheduled')).toMatchObject([{ pipeline: 'outer', key: 'o' }]);
    });

    it('ask their own classify, else that of the outer one', async () => {
      const asked: string[] = [];
      const asking = (name: string) => () => {
        asked.push(name);
        return 'ignored' as const;
      };
      const breaker = () => circuitBreaker({ clock, failureThreshold: 1 });
      const [outside, own, none] = [breaker(), breaker(), breaker()];
      const calls = pipeline(
        { clock, classify: asking('outer') },
        outside,
        pipeline({ classify: asking('inner') }, own),
        pipeline(none),
      );
      await expect(calls.execute(fail)).rejects.toBe(down);
      expect(asked).toEqual(['outer', 'inner', 'outer']);
      expect([outside, own, none].map(({ state }) => state)).toEqual([
        'closed',
        'closed',
        'closed',
      ]);
    });

    it('work on their own too, and then only they hear it', async () => {
      const inner = pipeline('inner', again(2));
      const outer = pipeline({ name: 'outer' }, inner);
      const heard = recordEvents(outer);
      await expect(inner.execute(() => 'alone')).resolves.toBe('alone');
      expect(heard.events).toEqual([]);
    });

    it('share their state between all that they stand in', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2, resetTimeout: 1_000 });
      const shared = pipeline('shared', breaker);
      const [reads, writes] = [pipeline('reads', shared), pipeline('writes', again(1), shared)];
      await reads.execute(fail).catch(() => {});
      await writes.execute(fail).catch(() => {});
      for (const calls of [reads, writes, shared]) {
        await expect(calls.execute(() => 1)).rejects.toMatchObject({ code: 'RESIL_CIRCUIT_OPEN' });
      }
    });

    it('carry aborts, deadlines and attempts through', async () => {
      const controller = new AbortController();
      const calls = pipeline(
        { clock },
        again(2),
        pipeline('a', timeout({ duration: 500 }), pipeline('b', bulkhead())),
      );
      const seen: unknown[] = [];
      const call = calls.execute(
        ({ attempt, deadline, signal, name }) => {
          seen.push([attempt, deadline, name]);
          if (attempt === 1) return fail();
          return new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          });
        },
        { signal: controller.signal, name: 'get' },
      );
      await clock.advance(100);
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(seen).toEqual([
        [1, 500, 'get'],
        [2, 600, 'get'],
      ]);
    });

    it('can be called inside the operation of another, each call by itself', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 2 });
      const calls = pipeline({ clock }, again(2), limit);
      const result = await calls.execute(async (outer) => {
        const inner = await calls.execute((call) => call.attempt);
        return [outer.attempt, inner, limit.running];
      });
      expect(result).toEqual([1, 1, 1]);
      expect(limit.running).toBe(0);
    });
  });

  describe('shared guards', () => {
    it('count the calls of all pipelines together', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 2, maxQueueSize: 1 });
      const [reads, writes] = [pipeline({ clock }, limit), pipeline({ clock }, again(1), limit)];
      const held = deferred<string>();
      const calls = [reads, writes, reads].map((one) => one.execute(() => held.promise));
      expect([limit.running, limit.waiting]).toEqual([2, 1]);
      await expect(writes.execute(() => 1)).rejects.toMatchObject({ code: 'RESIL_BULKHEAD_FULL' });
      held.resolve('done');
      expect(await Promise.all(calls)).toEqual(['done', 'done', 'done']);
    });

    it('that stand twice in one pipeline take two permits and give both back', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 2 });
      const calls = pipeline(limit, limit);
      await calls.execute(() => expect(limit.running).toBe(2));
      expect(limit.running).toBe(0);
    });
  });

  describe('a pattern alone', () => {
    it('does the same as in a pipeline of itself', async () => {
      const alone = again(3);
      expect(await retry({ clock, jitter: 'none' }).execute(() => 'up')).toBe('up');
      const wrapped = bulkhead().wrap(async (id: number) => id + 1);
      await expect(wrapped(1)).resolves.toBe(2);
      const admission = await bulkhead().admit({ key: 'k' });
      expect(admission.call.key).toBe('k');
      admission.settle({ ok: true, value: 1 });
      const recorder = recordEvents(alone);
      await alone.execute(() => 1);
      expect(recorder.events).toMatchObject([
        { type: 'call.started', pipeline: 'retry' },
        { type: 'call.succeeded', pipeline: 'retry' },
      ]);
    });

    it('that an option brings along stands beside it', async () => {
      const calls = pipeline(
        { clock },
        circuitBreaker({ clock, failureThreshold: 1, fallbackFn: () => 'instead' }),
        bulkhead({ timeout: 100 }),
      );
      const call = calls.execute<unknown>(hang);
      await clock.advance(100);
      await expect(call).resolves.toBe('instead');
    });
  });

  describe('keyed > standard', () => {
    it('protects each key by itself', async () => {
      const shards = keyed(
        (key) =>
          standard({
            clock,
            random: seededRandom(1),
            name: 'shards',
            key,
            circuitBreaker: { failureThreshold: 3 },
          }),
        { clock },
      );
      const operation = vi.fn(fail);
      const bad = shards.execute('bad', operation);
      await expect(clock.runUntilSettled(bad)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(3);
      await expect(shards.execute('bad', () => 1)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
        strategy: 'shards',
      });
      await expect(shards.execute('good', () => 1)).resolves.toBe(1);
    });
  });

  describe('retry > failover > timeout', () => {
    it('repeats what was too slow at the next endpoint, with the time that is left', async () => {
      const calls = pipeline(
        { clock },
        timeout({ duration: 2_500, name: 'total' }),
        again(3),
        failover({ endpoints: ['a', 'b', 'c'].map((target, priority) => ({ target, priority })) }),
        timeout({ duration: 1_000 }),
      );
      const seen: unknown[] = [];
      const operation = (call: Call): Promise<never> => {
        seen.push([call.endpoint?.name, call.attempt, call.remaining()]);
        return hang();
      };
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
        strategy: 'total',
      });
      expect(seen).toEqual([
        ['a', 1, 1_000],
        ['b', 2, 1_000],
        ['c', 3, 300],
      ]);
    });
  });

  describe('hedge > failover', () => {
    it('runs the second copy at another endpoint, and aborts the one that lost', async () => {
      const layer = failover({
        endpoints: ['a', 'b'].map((target, priority) => ({ target, priority })),
        outlierDetection: { failureThreshold: 1 },
      });
      const calls = pipeline({ clock }, hedge({ delay: 50, budget: false }), layer);
      const reasons: unknown[] = [];
      const operation = async (call: Call): Promise<string> => {
        if (call.endpoint?.name === 'b') return 'b';
        return new Promise((_, reject) => {
          call.onAbort((reason) => {
            reasons.push(reason);
            reject(reason);
          });
        });
      };
      const answer = calls.execute(operation, { idempotent: true });
      await expect(clock.runUntilSettled(answer)).resolves.toBe('b');
      await clock.flush();
      expect(clock.now()).toBe(50);
      expect(reasons).toHaveLength(1);
      // The copy that lost says nothing about its endpoint.
      expect(layer.endpoints.map(({ state, running }) => [state, running])).toEqual([
        ['available', 0],
        ['available', 0],
      ]);
    });
  });

  describe('fallback > failover > circuitBreaker of each endpoint', () => {
    it('falls back only when every endpoint has failed or refused', async () => {
      const layer = failover({
        endpoints: ['a', 'b'].map((target, priority) => ({ target, priority })),
        layers: ({ name }) => [circuitBreaker({ name, clock, failureThreshold: 1 })],
        moveOn: () => true,
        outlierDetection: false,
      });
      const calls = pipeline(
        { clock },
        fallback(() => 'last known'),
        layer,
      );
      const operation = vi.fn((call: Call) => (call.endpoint?.name === 'a' ? fail() : 'b'));
      await expect(calls.execute<string>(operation)).resolves.toBe('b');
      await expect(calls.execute<string>(operation)).resolves.toBe('b');
      expect(operation).toHaveBeenCalledTimes(3);
      operation.mockImplementation(fail);
      await expect(calls.execute<string>(operation)).resolves.toBe('last known');
      await expect(calls.execute<string>(operation)).resolves.toBe('last known');
      expect(operation).toHaveBeenCalledTimes(4);
    });
  });

  describe('keyed failovers', () => {
    it('eject for their own key alone', async () => {
      const shards = keyed(
        (key) =>
          standard({
            key,
            clock,
            retry: false,
            failover: { endpoints: ['a', { target: 'b', priority: 1 }] },
          }),
        { clock },
      );
      const downForOne = async (call: Call) => {
        if (call.key === 'one' && call.endpoint?.name === 'a') throw down;
        return call.endpoint?.name;
      };
      for (let times = 0; times < 5; times++)
        await shards.execute('one', downForOne).catch(() => {});
      await expect(shards.execute('one', downForOne)).resolves.toBe('b');
      await expect(shards.execute('two', downForOne)).resolves.toBe('a');
    });
  });

  it('in any order gives the value, gives every permit back and leaves no timer', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const layers = [
      () => timeout({ duration: 5_000 }),
      () => again(3),
      () => circuitBreaker({ clock, failureThreshold: 100 }),
      () => limit,
      () => fallback((error) => Promise.reject(error)),
    ];
    for (const order of permutations(layers)) {
      const calls = pipeline({ clock }, ...order.map((layer) => layer()));
      const operation = failing(2);
      const call = calls.execute<unknown>(operation);
      await expect(clock.runUntilSettled(call)).resolves.toBe('attempt 3');
      expect([operation.mock.calls.length, limit.running]).toEqual([3, 0]);
      await expect(clock.runUntilSettled(calls.execute(fail))).rejects.toBe(down);
      expect(limit.running).toBe(0);
    }
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  describe('cache > coalesce > circuitBreaker', () => {
    it('asks once for all who miss, and answers from memory while the circuit is open', async () => {
      const calls = pipeline(
        cache({ key, clock, freshDuration: 100, staleIfErrorDuration: 1_000 }),
        coalesce({ key }),
        circuitBreaker({ clock, failureThreshold: 1 }),
      );
      const operation = vi.fn(async () => 'answer');
      const many = [1, 2, 3].map(() => calls.execute(operation, { key: 'a' }));
      expect(await Promise.all(many)).toEqual(['answer', 'answer', 'answer']);
      expect(operation).toHaveBeenCalledTimes(1);
      await clock.advance(100);
      expect(await calls.execute(fail, { key: 'a' })).toBe('answer');
      expect(await calls.execute(operation, { key: 'a' })).toBe('answer');
      await expect(calls.execute(operation, { key: 'b' })).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
      });
      expect(operation).toHaveBeenCalledTimes(1);
    });
  });

  describe('timeout > coalesce > retry > bulkhead', () => {
    it('retries once for all, takes one permit, and each caller has its own time', async () => {
      const budget = retryBudget({ clock });
      const permits = bulkhead({ maxConcurrentCalls: 1 });
      const calls = pipeline(
        { clock },
        timeout({ duration: 250 }),
        coalesce({ key }),
        retry({ maxAttempts: 3, baseDelay: 100, backoff: 'constant', jitter: 'none', budget }),
        permits,
      );
      const operation = failing(2);
      const early = calls.execute<string>(operation, { key: 'a' });
      await clock.advance(60);
      const late = calls.execute<string>(operation, { key: 'a', deadline: clock.now() + 100 });
      const refused = late.catch((error: unknown) => isResilienceError(error) && error.code);
      await expect(clock.runUntilSettled(refused)).resolves.toBe('RESIL_TIMEOUT');
      expect(clock.now()).toBe(160);
      await expect(clock.runUntilSettled(early)).resolves.toBe('attempt 3');
      expect(clock.now()).toBe(200);
      expect(operation).toHaveBeenCalledTimes(3);
      expect(budget.describe().counters).toEqual({ deposits: 1, withdrawals: 2, refused: 0 });
      expect(permits.running).toBe(0);
    });

    it('aborts the retries when the last caller has run out of time', async () => {
      const shared = coalesce({ key });
      const calls = pipeline({ clock }, timeout({ duration: 150 }), shared, again(5));
      const operation = failing(5);
      const settled = Promise.allSettled([1, 2].map(() => calls.execute(operation, { key: 'a' })));
      await clock.runUntilSettled(settled);
      expect(clock.now()).toBe(150);
      await clock.advance(1_000);
      expect(operation).toHaveBeenCalledTimes(2);
      expect([shared.flights, clock.pending]).toEqual([0, 0]);
    });
  });
});

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((one, index) =>
    permutations(list.toSpliced(index, 1)).map((rest) => [one, ...rest]),
  );
}
