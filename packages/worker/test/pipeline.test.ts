/** A pool among other layers. */
import { type Call, circuitBreaker, fallback, hedge, pipeline, retry } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { clock, holding, poolOf, shared, until } from './bench.js';

describe('a pool in a pipeline', () => {
  it('has its tasks repeated where a thread crashed, with the pool as a layer', async () => {
    const pool = poolOf({ name: 'thumbnails' });
    const calls = pipeline(
      { name: 'previews', clock },
      retry({ maxAttempts: 3, baseDelay: 1, jitter: 'none' }),
      pool,
    );
    const recorder = recordEvents(calls);
    const task = (call: Call) =>
      pool.task({
        ...(call.attempt < 3 ? { kind: 'exit', code: 1 } : { kind: 'echo', value: 'ok' }),
      })(call);
    const answer = calls.execute(task);
    let settled = false;
    void answer.finally(() => {
      settled = true;
    });
    await until(() => {
      void clock.advance(1);
      return settled;
    });
    expect(await answer).toBe('ok');
    expect(recorder.of('retry.scheduled')).toHaveLength(2);
    // One call, one permit for each attempt, and nothing of the pool's own pipeline.
    expect(recorder.of('call.started')).toMatchObject([{ pipeline: 'previews' }]);
    expect(pool.describe().counters).toMatchObject({ admitted: 3, crashes: 2 });
    expect(calls.describe().layers.map(({ type, name }) => [type, name])).toEqual([
      ['retry', 'retry'],
      ['workerPool', 'thumbnails'],
      ['timeout', 'thumbnails timeout'],
    ]);
  });

  it('is entered by its tasks themselves where it is no layer', async () => {
    const pool = poolOf({ maxQueueSize: 0 });
    const held = await holding(pool);
    const breaker = circuitBreaker({ failureThreshold: 1, resetTimeout: 1_000, clock });
    const calls = pipeline(
      { clock },
      fallback(() => 'busy'),
      breaker,
    );
    expect(await calls.execute(pool.task({ kind: 'echo' }))).toBe('busy');
    // A full pool says nothing about the work.
    expect(breaker.state).toBe('closed');
    held.letGo();
    await held.ended;
    expect(await calls.execute(pool.task({ kind: 'echo', value: 1 }))).toBe(1);
    await expect(
      pipeline({ clock }, breaker).execute(pool.task({ kind: 'fail' })),
    ).rejects.toMatchObject({ code: 'E_PRICE' });
    expect(breaker.state).toBe('open');
  });

  it('takes a thread for each of the attempts that run beside each other', async () => {
    const pool = poolOf({ maxThreads: 2 });
    const calls = pipeline({ clock }, pool, hedge({ delay: 10, maxHedges: 1 }));
    const gates = [shared(), shared()];
    let attempts = 0;
    const answer = calls.execute(
      (call) => pool.task({ kind: 'hold', gate: gates[attempts++] })(call),
      { idempotent: true },
    );
    await until(() => Atomics.load(gates[0] as Int32Array, 0) === 1);
    await clock.advance(10);
    await until(() => Atomics.load(gates[1] as Int32Array, 0) === 1);
    expect(pool.running).toBe(2);
    Atomics.store(gates[1] as Int32Array, 1, 1);
    Atomics.notify(gates[1] as Int32Array, 1);
    await answer;
    // The loser was ended with its thread, and its permit is back.
    await until(() => pool.running === 0);
    expect(pool.threads).toBe(1);
  });

  it('starts nothing for an operation that was aborted before it came to its task', async () => {
    const pool = poolOf();
    const controller = new AbortController();
    const answer = pipeline({ clock }, pool).execute(
      async (call) => {
        controller.abort(new Error('the user has left'));
        return pool.task({ kind: 'where' })(call);
      },
      { signal: controller.signal },
    );
    await expect(answer).rejects.toThrow('the user has left');
    expect(pool.threads).toBe(0);
  });

  it('waits for a thread that an operation left behind with its task', async () => {
    const pool = poolOf();
    const calls = pipeline({ clock }, pool);
    const gate = shared();
    let left: Promise<unknown> | undefined;
    await calls.execute(async (call) => {
      left = pool.task({ kind: 'hold', gate })(call);
    });
    await until(() => Atomics.load(gate, 0) === 1);
    expect(pool.running).toBe(0);
    const next = pool.run({ kind: 'echo', value: 'next' });
    Atomics.store(gate, 1, 1);
    Atomics.notify(gate, 1);
    expect(await next).toBe('next');
    await left;
    expect(pool.describe().counters).toMatchObject({ threadsStarted: 1 });
  });
});
