import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { bulkhead } from './bulkhead.js';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { Fallback, fallback } from './fallback.js';
import type { Classify, Verdict } from './outcome.js';
import { pipeline } from './pipeline.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

describe('fallback', () => {
  it('tells classify how long the call took, and describes that it has one', async () => {
    const clock = new VirtualClock({ now: 1_000 });
    const durations: number[] = [];
    const classify: Classify = ({ ok, duration }) => {
      durations.push(duration);
      return ok ? 'success' : 'failure';
    };
    const layer = fallback(() => 'instead', { classify });
    const calls = pipeline({ clock }, layer);
    const takes = (duration: number, error?: Error) => () =>
      new Promise((resolve, reject) => {
        clock.schedule(() => (error === undefined ? resolve('done') : reject(error)), duration);
      });
    await expect(clock.runUntilSettled(calls.execute(takes(30)))).resolves.toBe('done');
    const failing = calls.execute(takes(70, new Error('down')));
    await expect(clock.runUntilSettled(failing)).resolves.toBe('instead');
    expect(durations).toEqual([30, 70]);
    expect(layer.describe().options).toEqual({ classify: 'function' });
  });

  it('gives an instance of its class', () => {
    expect(fallback(() => 1)).toBeInstanceOf(Fallback);
    expect([fallback(() => 1).name, fallback(() => 1, { name: 'last' }).name]).toEqual([
      'fallback',
      'last',
    ]);
  });

  it('is not asked for what succeeds', async () => {
    const fn = vi.fn();
    await expect(fallback(fn).execute(() => 'up')).resolves.toBe('up');
    expect(fn).not.toHaveBeenCalled();
  });

  it('answers a failure, and gets the error and the call', async () => {
    const fn = vi.fn((_error: unknown, call: Call) => `instead, for ${call.name}`);
    const layer = fallback(fn, { name: 'last-known' });
    const recorder = recordEvents(layer);
    await expect(layer.execute(fail, { name: 'quote' })).resolves.toBe('instead, for quote');
    expect(fn.mock.calls[0]?.[0]).toBe(down);
    expect(recorder.events).toMatchObject([
      { type: 'call.started' },
      { type: 'fallback.used', strategy: 'last-known', error: down },
      { type: 'call.succeeded' },
    ]);
  });

  it('may be asynchronous', async () => {
    await expect(fallback(async () => 'later').execute(fail)).resolves.toBe('later');
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no cache either');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no cache either'))],
  ])('that %s gives its own error', async (_, fn) => {
    await expect(fallback(fn).execute(fail)).rejects.toThrow('no cache either');
  });

  it('answers refusals', async () => {
    const breaker = circuitBreaker({ clock });
    breaker.isolate();
    const full = bulkhead({ maxConcurrentCalls: 1 });
    void full.execute(() => new Promise(() => {}));
    for (const [layer, code] of [
      [breaker, 'RESIL_CIRCUIT_ISOLATED'],
      [full, 'RESIL_BULKHEAD_FULL'],
    ] as const) {
      const fn = vi.fn(() => 'instead');
      await expect(pipeline(fallback(fn), layer).execute(() => 'up')).resolves.toBe('instead');
      expect(fn.mock.calls).toMatchObject([[{ code }, {}]]);
    }
  });

  it('answers our timeouts, whatever bare kind classify gives for them', async () => {
    for (const classify of [undefined, () => 'ignored' as const]) {
      const calls = pipeline(
        { clock },
        fallback(() => 'instead', { classify }),
        timeout({ duration: 100 }),
      );
      const call = calls.execute(() => new Promise(() => {}));
      await clock.advance(100);
      await expect(call).resolves.toBe('instead');
    }
  });

  it('answers a timeout that expired while the call still waited in a queue', async () => {
    const full = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    void full.execute(() => new Promise(() => {}));
    const calls = pipeline(
      { clock },
      fallback(() => 'instead'),
      timeout({ duration: 100 }),
      full,
    );
    const call = calls.execute(() => 'up');
    await clock.advance(100);
    await expect(call).resolves.toBe('instead');
  });

  it('answers a value that classify calls a failure, and gets it', async () => {
    const discard = vi.fn();
    const fn = vi.fn(() => 'instead');
    const layer = fallback(fn, {
      classify: (outcome): Verdict =>
        outcome.ok && outcome.value === 503
          ? { kind: 'failure', repeat: true, discard }
          : { kind: 'success', repeat: false },
    });
    const recorder = recordEvents(layer);
    await expect(layer.execute(() => 503)).resolves.toBe('instead');
    expect(fn.mock.calls).toMatchObject([[503, {}]]);
    expect(recorder.of('fallback.used')).toMatchObject([{ error: undefined }]);
    expect(discard).toHaveBeenCalledTimes(1);
    await expect(layer.execute(() => 200)).resolves.toBe(200);
    expect(discard).toHaveBeenCalledTimes(1);
  });

  it.each(['ignored', 'success'] as const)(
    'lets through an error that classify calls %s',
    async (kind) => {
      const fn = vi.fn();
      await expect(fallback(fn, { classify: () => kind }).execute(fail)).rejects.toBe(down);
      expect(fn).not.toHaveBeenCalled();
    },
  );

  it('asks classify of the pipeline where it has none', async () => {
    const calls = pipeline(
      { classify: () => 'ignored' },
      fallback(() => 'instead'),
    );
    await expect(calls.execute(fail)).rejects.toBe(down);
  });

  it("never answers the caller's own cancellation", async () => {
    const controller = new AbortController();
    const fn = vi.fn();
    const call = fallback(fn).execute(
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { signal: controller.signal },
    );
    const reason = new Error('gone');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(fn).not.toHaveBeenCalled();
  });

  it('never answers a call that was cancelled while it waited for a permit', async () => {
    const full = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    void full.execute(() => new Promise(() => {}));
    const controller = new AbortController();
    const fn = vi.fn();
    const call = pipeline({ clock }, fallback(fn), full).execute(() => 'up', {
      signal: controller.signal,
    });
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    expect(fn).not.toHaveBeenCalled();
  });

  it('never answers a cancelled call, though a timeout ends it because it does not listen', async () => {
    const controller = new AbortController();
    const fn = vi.fn();
    const calls = pipeline({ clock }, fallback(fn), timeout({ duration: 100 }));
    const call = calls.execute(() => new Promise(() => {}), { signal: controller.signal });
    await clock.advance(50);
    controller.abort('gone');
    await clock.advance(50);
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    expect(fn).not.toHaveBeenCalled();
  });

  it('answers a failure of a call that must not be repeated', async () => {
    await expect(fallback(() => 'instead').execute(fail, { idempotent: false })).resolves.toBe(
      'instead',
    );
  });

  it('around another: the inner one answers first, the outer one what that throws', async () => {
    const calls = pipeline(
      fallback((error) => `outer: ${(error as Error).message}`),
      fallback(() => {
        throw new Error('inner failed');
      }),
    );
    await expect(calls.execute(fail)).resolves.toBe('outer: inner failed');
  });
});
