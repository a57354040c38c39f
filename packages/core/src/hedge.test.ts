import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { AttemptBudget } from './attempt-budget.js';
import { bulkhead } from './bulkhead.js';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { HedgeLostError } from './errors.js';
import { Hedge, type HedgeOptions, hedge, hedgeDefaults } from './hedge.js';
import type { Outcome, Verdict } from './outcome.js';
import { type Pipeline, pipeline } from './pipeline.js';
import { retryBudget } from './retry-budget.js';
import { timeout } from './timeout.js';
import { tokenBudget } from './token-budget.js';

const down = new Error('down');
const idempotent = { idempotent: true } as const;

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** How one attempt ends: after so long, with a value or an error. */
type Script = readonly [after: number, result: unknown];

/** Attempts that end as the script says, in order; those aborted before end with the reason. */
function scripted(...scripts: readonly Script[]) {
  const calls: Call[] = [];
  const startedAt: number[] = [];
  const operation = vi.fn((call: Call) => {
    const [after, result] = scripts[calls.length] ?? [Infinity, 'never'];
    calls.push(call);
    startedAt.push(clock.now());
    return new Promise<unknown>((resolve, reject) => {
      const cancel = clock.schedule(() => {
        if (result instanceof Error) reject(result);
        else resolve(result);
      }, after);
      call.onAbort((reason) => {
        cancel();
        reject(reason);
      });
    });
  });
  return { operation, calls, startedAt };
}

/** A hedge with a given delay and no limit, alone in a pipeline. */
function hedged(options: HedgeOptions = {}): Pipeline {
  return pipeline('reads', hedge({ delay: 50, budget: false, clock, ...options }));
}

describe('hedge', () => {
  it('gives an instance of its class', () => {
    const layer = hedge();
    expect(layer).toBeInstanceOf(Hedge);
    expect([layer.name, layer.delay, layer.calls, layer.hedges, layer.wins]).toEqual([
      'hedge',
      Infinity,
      0,
      0,
      0,
    ]);
    expect(hedge({ delay: 30 }).delay).toBe(30);
  });

  describe('with a given delay', () => {
    it('starts none when the first attempt answers in time', async () => {
      const { operation } = scripted([49, 'first']);
      const call = hedged().execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('first');
      expect([operation.mock.calls.length, clock.now()]).toEqual([1, 49]);
      await clock.advance(1_000);
      expect([operation.mock.calls.length, clock.pending]).toEqual([1, 0]);
    });

    it('takes the answer of the hedge, and aborts the first attempt', async () => {
      const calls = hedged();
      const recorder = recordEvents(calls);
      const { operation, calls: attempts } = scripted([500, 'first'], [20, 'second']);
      const result = calls.execute(operation, idempotent);
      expect(await clock.runUntilSettled(result)).toBe('second');
      expect(clock.now()).toBe(70);
      expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2]);
      expect(attempts.map(({ aborted }) => aborted)).toEqual([true, false]);
      expect(attempts[0]?.reason).toBeInstanceOf(HedgeLostError);
      expect(attempts[0]?.reason).toMatchObject({ code: 'RESIL_HEDGE_LOST', strategy: 'hedge' });
      expect(attempts[0]?.cancelled).toBe(false);
      expect(recorder.events.map(({ type, attempt, at }) => [type, attempt, at])).toEqual([
        ['call.started', 1, 0],
        ['hedge.started', 2, 50],
        ['hedge.lost', 1, 70],
        ['hedge.won', 2, 70],
        ['call.succeeded', 1, 70],
      ]);
      expect(recorder.of('hedge.started')[0]).toMatchObject({
        strategy: 'hedge',
        hedge: 1,
        reason: 'delay',
        delay: 50,
      });
      expect(recorder.of('hedge.lost')[0]).toMatchObject({ hedge: 0, duration: 70 });
      expect(recorder.of('hedge.won')[0]).toMatchObject({ hedge: 1, duration: 20 });
    });

    it('takes the answer of the first attempt if that comes first, and aborts the hedge', async () => {
      const calls = hedged();
      const recorder = recordEvents(calls);
      const { operation, calls: attempts } = scripted([60, 'first'], [500, 'second']);
      expect(await clock.runUntilSettled(calls.execute(operation, idempotent))).toBe('first');
      expect(attempts.map(({ aborted }) => aborted)).toEqual([false, true]);
      expect(recorder.of('hedge.won')).toEqual([]);
      expect(recorder.of('hedge.lost')[0]).toMatchObject({ attempt: 2, hedge: 1, duration: 10 });
    });

    it('never aborts the signal of the attempt that answered', async () => {
      const controller = new AbortController();
      const signals: AbortSignal[] = [];
      const call = hedged().execute(
        ({ signal, attempt }) => {
          signals.push(signal);
          return attempt === 2 ? 'second' : new Promise(() => {});
        },
        { ...idempotent, signal: controller.signal },
      );
      expect(await clock.runUntilSettled(call)).toBe('second');
      controller.abort('later');
      expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    });

    it('starts all attempts at once with a delay of 0', async () => {
      const { operation, startedAt } = scripted([30, 'first'], [20, 'second'], [10, 'third']);
      const call = hedged({ delay: 0, maxHedges: 2 }).execute(operation, idempotent);
      expect(operation).toHaveBeenCalledTimes(3);
      expect(await clock.runUntilSettled(call)).toBe('third');
      expect(startedAt).toEqual([0, 0, 0]);
    });

    it('starts one only after a failure with a delay of Infinity', async () => {
      const { operation, startedAt } = scripted([5_000, down], [10, 'second']);
      const call = hedged({ delay: Infinity }).execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('second');
      expect(startedAt).toEqual([0, 5_000]);
    });

    it('does not start one when the deadline comes before the delay is over', async () => {
      const { operation } = scripted();
      const call = hedged().execute(operation, { ...idempotent, deadline: 50 });
      await expect(clock.runUntilSettled(call)).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect([operation.mock.calls.length, clock.now()]).toEqual([1, 50]);
    });

    it('ends all attempts at the deadline', async () => {
      const { operation, calls } = scripted();
      const call = hedged({ maxHedges: 5 }).execute(operation, { ...idempotent, deadline: 120 });
      await expect(clock.runUntilSettled(call)).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(calls.map(({ aborted }) => aborted)).toEqual([true, true, true]);
      await clock.advance(1_000);
      expect([operation.mock.calls.length, clock.pending]).toEqual([3, 0]);
    });
  });

  describe('after a failed attempt', () => {
    it('starts the next one at once, and the schedule goes on from there', async () => {
      const calls = hedged({ maxHedges: 3, delay: 500 });
      const recorder = recordEvents(calls);
      const { operation, startedAt } = scripted([100, down], [2_000, 'b'], [2_000, 'c'], [1, 'd']);
      expect(await clock.runUntilSettled(calls.execute(operation, idempotent))).toBe('d');
      expect(startedAt).toEqual([0, 100, 600, 1_100]);
      expect(recorder.of('hedge.started').map(({ reason, delay }) => [reason, delay])).toEqual([
        ['failure', 100],
        ['delay', 500],
        ['delay', 500],
      ]);
    });

    it('gives the last outcome when all fail', async () => {
      const last = new Error('last');
      const { operation, startedAt } = scripted([10, down], [10, down], [10, last]);
      const call = hedged({ maxHedges: 2 }).execute(operation, idempotent);
      await expect(clock.runUntilSettled(call)).rejects.toBe(last);
      expect(startedAt).toEqual([0, 10, 20]);
      expect(clock.pending).toBe(0);
    });

    it('waits for an attempt that still runs', async () => {
      const { operation } = scripted([200, 'first'], [10, down]);
      const call = hedged().execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('first');
      expect([operation.mock.calls.length, clock.now()]).toEqual([2, 200]);
    });

    it('ends with an outcome that must not be repeated, and aborts the others', async () => {
      const fatal = new Error('fatal');
      const classify = (outcome: Outcome): Verdict => ({
        kind: outcome.ok ? 'success' : 'failure',
        repeat: !outcome.ok && outcome.error !== fatal,
      });
      const { operation, calls } = scripted([1_000, 'first'], [10, fatal], [10, 'third']);
      const call = hedged({ maxHedges: 2, classify }).execute(operation, idempotent);
      await expect(clock.runUntilSettled(call)).rejects.toBe(fatal);
      expect([clock.now(), calls.map(({ aborted }) => aborted)]).toEqual([60, [true, false]]);
    });

    it('starts no further one where the server asks for a wait', async () => {
      const classify = (outcome: Outcome): Verdict => ({
        kind: outcome.ok ? 'success' : 'failure',
        repeat: !outcome.ok,
        retryAfter: 100,
      });
      const { operation } = scripted([10, down]);
      const call = hedged({ classify }).execute(operation, idempotent);
      await expect(clock.runUntilSettled(call)).rejects.toBe(down);
      expect([operation.mock.calls.length, clock.now()]).toEqual([1, 10]);
    });

    it('resolves with the value of a failure that resolved', async () => {
      const classify = ({ ok }: Outcome): Verdict => ({ kind: 'failure', repeat: ok });
      const { operation } = scripted([10, '503'], [10, '503 again']);
      const call = hedged({ classify }).execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('503 again');
    });
  });

  describe('what may not be run twice', () => {
    it.each([
      [undefined, undefined, 1],
      [undefined, false, 1],
      [undefined, true, 2],
      [false, undefined, 1],
      [true, undefined, 2],
      [true, false, 1],
      [false, true, 2],
    ])('option %s, call %s: %i attempts', async (option, ofCall, attempts) => {
      const layer = hedge({ delay: 50, budget: false, idempotent: option });
      const { operation } = scripted([100, 'first'], [10, 'second']);
      const call = pipeline({ clock }, layer).execute(operation, { idempotent: ofCall });
      await clock.runUntilSettled(call);
      expect(operation).toHaveBeenCalledTimes(attempts);
      expect(layer.calls).toBe(attempts - 1);
    });
  });

  describe('an abort by the caller', () => {
    it('ends the attempts and the wait for the next one', async () => {
      const controller = new AbortController();
      const { operation, calls } = scripted();
      const call = hedged({ maxHedges: 3 }).execute(operation, {
        ...idempotent,
        signal: controller.signal,
      });
      await clock.advance(60);
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(calls.map(({ aborted, cancelled }) => aborted && cancelled)).toEqual([true, true]);
      await clock.advance(1_000);
      expect([operation.mock.calls.length, clock.pending]).toEqual([2, 0]);
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    });

    it('is not answered by a further attempt', async () => {
      const controller = new AbortController();
      const operation = vi.fn(({ signal }: Call) => {
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(down)));
      });
      const call = hedged().execute(operation, { ...idempotent, signal: controller.signal });
      controller.abort('gone');
      await expect(clock.runUntilSettled(call)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
    });
  });

  describe('an attempt that lost', () => {
    it('is ignored by a breaker further in, whatever it makes of the abort', async () => {
      for (const ends of ['reason', 'error', 'value', 'late timeout'] as const) {
        const breaker = circuitBreaker({
          clock,
          failureRatio: 1,
          minimumCalls: 1,
          slowCallDuration: 60,
        });
        const calls = pipeline(
          hedge({ delay: 50, budget: false }),
          breaker,
          timeout({ duration: ends === 'late timeout' ? 100 : 10_000 }),
        );
        const classified = vi.fn();
        const operation = (call: Call) =>
          call.attempt === 2
            ? new Promise((resolve) => clock.schedule(() => resolve('second'), 20))
            : new Promise((resolve, reject) => {
                call.onAbort((reason) => {
                  classified();
                  if (ends === 'reason') reject(reason);
                  if (ends === 'error') reject(down);
                  if (ends === 'value') clock.schedule(() => resolve('late'), 500);
                });
              });
        expect(await clock.runUntilSettled(calls.execute(operation, idempotent))).toBe('second');
        await clock.advance(1_000);
        expect([ends, classified.mock.calls.length, breaker.state]).toEqual([ends, 1, 'closed']);
        const window = breaker.snapshot().window?.entries as readonly (readonly number[])[];
        // Of the two attempts, only the one that answered is in the window.
        expect(window.reduce((sum, entry) => sum + (entry[1] as number), 0)).toBe(1);
      }
    });

    it('gives back the place of a probe', async () => {
      const breaker = circuitBreaker({
        clock,
        failureThreshold: 1,
        resetTimeout: 100,
        halfOpenCalls: 2,
      });
      await breaker.execute(() => Promise.reject(down)).catch(() => {});
      await clock.advance(100);
      const { operation } = scripted([1_000, 'first'], [10, 'second']);
      const call = pipeline(hedge({ delay: 50, budget: false }), breaker).execute(
        operation,
        idempotent,
      );
      expect(await clock.runUntilSettled(call)).toBe('second');
      expect(breaker.state).toBe('half-open');
      await breaker.execute(() => 'probe');
      expect(breaker.state).toBe('closed');
    });

    it('keeps its permit until it has really ended', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 2 });
      const calls = pipeline({ clock }, hedge({ delay: 50, budget: false }), limit);
      const operation = ({ attempt }: Call) =>
        new Promise((resolve) => clock.schedule(() => resolve(attempt), attempt === 1 ? 500 : 10));
      expect(await clock.runUntilSettled(calls.execute(operation, idempotent))).toBe(2);
      expect(limit.running).toBe(1);
      await clock.advance(500);
      expect(limit.running).toBe(0);
    });

    it('frees what it brings too late, and a failure that is not the answer', async () => {
      const freed: unknown[] = [];
      const classify = (outcome: Outcome): Verdict => {
        const value = outcome.ok ? (outcome.value as string) : '';
        const kind = value === '503' ? 'failure' : 'success';
        return { kind, repeat: kind === 'failure', discard: () => freed.push(value) };
      };
      const values = ['late', '503', 'answer'];
      const operation = ({ attempt }: Call) =>
        new Promise<unknown>((resolve) => {
          const value = values[attempt - 1];
          clock.schedule(() => resolve(value), value === 'late' ? 500 : 10);
        });
      const call = hedged({ maxHedges: 2, classify }).execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('answer');
      expect(freed).toEqual(['503']);
      await clock.advance(500);
      expect(freed).toEqual(['503', 'late']);
    });
  });

  describe('a hedge that is refused further in', () => {
    it('does not end the call, nor take the place of what failed', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1 });
      const calls = pipeline({ clock }, hedge({ delay: 50, maxHedges: 3, budget: false }), limit);
      const { operation } = scripted([100, 'first']);
      const call = calls.execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('first');
      expect([operation.mock.calls.length, clock.now()]).toEqual([1, 100]);

      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const guarded = pipeline(hedge({ delay: 50, budget: false }), breaker);
      await expect(
        clock.runUntilSettled(guarded.execute(scripted([10, down]).operation, idempotent)),
      ).rejects.toBe(down);
    });

    it('lets the refusal of the first attempt out', async () => {
      const breaker = circuitBreaker({ clock });
      breaker.isolate();
      const calls = pipeline(hedge({ delay: 50, budget: false }), breaker);
      await expect(calls.execute(() => 1, idempotent)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_ISOLATED',
      });
      await clock.advance(1_000);
      expect(clock.pending).toBe(0);
    });
  });

  describe('the budget', () => {
    it('limits a given delay by default', async () => {
      const layer = hedge({ delay: 10, clock });
      const calls = pipeline({ clock }, layer);
      const recorder = recordEvents(calls);
      for (let count = 0; count < 200; count++) {
        await clock.runUntilSettled(calls.execute(scripted([15, 'first']).operation, idempotent));
      }
      // 0.2 per call, and a floor of one per second.
      expect(layer.hedges).toBeLessThan(0.2 * 200 + 15);
      expect(layer.hedges).toBeGreaterThan(0.2 * 200 - 1);
      expect(recorder.of('budget.exhausted').length).toBe(200 - layer.hedges);
      expect(recorder.of('budget.exhausted')[0]).toMatchObject({
        strategy: 'retry-budget',
        wanted: 'hedge',
        reason: 'window',
      });
    });

    it('limits hedges, and says so', async () => {
      const budget = retryBudget({ clock, ratio: 0, minPerSecond: 0.1 });
      const { operation } = scripted([100, 'first'], [100, 'second']);
      const calls = hedged({ budget });
      const first = calls.execute(operation, idempotent);
      expect(await clock.runUntilSettled(first)).toBe('first');
      expect([operation.mock.calls.length, budget.balance]).toEqual([2, 0]);
      const recorder = recordEvents(calls);
      const second = scripted([100, 'first']);
      expect(await clock.runUntilSettled(calls.execute(second.operation, idempotent))).toBe(
        'first',
      );
      expect(second.operation).toHaveBeenCalledTimes(1);
      expect(recorder.of('budget.exhausted')).toMatchObject([
        { strategy: 'retry-budget', wanted: 'hedge', reason: 'window', used: 1, limit: 1 },
      ]);
    });

    it('is told of each call, attempt and end', async () => {
      const told: string[] = [];
      const budget: AttemptBudget = {
        name: 'mine',
        deposit: () => void told.push('call'),
        callEnded: () => void told.push('call ended'),
        tryWithdraw: () => told.push('attempt') > 0,
        attemptEnded: () => void told.push('attempt ended'),
        record: (succeeded) => void told.push(`recorded ${succeeded}`),
      };
      const { operation } = scripted([10, down], [200, 'second'], [20, 'third']);
      const call = hedged({ budget, maxHedges: 2 }).execute(operation, idempotent);
      expect(await clock.runUntilSettled(call)).toBe('third');
      await clock.flush();
      expect(told).toEqual([
        'call',
        'recorded false',
        'attempt',
        'attempt',
        'attempt ended',
        'recorded true',
        'attempt ended',
        'call ended',
      ]);
    });

    it('stops a token budget as gRPC does', async () => {
      const budget = tokenBudget({ maxTokens: 4 });
      const calls = hedged({ budget, maxHedges: 9 });
      const recorder = recordEvents(calls);
      const scripts = Array.from({ length: 10 }, (): Script => [10, down]);
      const { operation } = scripted(...scripts);
      await expect(clock.runUntilSettled(calls.execute(operation, idempotent))).rejects.toBe(down);
      // 3 tokens after the first failure, 2 after the second: not above half.
      expect([operation.mock.calls.length, budget.tokens]).toEqual([2, 2]);
      expect(recorder.of('budget.exhausted')[0]).toMatchObject({
        reason: 'tokens',
        used: 2,
        limit: 2,
      });
    });
  });

  describe('with an observed delay', () => {
    /** Makes so many calls that take so long, one after the other. */
    async function observe(calls: Pipeline, count: number, duration: number): Promise<void> {
      for (let made = 0; made < count; made++) {
        const { operation } = scripted([duration, 'ok']);
        await clock.runUntilSettled(calls.execute(operation, idempotent));
      }
    }

    it('starts none for slowness until it has seen enough', async () => {
      const layer = hedge({ clock });
      const calls = pipeline(layer);
      await observe(calls, 49, 10);
      await observe(calls, 1, 5_000);
      expect([layer.hedges, layer.delay]).toEqual([0, Infinity]);
      await observe(calls, 1, 10);
      expect(layer.delay).toBeGreaterThanOrEqual(10);
      expect(layer.delay).toBeLessThan(10 * 1.05);
    });

    it('goes by 1 / maxExtraLoad calls where that is more', async () => {
      const layer = hedge({ clock, maxExtraLoad: 0.01 });
      const calls = pipeline(layer);
      await observe(calls, 100, 10);
      expect(layer.delay).toBe(Infinity);
      await observe(calls, 1, 10);
      expect(layer.delay).toBeLessThan(10.5);
    });

    it('hedges what exceeds it, once the calls have paid for it', async () => {
      const layer = hedge({ clock });
      const calls = pipeline(layer);
      await observe(calls, 60, 10);
      const { operation, startedAt } = scripted([1_000, 'first'], [10, 'second']);
      const start = clock.now();
      expect(await clock.runUntilSettled(calls.execute(operation, idempotent))).toBe('second');
      expect((startedAt[1] as number) - start).toBeGreaterThan(10);
      expect(clock.now() - start).toBeLessThan(25);
      expect([layer.calls, layer.hedges, layer.wins]).toEqual([61, 1, 1]);
    });

    it('is at least minDelay', async () => {
      const layer = hedge({ clock, minDelay: 40 });
      await observe(pipeline(layer), 51, 2);
      expect(layer.delay).toBe(40);
    });

    it('says why it does not hedge: the share of the calls is used up', async () => {
      const layer = hedge({ clock, minimumCalls: 20 });
      const calls = pipeline(layer);
      await observe(calls, 25, 10);
      const recorder = recordEvents(calls);
      await observe(calls, 1, 100);
      const [event] = recorder.of('budget.exhausted');
      expect(event).toMatchObject({ strategy: 'hedge', wanted: 'hedge', reason: 'max-extra-load' });
      expect(event?.used).toBe(0);
      expect(event?.limit).toBeCloseTo(26 * 0.02);
    });

    it('is refreshed at most every three seconds', async () => {
      const layer = hedge({ clock });
      const calls = pipeline(layer);
      await observe(calls, 51, 10);
      const first = layer.delay;
      await observe(calls, 20, 50);
      expect(layer.delay).toBe(first);
      await clock.advance(3_000);
      await observe(calls, 1, 10);
      expect(layer.delay).toBeGreaterThan(49);
    });

    it('does not shrink because fast failures come in, and grows with what was cut short', async () => {
      const layer = hedge({ clock, budget: false });
      const calls = pipeline(layer, timeout({ duration: 200 }));
      await observe(calls, 60, 100);
      await clock.advance(3_000);
      for (let count = 0; count < 100; count++) {
        const call = calls.execute(scripted([1, down], [1, down]).operation, idempotent);
        await clock.runUntilSettled(call).catch(() => {});
      }
      await clock.advance(3_000);
      await observe(calls, 1, 100);
      expect(layer.delay).toBeGreaterThan(99);
      for (let count = 0; count < 10; count++) {
        await clock
          .runUntilSettled(calls.execute(scripted().operation, idempotent))
          .catch(() => {});
      }
      await clock.advance(3_000);
      await observe(calls, 1, 100);
      expect(layer.delay).toBeGreaterThan(199);
    });

    it('keeps the last one through a quiet time', async () => {
      const layer = hedge({ clock });
      const calls = pipeline(layer);
      await observe(calls, 51, 10);
      const before = layer.delay;
      await clock.advance(600_000);
      await observe(calls, 5, 10);
      expect(layer.delay).toBe(before);
    });
  });

  it('starts a hedge in the async context of its caller', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const calls = hedged({ maxHedges: 2 });
    const execute = (who: string) =>
      context.run(who, () =>
        calls.execute(({ attempt }) => {
          seen.push(context.getStore());
          return attempt === 3 ? who : new Promise(() => {});
        }, idempotent),
      );
    const results = Promise.all([execute('a'), execute('b')]);
    expect(await clock.runUntilSettled(results)).toEqual(['a', 'b']);
    expect(seen).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('is not hurt by a failure in the very millisecond in which the next attempt is due', async () => {
    const { operation, startedAt } = scripted([50, down], [30, 'second'], [10, 'third']);
    const call = hedged({ maxHedges: 2 }).execute(operation, idempotent);
    expect(await clock.runUntilSettled(call)).toBe('second');
    expect(startedAt).toEqual([0, 50]);
  });

  it('has its defaults written once', () => {
    expect(hedgeDefaults.maxExtraLoad).toBe(0.02);
    expect(Object.isFrozen(hedgeDefaults)).toBe(true);
  });
});
