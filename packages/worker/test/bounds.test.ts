/** What a pool lets in, how long it lets it run, and how it ends. */
import { BulkheadFullError, QueueTimeoutError, TimeoutError } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { WorkerPoolClosedError } from '../src/index.js';
import { clock, holding, poolOf, shared, until } from './bench.js';

describe('the queue', () => {
  it('takes maxQueueSize tasks and refuses the next', async () => {
    const pool = poolOf({ maxQueueSize: 1, name: 'reports' });
    const recorder = recordEvents(pool);
    const held = await holding(pool);
    const waiting = pool.run({ kind: 'echo', value: 'waited' });
    expect([pool.running, pool.waiting]).toEqual([1, 1]);
    const refused = await pool.run({ kind: 'echo' }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BulkheadFullError);
    expect(refused).toMatchObject({ strategy: 'reports', running: 1, waiting: 1, refusal: true });
    expect(recorder.of('bulkhead.rejected')).toMatchObject([
      { reason: 'full', strategy: 'reports', pipeline: 'reports' },
    ]);
    held.letGo();
    expect(await waiting).toBe('waited');
    expect(pool.describe().counters).toMatchObject({ admitted: 2, queued: 1, rejected: 1 });
  });

  it('sends away who has waited for queueTimeout', async () => {
    const pool = poolOf({ queueTimeout: 200 });
    const held = await holding(pool);
    const waiting = pool.run({ kind: 'echo' });
    waiting.catch(() => {});
    await clock.advance(200);
    await expect(waiting).rejects.toBeInstanceOf(QueueTimeoutError);
    expect([pool.running, pool.waiting]).toEqual([1, 0]);
    held.letGo();
    await held.ended;
  });

  it('lets an aborted task go at once, and never runs it', async () => {
    const pool = poolOf();
    const held = await holding(pool);
    const controller = new AbortController();
    const counter = shared();
    const waiting = pool.run({ kind: 'native', counter, rounds: 1 }, { signal: controller.signal });
    controller.abort(new Error('the user has left'));
    await expect(waiting).rejects.toThrow('the user has left');
    expect(pool.waiting).toBe(0);
    held.letGo();
    await held.ended;
    await pool.run({ kind: 'where' });
    expect(Atomics.load(counter, 0)).toBe(0);
  });

  it('never has more threads than maxThreads', async () => {
    const pool = poolOf({ maxThreads: 2 });
    const recorder = recordEvents(pool);
    const ids = await Promise.all(Array.from({ length: 20 }, () => pool.run({ kind: 'where' })));
    const threads = new Set(ids.map((where) => (where as { threadId: number }).threadId));
    expect(threads.size).toBe(2);
    expect(recorder.of('worker.started').map((event) => event.threads)).toEqual([1, 2]);
  });
});

describe('the timeout', () => {
  it('ends an endless loop with its thread, and the next task gets a new one', async () => {
    const pool = poolOf({ timeout: 500, queueTimeout: 10_000 });
    const recorder = recordEvents(pool);
    const before = await pool.run({ kind: 'where' });
    const counter = shared();
    const endless = pool.run({ kind: 'loop', counter });
    endless.catch(() => {});
    await until(() => Atomics.load(counter, 0) > 0);
    const next = pool.run({ kind: 'where' });
    await clock.advance(500);
    await expect(endless).rejects.toBeInstanceOf(TimeoutError);
    const after = await next;
    expect(after).not.toEqual(before);

    // The thread is gone: nobody counts any more, while this one does a round trip.
    const counted = Atomics.load(counter, 0);
    await pool.run({ kind: 'where' });
    expect(Atomics.load(counter, 0)).toBe(counted);
    expect(pool.threads).toBe(1);
    expect(recorder.of('timeout.expired')).toMatchObject([{ duration: 500 }]);
    expect(recorder.of('worker.ended')).toMatchObject([{ reason: 'timeout', threads: 0 }]);
  });

  it('ends a thread whose module never has been loaded', async () => {
    const pool = poolOf({ timeout: 500 }, new URL('./endless.mjs', import.meta.url));
    const endless = pool.run({ kind: 'echo' });
    endless.catch(() => {});
    await clock.advance(500);
    await expect(endless).rejects.toBeInstanceOf(TimeoutError);
    await until(() => pool.threads === 0);
  });

  it('frees the caller at once and the place only when the thread is gone', async () => {
    const pool = poolOf({ timeout: 500, queueTimeout: Infinity });
    const recorder = recordEvents(pool);
    for (let round = 0; round < 3; round++) {
      const counter = shared();
      const task = pool.run({ kind: 'native', counter, rounds: 300_000 });
      task.catch(() => {});
      await until(() => Atomics.load(counter, 0) > 0);
      await clock.advance(500);
      await expect(task).rejects.toBeInstanceOf(TimeoutError);
      // Native code cannot be interrupted: its thread is still there, and has the only place.
      expect(pool.describe().state).toMatchObject({ running: 1, threads: 1, ending: 1 });
    }
    await pool.run({ kind: 'where' });
    expect(recorder.of('worker.started').map((event) => event.threads)).toEqual([1, 1, 1, 1]);
  });
});

describe('an abort', () => {
  it('rejects a running task at once, with the reason of the signal, and ends its thread', async () => {
    const pool = poolOf();
    const recorder = recordEvents(pool);
    const counter = shared();
    const controller = new AbortController();
    const endless = pool.run({ kind: 'loop', counter }, { signal: controller.signal });
    await until(() => Atomics.load(counter, 0) > 0);
    controller.abort(new Error('the user has left'));
    await expect(endless).rejects.toThrow('the user has left');
    expect(await pool.run({ kind: 'echo', value: 'next' })).toBe('next');
    expect(recorder.of('worker.ended')).toMatchObject([{ reason: 'aborted' }]);
    expect(recorder.of('call.aborted')).toHaveLength(1);
  });

  it('that came before starts nothing', async () => {
    const pool = poolOf();
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(pool.run({ kind: 'where' }, { signal })).rejects.toThrow('too late');
    expect(pool.threads).toBe(0);
  });
});

describe('pools', () => {
  it('are apart: the endless loops of one leave the other its threads', async () => {
    const runaway = poolOf({ maxThreads: 2, timeout: 500 });
    const healthy = poolOf({ maxThreads: 1 });
    const counter = shared();
    const endless = Array.from({ length: 2 }, () => runaway.run({ kind: 'loop', counter }));
    for (const task of endless) task.catch(() => {});
    await until(() => Atomics.load(counter, 0) > 0);
    const values = Array.from({ length: 10 }, (_, value) => value);
    const answers = values.map((value) => healthy.run({ kind: 'echo', value }));
    expect(await Promise.all(answers)).toEqual(values);
    expect([runaway.running, healthy.running]).toEqual([2, 0]);
  });
});

describe('a thread with nothing to do', () => {
  it('is ended after idleTimeout, unless it is one of minThreads', async () => {
    const pool = poolOf({ maxThreads: 2, minThreads: 1, idleTimeout: 1_000 });
    const first = await holding(pool);
    const second = await holding(pool);
    expect(pool.threads).toBe(2);
    first.letGo();
    second.letGo();
    await Promise.all([first.ended, second.ended]);
    await clock.advance(999);
    expect(pool.describe().state).toMatchObject({ threads: 2, idle: 2, ending: 0 });
    await clock.advance(1);
    await until(() => pool.threads === 1);
    await clock.advance(10_000);
    expect(pool.describe().state).toMatchObject({ threads: 1, ending: 0 });
  });
});

describe('close', () => {
  it('lets run what is there, refuses what comes, and leaves no thread', async () => {
    const pool = poolOf({ queueTimeout: Infinity });
    const recorder = recordEvents(pool);
    const held = await holding(pool);
    const waiting = pool.run({ kind: 'echo', value: 'waited' });
    const closed = pool.close();
    const late = await pool.run({ kind: 'echo' }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(WorkerPoolClosedError);
    expect(late).toMatchObject({ code: 'RESIL_WORKER_POOL_CLOSED', refusal: true });
    expect(recorder.of('bulkhead.rejected')).toMatchObject([{ reason: 'draining' }]);
    held.letGo();
    expect(await waiting).toBe('waited');
    await closed;
    expect(pool.describe().state).toMatchObject({ state: 'closed', running: 0, threads: 0 });
    expect(recorder.of('worker.ended')).toMatchObject([{ reason: 'closed' }]);
    await pool.close();
  });

  it('gives up at its deadline what still runs and what still waits', async () => {
    const pool = poolOf({ queueTimeout: Infinity });
    const counter = shared();
    const endless = pool.run({ kind: 'loop', counter });
    const waiting = pool.run({ kind: 'echo' });
    const ended = Promise.allSettled([endless, waiting]);
    await until(() => Atomics.load(counter, 0) > 0);
    const closed = pool.close();
    expect(pool.close({ deadline: clock.now() + 300 })).toBe(closed);
    await clock.advance(299);
    expect(pool.running).toBe(1);
    await clock.advance(1);
    await closed;
    expect(await ended).toMatchObject([
      { reason: { code: 'RESIL_WORKER_POOL_CLOSED', refusal: false } },
      { reason: { code: 'RESIL_WORKER_POOL_CLOSED', refusal: true } },
    ]);
    expect([pool.running, pool.waiting, pool.threads]).toEqual([0, 0, 0]);
  });

  it('ends at once where nothing was ever done', async () => {
    const pool = poolOf({ maxThreads: 2, minThreads: 2 });
    await pool.close();
    expect(pool.threads).toBe(0);
  });
});
