import { bulkhead, observe } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Bench, place } from '../test/handled.js';
import type { GivenUpMessage } from './consumer-options.js';

const boom = async (): Promise<never> => {
  throw new Error('boom');
};
const fine = async (): Promise<void> => {};
const rebalance = Object.assign(new Error('rebalance'), { type: 'REBALANCE_IN_PROGRESS' });
const BREAKER = { failureThreshold: 3, resetTimeout: 1_000, halfOpenCalls: 2 };

const recorder = recordEvents(observe);
afterEach(() => recorder.clear());
const told = () =>
  recorder.events
    .filter(({ type }) => type.startsWith('message.') || type.startsWith('consumer.'))
    .map(({ type, name }) => `${type} ${name}`);

describe('handling a message', () => {
  it('runs its handler until it succeeds', async () => {
    const bench = new Bench();
    const attempts: number[] = [];
    const handled = await bench.handle(place(1), async ({ attempt, topic }) => {
      expect(topic).toBe('orders');
      attempts.push(attempt);
      if (attempt < 3) throw new Error('not yet');
    });
    expect(handled).toEqual({ kind: 'done' });
    expect(attempts).toEqual([1, 2, 3]);
    expect(bench.clock.now()).toBe(300);
    expect(bench.sent).toEqual([]);
  });

  it('gives it up after maxAttempts, with headers that tell why, when, where from and how often', async () => {
    const onGivenUp = vi.fn<(message: GivenUpMessage) => void>();
    const bench = new Bench({ onGivenUp }, 'billing');
    const run = vi.fn(boom);
    const left = {
      'x-resil-partition': '9',
      'x-resil-offset': '9',
      'x-resil-due': '9',
      own: 'kept',
    };
    expect(await bench.handle(place(7, { headers: left }), run)).toEqual({ kind: 'done' });
    expect(run).toHaveBeenCalledTimes(3);
    expect(bench.sent).toHaveLength(1);
    expect(bench.sent[0]?.topic).toBe('orders.dlq');
    // What is left of a former life counts for nothing.
    expect(bench.sent[0]?.message.headers).toEqual({
      own: 'kept',
      'x-resil-topic': 'orders',
      'x-resil-partition': '0',
      'x-resil-offset': '7',
      'x-resil-group': 'billing',
      'x-resil-attempts': '3',
      'x-resil-error': 'Error: boom',
      'x-resil-timestamp': '300',
    });
    expect(onGivenUp).toHaveBeenCalledTimes(1);
    expect(onGivenUp.mock.calls[0]?.[0]).toMatchObject({ to: 'orders.dlq', attempts: 3 });
    expect(recorder.of('message.dead-lettered')).toMatchObject([
      { pipeline: 'kafka consumer', name: 'orders', to: 'orders.dlq', attempts: 3, attempt: 0 },
    ]);
    expect(JSON.stringify(recorder.events)).not.toContain('kept');
  });

  it('goes through retry topics, counting all attempts, and not before they are due', async () => {
    const bench = new Bench({ retry: false, retryDelays: [1_000, 5_000] }, 'billing');
    const run = vi.fn(boom);
    const next = () => {
      const last = bench.sent.at(-1);
      return place(0, { topic: last?.topic ?? '', headers: last?.message.headers });
    };
    await bench.handle(place(7, { partition: 3 }), run);
    expect(await bench.handle(next(), run)).toEqual({
      kind: 'held',
      reason: 'not-due',
      delay: 1_000,
    });
    await bench.clock.advance(1_000);
    await bench.handle(next(), run);
    await bench.clock.advance(5_000);
    await bench.handle(next(), run);
    expect(run).toHaveBeenCalledTimes(3);
    expect(bench.sent.map(({ topic }) => topic)).toEqual([
      'orders.retry.1',
      'orders.retry.2',
      'orders.dlq',
    ]);
    expect(bench.sent[2]?.message.headers).toMatchObject({
      'x-resil-partition': '3',
      'x-resil-offset': '7',
      'x-resil-attempts': '3',
      'x-resil-timestamp': '0',
    });
    expect(bench.sent[2]?.message.headers).not.toHaveProperty('x-resil-due');
    expect(told()).toEqual([
      'message.retried orders',
      'message.retried orders',
      'message.dead-lettered orders',
    ]);
    expect(recorder.of('message.retried').map(({ delay }) => delay)).toEqual([1_000, 5_000]);
  });

  it('gives up at once what classify says must not be repeated', async () => {
    for (const verdict of ['ignored', { kind: 'failure', repeat: false }] as const) {
      const bench = new Bench({ classify: () => verdict, retryDelays: [1] });
      const run = vi.fn(boom);
      await bench.handle(place(1), run);
      expect(run).toHaveBeenCalledTimes(1);
      expect(bench.sent.map(({ topic }) => topic)).toEqual(['orders.dlq']);
    }
  });

  it('keeps its place while it can not be sent on, and does not run its handler again', async () => {
    const bench = new Bench({ holdDelay: 700 });
    bench.broken = new Error('the dead-letter topic is down');
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const run = vi.fn(boom);
    for (let round = 0; round < 3; round += 1) {
      expect(await bench.handle(place(1), run)).toEqual({
        kind: 'held',
        reason: 'undelivered',
        delay: 700,
      });
    }
    expect(reported).toHaveBeenCalledTimes(3);
    reported.mockRestore();
    bench.broken = undefined;
    expect(await bench.handle(place(1), run)).toEqual({ kind: 'done' });
    expect(run).toHaveBeenCalledTimes(3);
    expect(bench.sent[0]?.message.headers).toMatchObject({ 'x-resil-attempts': '3' });
  });

  it('tries for ever without a dead-letter topic', async () => {
    const bench = new Bench({ deadLetterTopic: false });
    const run = vi.fn(boom);
    for (let round = 0; round < 3; round += 1) {
      expect(await bench.handle(place(1), run)).toMatchObject({ kind: 'held', reason: 'failed' });
    }
    expect(run).toHaveBeenCalledTimes(9);
  });

  it('knows the retries of its own group from those of others', () => {
    const bench = new Bench({}, 'billing');
    const from = (group: string, topic = 'orders.retry.1') =>
      place(1, { topic, headers: { 'x-resil-topic': 'orders', 'x-resil-group': group } });
    expect(bench.handling.isForeign(from('billing'))).toBe(false);
    expect(bench.handling.isForeign(from('shipping'))).toBe(true);
    expect(bench.handling.isForeign(from('shipping', 'orders'))).toBe(false);
    expect(new Bench().handling.isForeign(from('shipping'))).toBe(false);
  });
});

describe('the circuit breaker', () => {
  it('holds messages while it is open, and gives none up', async () => {
    const bench = new Bench({ circuitBreaker: BREAKER, retry: { maxAttempts: 9, baseDelay: 1 } });
    let down = true;
    const run = vi.fn(async () => {
      if (down) throw new Error('down');
    });
    expect(await bench.handle(place(1), run)).toEqual({
      kind: 'held',
      reason: 'refused',
      delay: expect.closeTo(1_000, -2),
    });
    expect(run).toHaveBeenCalledTimes(3);
    expect(await bench.handle(place(1), run)).toMatchObject({ kind: 'held', reason: 'refused' });
    expect(run).toHaveBeenCalledTimes(3);
    for (let outage = 0; outage < 20; outage += 1) {
      await bench.clock.advance(1_000);
      expect(await bench.handle(place(1), run)).toMatchObject({ kind: 'held', reason: 'refused' });
    }
    down = false;
    await bench.clock.advance(1_000);
    expect(await bench.handle(place(1), run)).toEqual({ kind: 'done' });
    expect(bench.sent).toEqual([]);
  });

  it("opens by a message's last attempt without giving it up", async () => {
    const bench = new Bench({ circuitBreaker: BREAKER });
    expect(await bench.handle(place(1), boom)).toMatchObject({ kind: 'held', reason: 'refused' });
    expect(bench.sent).toEqual([]);
  });

  it('makes room for the message of another partition, which shows who is to blame', async () => {
    const window = { calls: 20 };
    const circuitBreaker = { failureRatio: 0.5, minimumCalls: 3, window, resetTimeout: 1_000 };
    const bench = new Bench({ circuitBreaker: { ...circuitBreaker, halfOpenCalls: 3 } });
    const poison = vi.fn(boom);
    const others = async (count: number) => {
      for (let offset = 1; offset <= count; offset += 1) {
        expect(await bench.handle(place(offset, { partition: 1 }), fine)).toEqual({ kind: 'done' });
      }
    };
    expect(await bench.handle(place(1), poison)).toMatchObject({ kind: 'held' });
    await bench.clock.advance(1_000);
    // As a probe it has one attempt.
    expect(await bench.handle(place(1), poison)).toMatchObject({ kind: 'held' });
    expect(poison).toHaveBeenCalledTimes(4);
    await others(2);
    expect(recorder.of('circuit.closed')).toHaveLength(1);
    await others(4);
    expect(await bench.handle(place(1), poison)).toEqual({ kind: 'done' });
    expect(bench.sent[0]?.message.headers?.['x-resil-attempts']).toBe('7');
  });

  it('is not kept open for ever by a message: it is given up after maxHoldDuration', async () => {
    const bench = new Bench({ circuitBreaker: BREAKER, maxHoldDuration: 5_000 });
    const run = vi.fn(boom);
    let handled = await bench.handle(place(1), run);
    for (let round = 0; handled.kind === 'held'; round += 1) {
      expect(round).toBeLessThan(20);
      await bench.clock.advance(handled.delay);
      handled = await bench.handle(place(1), run);
    }
    expect(bench.clock.now()).toBeGreaterThanOrEqual(5_000);
    expect(bench.sent.map(({ topic }) => topic)).toEqual(['orders.dlq']);
    expect(bench.sent[0]?.message.headers?.['x-resil-attempts']).toBe(
      String(run.mock.calls.length),
    );
  });

  it.each([
    ['TypeError', () => new TypeError('of undefined'), 0],
    ['SyntaxError', () => new SyntaxError('no JSON'), 0],
    ['a TypeError with a cause, as that of fetch', () => new TypeError('failed', { cause: 1 }), 1],
    ['Error', () => new Error('down'), 1],
  ])('hears of %s: %#', async (_, error, opened) => {
    const bench = new Bench({ circuitBreaker: BREAKER });
    const run = vi.fn(async () => {
      throw error();
    });
    await bench.handle(place(1), run);
    expect(run).toHaveBeenCalledTimes(3);
    expect(recorder.of('circuit.opened')).toHaveLength(opened);
    expect(bench.sent).toHaveLength(1 - opened);
  });

  it('hears nothing of a rebalance', async () => {
    const bench = new Bench({ circuitBreaker: { ...BREAKER, failureThreshold: 1 } });
    const failed = bench.handle(place(1), async () => {
      throw rebalance;
    });
    await expect(failed).rejects.toBe(rebalance);
    expect(recorder.of('circuit.opened')).toEqual([]);
    expect(bench.sent).toEqual([]);
  });

  it("waits as long as the handler's own dependency asks for", async () => {
    const outer = new Bench();
    const inner = new Bench({ circuitBreaker: BREAKER });
    await inner.handle(place(1), boom);
    const { circuitBreaker } = await import('@resil/core');
    const own = circuitBreaker({ failureThreshold: 1, resetTimeout: 4_000, clock: outer.clock });
    await own.execute(boom).catch(() => {});
    expect(await outer.handle(place(1), () => own.execute(fine))).toEqual({
      kind: 'held',
      reason: 'refused',
      delay: 4_000,
    });
  });
});

describe('heartbeats', () => {
  it('go on while a handler runs and waits, and end with it', async () => {
    const bench = new Bench({ heartbeatInterval: 10 });
    await bench.handle(place(1), boom);
    expect(bench.beats).toBe(29);
    await bench.clock.advance(1_000);
    expect(bench.beats).toBe(29);
  });

  it('survive an error that is not that of a rebalance', async () => {
    const bench = new Bench({ heartbeatInterval: 10 });
    bench.lost = new Error('no connection');
    expect(await bench.handle(place(1), boom)).toEqual({ kind: 'done' });
    expect(bench.beats).toBe(29);
  });

  it('tell the handler of a rebalance, and pass its error on whatever the handler says', async () => {
    for (const answer of [new Error('stopped'), new TypeError('stopped')]) {
      const bench = new Bench({ heartbeatInterval: 10 });
      bench.lost = rebalance;
      let reason: unknown;
      const run = vi.fn(({ signal }: { signal: AbortSignal }) => {
        return new Promise<void>((_, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            reject(answer);
          });
        });
      });
      await expect(bench.handle(place(1), run)).rejects.toBe(rebalance);
      expect(reason).toBe(rebalance);
      expect(bench.clock.now()).toBe(10);
      expect(run).toHaveBeenCalledTimes(1);
      expect(bench.sent).toEqual([]);
    }
  });

  it('end the wait between two attempts at a rebalance', async () => {
    const bench = new Bench({ heartbeatInterval: 10 });
    bench.lost = rebalance;
    const run = vi.fn(boom);
    await expect(bench.handle(place(1), run)).rejects.toBe(rebalance);
    expect(run).toHaveBeenCalledTimes(1);
    expect(bench.clock.now()).toBe(10);
  });

  it('leave a message done whose handler finishes all the same', async () => {
    const bench = new Bench({ heartbeatInterval: 10 });
    bench.lost = rebalance;
    const handled = bench.handle(
      place(1),
      () => new Promise((resolve) => void bench.clock.schedule(resolve, 50)),
    );
    expect(await handled).toEqual({ kind: 'done', lost: rebalance });
    // The group waits for it, as long as it is heard of.
    expect(bench.beats).toBe(4);
  });
});

describe('draining', () => {
  it('lets a running handler finish', async () => {
    const bench = new Bench();
    let finish = (): void => {};
    const handled = bench.handling.message(
      place(1),
      bench.heartbeat,
      ({ signal }) =>
        new Promise((resolve) => {
          finish = () => {
            expect(signal.aborted).toBe(false);
            resolve();
          };
        }),
    );
    bench.handling.drain();
    await bench.clock.advance(100);
    finish();
    expect(await handled).toEqual({ kind: 'done' });
    // Its patience has no timer any more.
    await bench.clock.runUntilIdle();
    expect(bench.clock.now()).toBe(100);
  });

  it('aborts it after drainTimeout, and gives nothing up', async () => {
    const bench = new Bench({ drainTimeout: 500, classify: () => 'ignored' });
    const handled = bench.handling.message(
      place(1),
      bench.heartbeat,
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('stopped')));
        }),
    );
    bench.handling.drain();
    expect(await bench.settle(handled)).toMatchObject({ kind: 'held' });
    expect(bench.clock.now()).toBe(500);
    expect(bench.sent).toEqual([]);
  });

  it('ends the wait between two attempts at once, and begins no other', async () => {
    const bench = new Bench();
    const run = vi.fn(boom);
    const handled = bench.handling.message(place(1), bench.heartbeat, run);
    await bench.clock.advance(50);
    bench.handling.drain();
    expect(await handled).toMatchObject({ kind: 'held' });
    expect(bench.clock.now()).toBe(50);
    expect(await bench.handle(place(2), run)).toMatchObject({ kind: 'held' });
    expect(run).toHaveBeenCalledTimes(1);
    expect(bench.sent).toEqual([]);
  });

  it('ends waits that were asked for', async () => {
    const bench = new Bench();
    const waited = bench.handling.wait(60_000, bench.heartbeat);
    await bench.clock.advance(3_500);
    expect(bench.beats).toBe(3);
    bench.handling.drain();
    await waited;
    expect(bench.clock.now()).toBe(3_500);
  });
});

describe('the bulkhead', () => {
  it.each([
    ['of one consumer', (limit: object) => limit, 2],
    ['shared by two', (limit: object) => bulkhead(limit), 1],
  ])('%s limits how many handlers run', async (_, limitOf, expected) => {
    const limit = limitOf({ maxConcurrentCalls: 1, maxQueueSize: 5, queueTimeout: 60_000 });
    const first = new Bench({ bulkhead: limit, attemptTimeout: 5_000 });
    const second = new Bench({ bulkhead: limit, attemptTimeout: 5_000, clock: first.clock });
    let running = 0;
    let most = 0;
    const run = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => void first.clock.schedule(resolve, 100));
      running -= 1;
    };
    const handled = [first, second].flatMap((bench) =>
      [0, 1].map((partition) =>
        bench.handling.message(place(1, { partition }), bench.heartbeat, run),
      ),
    );
    expect(await first.settle(Promise.all(handled))).toHaveLength(4);
    expect(most).toBe(expected);
  });

  it('holds what it refuses', async () => {
    const bench = new Bench({ bulkhead: { maxConcurrentCalls: 1, maxQueueSize: 0 } });
    const controller = new AbortController();
    const first = bench.handling.message(
      place(1),
      bench.heartbeat,
      () => new Promise((resolve) => controller.signal.addEventListener('abort', () => resolve())),
    );
    expect(await bench.handle(place(1, { partition: 1 }), fine)).toEqual({
      kind: 'held',
      reason: 'refused',
      delay: 1_000,
    });
    controller.abort();
    expect(await first).toEqual({ kind: 'done' });
  });
});
