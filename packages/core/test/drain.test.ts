import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  adaptiveLimiter,
  bulkhead,
  isRefusal,
  keyed,
  type Layer,
  type Pipeline,
  pipeline,
  rateLimiter,
  retry,
} from '../src/index.js';
import { deferred } from './deferred.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

const queues: [name: string, make: () => Layer, event: string][] = [
  ['bulkhead', () => bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 9 }), 'bulkhead.rejected'],
  [
    'rateLimiter',
    () => rateLimiter({ maxCalls: 1, interval: 500, maxQueueSize: 9, queueTimeout: 5_000, clock }),
    'rate-limit.rejected',
  ],
  [
    'adaptiveLimiter',
    () => adaptiveLimiter({ initialLimit: 1, maxLimit: 1, maxQueueSize: 9, clock }),
    'limiter.rejected',
  ],
];

describe.each(queues)('drain of a %s', (_name, make, rejected) => {
  let calls: Pipeline;
  beforeEach(() => {
    calls = pipeline({ name: 'calls', clock }, retry({ maxAttempts: 3 }), make());
  });

  it('sends away those who wait, at once, and lets what runs go on', async () => {
    const events = recordEvents(calls);
    const running = deferred<string>();
    const first = calls.execute(() => running.promise);
    const waiting = calls.execute(() => 'never').catch((error: unknown) => error);
    calls.drain();
    const error = await waiting;
    expect(error).toMatchObject({ code: 'RESIL_DRAINING' });
    expect(isRefusal(error)).toBe(true);
    expect(events.events).toContainEqual(
      expect.objectContaining({ type: rejected, reason: 'draining', waiting: 0 }),
    );
    running.resolve('done');
    expect(await first).toBe('done');
  });

  it('lets nobody wait from now on, but lets in who need not', async () => {
    calls.drain();
    const running = deferred<string>();
    const first = calls.execute(() => running.promise);
    await expect(calls.execute(() => 'never')).rejects.toMatchObject({ code: 'RESIL_DRAINING' });
    running.resolve('done');
    expect(await first).toBe('done');
    await clock.advance(1_000);
    expect(await calls.execute(() => 'alone')).toBe('alone');
  });

  it('counts those who were sent away', async () => {
    const running = deferred<void>();
    const first = calls.execute(() => running.promise);
    const waiting = Promise.allSettled([1, 2, 3].map(() => calls.execute(() => 1)));
    calls.drain();
    await waiting;
    const { layers } = calls.describe();
    expect(layers[1]).toMatchObject({ state: { waiting: 0 }, counters: { rejected: 3 } });
    running.resolve();
    await first;
  });
});

describe('drain of keyed pipelines', () => {
  it('drains those of all keys, also of keys that come later', async () => {
    const shards = keyed(
      (key) => pipeline({ key, clock }, bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 9 })),
      { clock },
    );
    const running = deferred<void>();
    const old = shards.execute('old', () => running.promise);
    const waiting = shards.execute('old', () => 1);
    shards.drain();
    await expect(waiting).rejects.toMatchObject({ code: 'RESIL_DRAINING' });
    const young = shards.execute('young', () => running.promise);
    await expect(shards.execute('young', () => 1)).rejects.toMatchObject({
      code: 'RESIL_DRAINING',
    });
    running.resolve();
    await Promise.all([old, young]);
  });
});
