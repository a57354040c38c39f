import { AsyncLocalStorage } from 'node:async_hooks';
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type BulkheadOptions, bulkhead, pipeline } from '../../src/index.js';
import { deferred } from '../deferred.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

function benchOf(options: BulkheadOptions) {
  const limit = bulkhead(options);
  return { limit, calls: pipeline({ clock }, limit) };
}

describe('queues', () => {
  it('a queued call runs in the async context of the one who asked for it', async () => {
    const context = new AsyncLocalStorage<number>();
    const { calls } = benchOf({ maxConcurrentCalls: 2, maxQueueSize: 20 });
    const wrong = await clock.runUntilSettled(
      Promise.all(
        Array.from({ length: 20 }, (_, id) =>
          context.run(id, () =>
            calls.execute(async () => {
              await new Promise<void>((resolve) => clock.schedule(resolve, 5));
              return context.getStore() === id;
            }),
          ),
        ),
      ),
    );
    expect(wrong.filter((right) => !right)).toEqual([]);
  });

  it('an aborted or expired waiter keeps no slot of the queue', async () => {
    const { limit, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 2, queueTimeout: 100 });
    const held = deferred();
    const first = calls.execute(() => held.promise);
    for (let round = 0; round < 10; round++) {
      const controller = new AbortController();
      const aborted = calls.execute(() => 1, { signal: controller.signal });
      const expired = calls.execute(() => 2);
      expect(limit.waiting).toBe(2);
      controller.abort('gone');
      await expect(aborted).rejects.toBe('gone');
      await clock.advance(100);
      await expect(expired).rejects.toMatchObject({ code: 'RESIL_QUEUE_TIMEOUT' });
      expect(limit.waiting).toBe(0);
    }
    held.resolve();
    await first;
    expect(limit.running).toBe(0);
  });

  it('an aborted waiter settles at once, not when it reaches the head', async () => {
    const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 9 });
    void calls.execute(() => new Promise(() => {}));
    for (let ahead = 0; ahead < 5; ahead++) void calls.execute(() => 1).catch(() => {});
    const controller = new AbortController();
    const last = calls.execute(() => 1, { signal: controller.signal });
    controller.abort('gone');
    await expect(last).rejects.toBe('gone');
    expect(clock.now()).toBe(0);
  });

  it('no waiter is forgotten: each one runs, is refused, or is aborted', async () => {
    const { limit, calls } = benchOf({ maxConcurrentCalls: 3, maxQueueSize: 50, queueTimeout: 70 });
    const controllers = Array.from({ length: 60 }, () => new AbortController());
    const all = controllers.map(({ signal }, id) =>
      calls.execute(() => new Promise<void>((resolve) => clock.schedule(resolve, 10 + (id % 5))), {
        signal,
      }),
    );
    for (const [id, controller] of controllers.entries()) {
      if (id % 4 === 0) clock.schedule(() => controller.abort('gone'), id % 30);
    }
    const ends = await clock.runUntilSettled(Promise.allSettled(all));
    expect(ends).toHaveLength(60);
    expect(ends.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(10);
    expect([limit.running, limit.waiting]).toEqual([0, 0]);
  });

  it('a newcomer does not overtake a waiter, in whichever turn it comes', async () => {
    for (let turns = 0; turns < 6; turns++) {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 5 });
      const held = deferred();
      const order: string[] = [];
      const first = calls.execute(() => held.promise);
      const waiter = calls.execute(async () => {
        order.push('waiter');
      });
      held.resolve();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const newcomer = calls.execute(async () => {
        order.push('newcomer');
      });
      await Promise.all([first, waiter, newcomer]);
      expect(order).toEqual(['waiter', 'newcomer']);
    }
  });

  it('a waiter is never refused for want of a permit that went to a newcomer', async () => {
    const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    const held = deferred();
    const first = calls.execute(() => held.promise);
    const waiter = calls.execute(() => 'waited');
    held.resolve();
    const newcomers = Array.from({ length: 5 }, () =>
      calls.execute(() => 'new').catch(() => 'refused'),
    );
    await expect(waiter).resolves.toBe('waited');
    await Promise.all([first, ...newcomers]);
  });

  it('calls through a bulkhead tell of their success and failure', async () => {
    const { calls } = benchOf({ maxConcurrentCalls: 1 });
    const recorder = recordEvents(calls);
    await calls.execute(() => 1);
    await calls.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    expect(recorder.types).toEqual([
      'call.started',
      'call.succeeded',
      'call.started',
      'call.failed',
    ]);
  });

  it('entering and leaving costs the same from anywhere in a long queue', async () => {
    const { limit, calls } = benchOf({
      maxConcurrentCalls: 1,
      maxQueueSize: 20_000,
      queueTimeout: 1e6,
    });
    const held = deferred();
    const first = calls.execute(() => held.promise);
    const controllers = Array.from({ length: 20_000 }, () => new AbortController());
    const operation = vi.fn();
    const all = controllers.map(({ signal }) =>
      calls.execute(operation, { signal }).catch(() => {}),
    );
    // From the tail, from the head and out of the middle; a scan each would be 10^8 steps.
    for (let step = 0; step < 9_000; step++) {
      controllers[19_999 - step]?.abort();
      controllers[step]?.abort();
    }
    expect(limit.waiting).toBe(2_000);
    held.resolve();
    await first;
    await Promise.all(all);
    expect(operation).toHaveBeenCalledTimes(2_000);
  });
});
