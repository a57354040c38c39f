import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Deferred, deferred } from '../test/deferred.js';
import { Bulkhead, type BulkheadOptions, bulkhead, bulkheadDefaults } from './bulkhead.js';
import { BulkheadFullError, QueueTimeoutError } from './errors.js';
import { type Pipeline, pipeline } from './pipeline.js';
import { timeout } from './timeout.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** A bulkhead in a pipeline on virtual time. */
function benchOf(options: BulkheadOptions): { layer: Bulkhead; calls: Pipeline } {
  const layer = bulkhead(options);
  return { layer, calls: pipeline({ clock }, layer) };
}

/** Starts so many calls that run until they are let go. */
function occupy(calls: Pipeline, count: number): Deferred<void>[] {
  return Array.from({ length: count }, () => {
    const held = deferred();
    void calls.execute(() => held.promise);
    return held;
  });
}

describe('bulkhead', () => {
  it('tells how long a call has waited, whenever it came', async () => {
    await clock.advance(1_000);
    const layer = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    const calls = pipeline({ clock }, layer);
    const recorder = recordEvents(calls);
    const held = deferred();
    const first = calls.execute(() => held.promise);
    const second = calls.execute(() => 1);
    await clock.advance(300);
    held.resolve();
    await Promise.all([first, second]);
    expect(recorder.of('bulkhead.dequeued')).toMatchObject([{ duration: 300, at: 1_300 }]);
  });

  it('gives an instance of its class', () => {
    expect(bulkhead()).toBeInstanceOf(Bulkhead);
    expect([bulkhead().name, bulkhead({ name: 'db' }).name]).toEqual(['bulkhead', 'db']);
  });

  describe('permits', () => {
    it('lets maxConcurrentCalls run and refuses the next without running it', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 2, name: 'db' });
      const recorder = recordEvents(calls);
      const held = occupy(calls, 2);
      expect(layer.running).toBe(2);
      const operation = vi.fn();
      const refused = calls.execute(operation);
      await expect(refused).rejects.toBeInstanceOf(BulkheadFullError);
      await expect(refused).rejects.toMatchObject({
        code: 'RESIL_BULKHEAD_FULL',
        message: "bulkhead 'db' is full: 2 running, 0 waiting",
        strategy: 'db',
        running: 2,
        waiting: 0,
        refusal: true,
      });
      expect(operation).not.toHaveBeenCalled();
      expect(recorder.types.slice(2)).toEqual([
        'call.started',
        'bulkhead.rejected',
        'call.rejected',
      ]);
      expect(recorder.of('bulkhead.rejected')).toMatchObject([
        { reason: 'full', running: 2, waiting: 0, strategy: 'db' },
      ]);
      held[0]?.resolve();
      await clock.flush();
      expect(layer.running).toBe(1);
      await expect(calls.execute(() => 'in')).resolves.toBe('in');
    });

    it('come back after a value, an error, a throw', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1 });
      const down = new Error('down');
      await calls.execute(() => 'value');
      await expect(calls.execute(() => Promise.reject(down))).rejects.toBe(down);
      await expect(
        calls.execute(() => {
          throw down;
        }),
      ).rejects.toBe(down);
      expect([layer.running, layer.waiting]).toEqual([0, 0]);
    });

    it('are not limited with maxConcurrentCalls Infinity, only counted', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: Infinity });
      const held = occupy(calls, 1_000);
      expect(layer.running).toBe(1_000);
      for (const one of held) one.resolve();
      await clock.flush();
      expect(layer.running).toBe(0);
    });

    it('are ten by default, and nobody waits', async () => {
      const { layer, calls } = benchOf({});
      occupy(calls, bulkheadDefaults.maxConcurrentCalls);
      await expect(calls.execute(() => 1)).rejects.toBeInstanceOf(BulkheadFullError);
      expect([layer.running, layer.waiting]).toEqual([10, 0]);
    });
  });

  describe('queue', () => {
    it('serves those who wait first come, first served', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 3 });
      const [first] = occupy(calls, 1);
      const order: number[] = [];
      const waiting = [1, 2, 3].map((id) => calls.execute(async () => order.push(id)));
      expect(layer.waiting).toBe(3);
      await clock.flush();
      expect(order).toEqual([]);
      first?.resolve();
      await Promise.all(waiting);
      expect(order).toEqual([1, 2, 3]);
      expect([layer.running, layer.waiting]).toEqual([0, 0]);
    });

    it('refuses the one that finds it full', async () => {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 2 });
      occupy(calls, 3);
      await expect(calls.execute(() => 1)).rejects.toMatchObject({
        code: 'RESIL_BULKHEAD_FULL',
        running: 1,
        waiting: 2,
      });
    });

    it('hands a permit to the one who waits longest; a newcomer cannot take it', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      const [first] = occupy(calls, 1);
      const order: string[] = [];
      const waiter = calls.execute(async () => {
        order.push('waiter');
      });
      // Comes in the very turn in which the permit is given back.
      const newcomer = first?.promise.then(() => {
        expect(layer.running).toBe(1);
        return calls.execute(async () => {
          order.push('newcomer');
        });
      });
      first?.resolve();
      await Promise.all([waiter, newcomer]);
      expect(order).toEqual(['waiter', 'newcomer']);
    });

    it('tells who waits, how long, and who waited in vain', async () => {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 2, queueTimeout: 500 });
      const [first] = occupy(calls, 1);
      const recorder = recordEvents(calls);
      const served = calls.execute(() => 'served', { name: 'one' });
      const late = calls.execute(() => 'late', { name: 'two' });
      await clock.advance(300);
      const held = deferred();
      first?.resolve();
      await expect(served).resolves.toBe('served');
      await expect(late).resolves.toBe('late');
      void calls.execute(() => held.promise);
      const vain = calls.execute(() => 'vain', { name: 'three' });
      await clock.advance(500);
      await expect(vain).rejects.toBeInstanceOf(QueueTimeoutError);
      const told = recorder.events.filter(({ type }) => type.startsWith('bulkhead.'));
      expect(told).toMatchObject([
        { type: 'bulkhead.queued', name: 'one', running: 1, waiting: 1, at: 0 },
        { type: 'bulkhead.queued', name: 'two', running: 1, waiting: 2, at: 0 },
        { type: 'bulkhead.dequeued', name: 'one', duration: 300, at: 300 },
        { type: 'bulkhead.dequeued', name: 'two', duration: 300, at: 300 },
        { type: 'bulkhead.queued', name: 'three', running: 1, waiting: 1, at: 300 },
        { type: 'bulkhead.rejected', name: 'three', reason: 'queue-timeout', at: 800 },
      ]);
      held.resolve();
    });

    it('gives a free permit to the next when a waiter left from its middle', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 9 });
      const [first] = occupy(calls, 1);
      const controllers = [0, 1, 2, 3, 4].map(() => new AbortController());
      const order: number[] = [];
      const waiting = controllers.map(({ signal }, id) =>
        calls.execute(async () => order.push(id), { signal }).catch(() => 'left'),
      );
      for (const id of [2, 0, 4]) controllers[id]?.abort();
      expect(layer.waiting).toBe(2);
      first?.resolve();
      expect(await Promise.all(waiting)).toEqual(['left', 1, 'left', 2, 'left']);
      expect(order).toEqual([1, 3]);
      expect([layer.running, layer.waiting]).toEqual([0, 0]);
    });
  });

  describe('queueTimeout', () => {
    it('refuses a call that waited for so long, and not before', async () => {
      const { layer, calls } = benchOf({
        maxConcurrentCalls: 1,
        maxQueueSize: 1,
        queueTimeout: 300,
        name: 'db',
      });
      const [first] = occupy(calls, 1);
      const operation = vi.fn();
      const call = calls.execute(operation);
      await clock.advance(299);
      expect(layer.waiting).toBe(1);
      await clock.advance(1);
      expect(layer.waiting).toBe(0);
      await expect(call).rejects.toMatchObject({
        code: 'RESIL_QUEUE_TIMEOUT',
        message: "'db' had no free permit within 300 ms",
        strategy: 'db',
        queueTimeout: 300,
        refusal: true,
      });
      first?.resolve();
      await clock.flush();
      expect(operation).not.toHaveBeenCalled();
      expect(layer.running).toBe(0);
    });

    it('of 0 lets nobody wait', async () => {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 5, queueTimeout: 0 });
      occupy(calls, 1);
      await expect(calls.execute(() => 1)).rejects.toBeInstanceOf(BulkheadFullError);
    });

    it('of Infinity waits for as long as it takes, without a timer', async () => {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: Infinity });
      const [first] = occupy(calls, 1);
      const call = calls.execute(() => 'in');
      expect(clock.pending).toBe(0);
      await clock.advance(1e10);
      first?.resolve();
      await expect(call).resolves.toBe('in');
    });

    it('leaves nothing behind for a waiter that got its permit', async () => {
      const { calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 60_000 });
      const [first] = occupy(calls, 1);
      const call = calls.execute(() => 'in');
      first?.resolve();
      await call;
      await clock.advance(20);
      expect(clock.pending).toBe(0);
    });
  });

  describe('a waiter', () => {
    it('leaves at once when its signal aborts, with the reason, and never starts', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      const [first] = occupy(calls, 1);
      const controller = new AbortController();
      const recorder = recordEvents(calls);
      const operation = vi.fn();
      const call = calls.execute(operation, { signal: controller.signal });
      const reason = new Error('gone');
      controller.abort(reason);
      expect(layer.waiting).toBe(0);
      await expect(call).rejects.toBe(reason);
      first?.resolve();
      await clock.flush();
      expect(operation).not.toHaveBeenCalled();
      expect(recorder.types).toEqual([
        'call.started',
        'bulkhead.queued',
        'bulkhead.rejected',
        'call.aborted',
      ]);
      expect(recorder.of('bulkhead.rejected')).toMatchObject([{ reason: 'aborted', waiting: 0 }]);
    });

    it('leaves at once when its deadline passes', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      occupy(calls, 1);
      const operation = vi.fn();
      const call = calls.execute(operation, { deadline: 200 });
      await clock.advance(200);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT', strategy: 'deadline' });
      expect(layer.waiting).toBe(0);
      expect(operation).not.toHaveBeenCalled();
    });

    it('leaves at once when a timeout outside expires', async () => {
      const layer = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      occupy(pipeline({ clock }, layer), 1);
      const operation = vi.fn();
      const call = pipeline({ clock }, timeout({ duration: 200 }), layer).execute(operation);
      await clock.advance(200);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT', strategy: 'timeout' });
      expect(layer.waiting).toBe(0);
    });

    it('whose permit and abort come in the same turn does not start, and gives it back', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, maxQueueSize: 1 });
      const [first] = occupy(calls, 1);
      const controller = new AbortController();
      const operation = vi.fn();
      const call = calls.execute(operation, { signal: controller.signal });
      void first?.promise.then(() => queueMicrotask(() => controller.abort('gone')));
      first?.resolve();
      const outcome = await call.catch((error: unknown) => error);
      // Whichever came first, nobody is left in and no permit is lost.
      expect(outcome === 'gone' ? operation.mock.calls.length : 0).toBe(0);
      expect([layer.running, layer.waiting]).toEqual([0, 0]);
      await expect(calls.execute(() => 'in')).resolves.toBe('in');
    });
  });

  describe('timeout', () => {
    it('limits how long a call runs, not how long it waits', async () => {
      const { calls } = benchOf({
        maxConcurrentCalls: 1,
        maxQueueSize: 1,
        timeout: 100,
        name: 'db',
      });
      const slow = (): Promise<string> =>
        new Promise((resolve) => clock.schedule(() => resolve('done'), 80));
      const both = Promise.all([calls.execute(slow), calls.execute(slow)]);
      await clock.advance(160);
      expect(await both).toEqual(['done', 'done']);
      const late = calls.execute(() => new Promise(() => {}));
      await clock.advance(100);
      await expect(late).rejects.toMatchObject({ code: 'RESIL_TIMEOUT', strategy: 'db timeout' });
    });

    it('frees the permit with the caller, for it stands inside', async () => {
      const { layer, calls } = benchOf({ maxConcurrentCalls: 1, timeout: 100 });
      const call = calls.execute(() => new Promise(() => {}));
      await clock.advance(100);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(layer.running).toBe(0);
    });
  });

  it('inside a timeout keeps the permit until the work has really ended', async () => {
    const layer = bulkhead({ maxConcurrentCalls: 1 });
    const calls = pipeline({ clock }, timeout({ duration: 100 }), layer);
    const held = deferred();
    const call = calls.execute(() => held.promise);
    await clock.advance(100);
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    expect(layer.running).toBe(1);
    await expect(calls.execute(() => 1)).rejects.toBeInstanceOf(BulkheadFullError);
    held.resolve();
    await clock.flush();
    expect(layer.running).toBe(0);
  });

  it('limits together all pipelines that it stands in', async () => {
    const layer = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    const [reads, writes] = [pipeline({ clock }, layer), pipeline({ clock }, layer)];
    const [read] = occupy(reads, 1);
    const write = writes.execute(() => 'written');
    expect(layer.waiting).toBe(1);
    read?.resolve();
    await expect(write).resolves.toBe('written');
  });
});
