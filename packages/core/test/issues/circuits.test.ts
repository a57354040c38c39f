import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitSnapshot,
  circuitBreaker,
  fallback,
  pipeline,
} from '../../src/index.js';
import { deferred } from '../deferred.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const hang = (): Promise<never> => new Promise(() => {});

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

async function opened(options: CircuitBreakerOptions = {}): Promise<CircuitBreaker> {
  const breaker = circuitBreaker({
    clock,
    failureThreshold: 1,
    resetTimeout: 100,
    ...options,
  });
  await breaker.execute(fail).catch(() => {});
  expect(breaker.state).toBe('open');
  return breaker;
}

describe('circuits', () => {
  it('no circuit stays open for ever: it recovers after any number of failed probes', async () => {
    const breaker = await opened();
    for (let round = 0; round < 50; round++) {
      await clock.advance(100);
      await breaker.execute(fail).catch(() => {});
      expect(breaker.state).toBe('open');
    }
    await clock.advance(100);
    await expect(breaker.execute(() => 'up')).resolves.toBe('up');
    expect(breaker.state).toBe('closed');
  });

  it('no circuit stays half-open for ever: probes that are ignored, refused, aborted or hang give their places back', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const notOurs = new Error('not ours');
    const breaker = await opened({
      halfOpenCalls: 4,
      probeTimeout: 1_000,
      classify: (outcome) => {
        if (outcome.ok) return 'success';
        return outcome.error === notOurs ? 'ignored' : 'failure';
      },
    });
    await clock.advance(100);
    const calls = pipeline({ clock }, breaker, limit);
    await calls.execute(() => Promise.reject(notOurs)).catch(() => {});
    void calls.execute(hang);
    await calls.execute(() => 1).catch(() => {});
    const controller = new AbortController();
    void breaker.execute(hang, { signal: controller.signal });
    controller.abort();
    expect(breaker.state).toBe('half-open');
    await clock.advance(1_000);
    for (let probe = 0; probe < 4; probe++) await breaker.execute(() => 1);
    expect(breaker.state).toBe('closed');
  });

  it('half-open lets no flood through: of a hundred calls only the probes reach the operation', async () => {
    const breaker = await opened({ halfOpenCalls: 3 });
    await clock.advance(100);
    const operation = vi.fn(hang);
    const refused: unknown[] = [];
    for (let call = 0; call < 100; call++) {
      breaker.execute(operation).catch((error: unknown) => refused.push(error));
    }
    await clock.flush();
    expect([operation.mock.calls.length, refused.length]).toEqual([3, 97]);
  });

  it('half-open decides by the share of failed probes', async () => {
    for (const [failures, state] of [
      [4, 'closed'],
      [5, 'open'],
    ] as const) {
      const breaker = circuitBreaker({
        clock,
        failureRatio: 0.5,
        halfOpenCalls: 10,
        resetTimeout: 100,
      });
      for (let call = 0; call < 10; call++) await breaker.execute(fail).catch(() => {});
      await clock.advance(100);
      for (let probe = 0; probe < 10; probe++) {
        await breaker.execute(probe < failures ? fail : () => 1).catch(() => {});
      }
      expect(breaker.state).toBe(state);
    }
  });

  it('the late failure of a call begun before the trip does not open a half-open circuit again', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
    const late = deferred();
    const old = breaker.execute(() => late.promise);
    await breaker.execute(fail).catch(() => {});
    await clock.advance(100);
    const held = deferred();
    const probe = breaker.execute(() => held.promise);
    late.reject(down);
    await expect(old).rejects.toBe(down);
    expect(breaker.state).toBe('half-open');
    held.resolve();
    await probe;
    expect(breaker.state).toBe('closed');
  });

  it('a hung probe does not make its followers hang: they are refused at once, and an abort frees it', async () => {
    const breaker = await opened();
    await clock.advance(100);
    const controller = new AbortController();
    void breaker.execute(hang, { signal: controller.signal });
    const followers = await Promise.allSettled(
      Array.from({ length: 100 }, () => breaker.execute(() => 1)),
    );
    expect(followers.every(({ status }) => status === 'rejected')).toBe(true);
    controller.abort();
    await expect(breaker.execute(() => 'next')).resolves.toBe('next');
  });

  it('a hung probe without any timeout gives its place to another after probeTimeout', async () => {
    const breaker = await opened({ probeTimeout: 5_000 });
    await clock.advance(100);
    void breaker.execute(hang);
    await clock.advance(5_000);
    await expect(breaker.execute(() => 'next')).resolves.toBe('next');
    expect(breaker.state).toBe('closed');
  });

  it('after an idle hour no old failure counts in a window of ten seconds', async () => {
    const breaker = circuitBreaker({
      clock,
      failureRatio: 0.5,
      minimumCalls: 10,
      window: { duration: 10_000 },
    });
    for (let call = 0; call < 9; call++) {
      await breaker.execute(fail).catch(() => {});
      await clock.advance(10);
    }
    await clock.advance(3_600_000);
    await breaker.execute(fail).catch(() => {});
    expect(breaker.state).toBe('closed');
    expect(breaker.snapshot().window?.entries).toEqual([[expect.any(Number), 1, 1, 0]]);
  });

  it('refusals, running calls and answers from elsewhere do not dilute the failure ratio', async () => {
    const options = { clock, failureRatio: 0.9, minimumCalls: 51, window: { calls: 200 } };
    const breaker = circuitBreaker(options);
    const limit = bulkhead({ maxConcurrentCalls: 60 });
    const cached = new Set(Array.from({ length: 99 }, (_, id) => `key ${id}`));
    const calls = pipeline(
      { clock },
      {
        name: 'cache',
        run: (call, next) =>
          cached.has(call.key ?? '') ? Promise.resolve('cached' as never) : next(call),
      },
      breaker,
      limit,
    );
    for (const key of cached) await calls.execute(() => 1, { key });
    for (let running = 0; running < 59; running++) void calls.execute(hang);
    await calls.execute(() => 1);
    for (let call = 0; call < 49; call++) await calls.execute(fail).catch(() => {});
    const held = deferred();
    const last = calls.execute(() => held.promise);
    for (let refused = 0; refused < 100; refused++) await calls.execute(() => 1).catch(() => {});
    expect(breaker.state).toBe('closed');
    held.reject(down);
    await last.catch(() => {});
    // 50 of the 51 calls that reached the dependency have failed.
    expect(breaker.state).toBe('open');
  });

  it('a function that gives undefined synchronously is a success', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1 });
    await expect(breaker.execute(() => undefined)).resolves.toBeUndefined();
    await expect(breaker.execute(() => {})).resolves.toBeUndefined();
    expect(breaker.state).toBe('closed');
  });

  it('an ignored error runs no fallback', async () => {
    const fn = vi.fn();
    const breaker = circuitBreaker({ clock, classify: () => 'ignored', fallbackFn: fn });
    await expect(breaker.execute(fail)).rejects.toBe(down);
    const calls = pipeline(
      { clock, classify: () => 'ignored' },
      fallback(fn),
      circuitBreaker({ clock }),
    );
    await expect(calls.execute(fail)).rejects.toBe(down);
    expect(fn).not.toHaveBeenCalled();
  });

  it('a window costs the same memory however many calls it has seen', async () => {
    const breaker = circuitBreaker({ clock, failureRatio: 1, window: { duration: 10_000 } });
    for (let call = 0; call < 5_000; call++) {
      await breaker.execute(call % 2 === 0 ? fail : () => 1).catch(() => {});
      clock.tick(1);
    }
    expect(JSON.stringify(breaker.snapshot()).length).toBeLessThan(600);
  });

  it('a snapshot tells how long the circuit is still open, not since when the breaker exists', async () => {
    await clock.advance(123_456);
    const breaker = await opened({ resetTimeout: 10_000 });
    await clock.advance(4_000);
    const snapshot = JSON.parse(JSON.stringify(breaker.snapshot())) as CircuitSnapshot;
    expect(snapshot).toMatchObject({ state: 'open', remaining: 6_000, takenAt: 127_456 });
    const restored = circuitBreaker({ clock, failureThreshold: 1, snapshot });
    await clock.advance(5_999);
    expect(restored.state).toBe('open');
    await clock.advance(1);
    expect(restored.state).toBe('half-open');
  });

  it('dashboards see half-open as soon as it is so, and each change as one event in order', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
    const recorder = recordEvents(breaker);
    await breaker.execute(fail).catch(() => {});
    await clock.advance(100);
    expect(breaker.state).toBe('half-open');
    await breaker.execute(fail).catch(() => {});
    await clock.advance(100);
    await breaker.execute(() => 1);
    expect(
      recorder.events
        .filter(({ type }) => type.startsWith('circuit.'))
        .map(({ type, at }) => [type, at]),
    ).toEqual([
      ['circuit.opened', 0],
      ['circuit.half-opened', 100],
      ['circuit.opened', 100],
      ['circuit.half-opened', 200],
      ['circuit.closed', 200],
    ]);
  });
});
