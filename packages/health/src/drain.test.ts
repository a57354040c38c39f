import { bulkhead, type Keyed, keyed, type Pipeline, pipeline } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DrainOptions } from './drain.js';
import { type Health, health } from './health.js';

let clock: VirtualClock;
let pipelines: (Pipeline | Keyed)[];
let own: Health;
beforeEach(() => {
  clock = new VirtualClock();
  pipelines = [];
  own = health({ clock, pipelines: () => pipelines });
});

const after = (duration: number): Promise<void> =>
  new Promise((resolve) => void clock.schedule(resolve, duration));

describe('drain', () => {
  it('goes in order: not ready, stop, running calls, close', async () => {
    const calls = pipeline({ name: 'calls', clock });
    pipelines.push(calls);
    const order: string[] = [];
    const note = (what: string) => order.push(`${what} at ${clock.now()}`);
    const running = calls.execute(() => after(1_000)).then(() => note('call'));
    const draining = own.drain({
      readinessDelay: 500,
      stop: { http: () => note('stop') },
      close: { pool: () => note('close') },
    });
    expect(await own.readiness()).toEqual({ status: 'fail', output: 'draining' });
    const report = await clock.runUntilSettled(draining);
    await running;
    expect(order).toEqual(['stop at 500', 'call at 1000', 'close at 1000']);
    expect(report).toEqual({
      clean: true,
      duration: 1_000,
      refused: 0,
      finished: 1,
      unfinished: {},
      stop: [{ name: 'http', status: 'done', duration: 0 }],
      close: [{ name: 'pool', status: 'done', duration: 0 }],
    });
  });

  it('still takes in what comes before readinessDelay is over', async () => {
    const calls = pipeline(
      { name: 'calls', clock },
      bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 }),
    );
    pipelines.push(calls);
    const draining = own.drain({ readinessDelay: 500 });
    const first = calls.execute(() => after(100));
    const second = calls.execute(() => after(100));
    await clock.advance(400);
    await Promise.all([first, second]);
    expect(await clock.runUntilSettled(draining)).toMatchObject({ clean: true, refused: 0 });
  });

  it('sends away who waits, of keyed pipelines too', async () => {
    const shards = keyed(
      (key) => pipeline({ key, clock }, bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 5 })),
      { name: 'shards', clock },
    );
    pipelines.push(shards);
    const running = shards.execute('a', () => after(700));
    const waiting = Promise.allSettled([1, 2].map(() => shards.execute('a', () => 1)));
    const report = await clock.runUntilSettled(own.drain({ readinessDelay: 0 }));
    expect(await waiting).toMatchObject([
      { status: 'rejected', reason: { code: 'RESIL_DRAINING' } },
      { status: 'rejected', reason: { code: 'RESIL_DRAINING' } },
    ]);
    await running;
    expect(report).toMatchObject({ clean: true, refused: 2, finished: 1 });
  });

  it('keeps time for close, and tells what did not finish', async () => {
    const calls = pipeline({ name: 'calls', clock });
    pipelines.push(calls);
    calls.execute(() => new Promise(() => {})).catch(() => {});
    const closed: number[] = [];
    const report = await clock.runUntilSettled(
      own.drain({ deadline: 10_000, close: { pool: () => closed.push(clock.now()) } }),
    );
    expect(closed[0]).toBeGreaterThanOrEqual(9_000);
    expect(closed[0]).toBeLessThan(10_000);
    expect(report).toMatchObject({ clean: false, finished: 0, unfinished: { calls: 1 } });
  });

  it('goes on past steps that fail or never end, and tells of errors only the type', async () => {
    let seen: AbortSignal | undefined;
    const report = await clock.runUntilSettled(
      own.drain({
        deadline: 1_000,
        stop: {
          broken: () => {
            throw Object.assign(new Error('secret'), { code: 'E_BROKEN' });
          },
          hanging: ({ signal }) => {
            seen = signal;
            return new Promise(() => {});
          },
        },
        close: { rejecting: () => Promise.reject(new TypeError('secret')), fine: () => 1 },
      }),
    );
    expect(report.clean).toBe(false);
    expect(report.stop).toEqual([
      { name: 'broken', status: 'failed', duration: 0, errorType: 'E_BROKEN' },
      { name: 'hanging', status: 'timed-out', duration: 700 },
    ]);
    expect(report.close).toEqual([
      { name: 'rejecting', status: 'failed', duration: 0, errorType: 'TypeError' },
      { name: 'fine', status: 'done', duration: 0 },
    ]);
    expect(JSON.stringify(report)).not.toContain('secret');
    await clock.runUntilIdle();
    expect(seen?.aborted).toBe(true);
  });

  it('is one, however often it is asked for', async () => {
    let stops = 0;
    const options = { readinessDelay: 0, stop: { once: () => stops++ } };
    const reports = await clock.runUntilSettled(
      Promise.all([own.drain(options), own.drain(options)]),
    );
    expect(reports[0]).toBe(reports[1]);
    expect(stops).toBe(1);
  });

  it.each<[DrainOptions, RegExp]>([
    [{ deadline: 0 }, /^drain\.deadline must be a number of milliseconds above 0, but got 0/],
    [
      { deadline: 100, readinessDelay: 100 },
      /^drain\.readinessDelay must be less than deadline \(100\), but got 100/,
    ],
    [{ stop: { http: 1 as never } }, /^drain\.stop must be an object of functions by name/],
    [{ colour: 1 } as never, /^drain\.colour is not an option/],
  ])('refuses %o, and does not drain', (options, message) => {
    expect(() => own.drain(options)).toThrow(message);
    expect(own.draining).toBe(false);
  });
});
