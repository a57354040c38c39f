import { recordEvents, VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  circuitBreaker,
  fallback,
  observe,
  pipeline,
  type ResilienceEventType,
  reportErrorsTo,
  retry,
  timeout,
} from '../../src/index.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const broken = (): never => {
  throw new Error('thrown by a listener');
};

let clock: VirtualClock;
let reported: unknown[];
let endReporting: () => void;
beforeEach(() => {
  clock = new VirtualClock();
  reported = [];
  endReporting = reportErrorsTo((error) => reported.push(error));
});
afterEach(() => endReporting());

describe('listeners that throw', () => {
  it('do not make a function that succeeded run twice, nor its caller get their error', async () => {
    const calls = pipeline({ clock }, retry());
    calls.on(broken);
    const operation = vi.fn(() => 'value');
    await expect(calls.execute(operation)).resolves.toBe('value');
    expect(operation).toHaveBeenCalledTimes(1);
    expect(reported).toHaveLength(2);
  });

  it('do not turn a success into a failure', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1 });
    breaker.on(broken);
    const end = observe(broken);
    await expect(breaker.execute(() => 'value')).resolves.toBe('value');
    end();
    expect(breaker.state).toBe('closed');
  });

  it('change nothing about any event of any pattern', async () => {
    const run = async (listen: boolean): Promise<unknown[]> => {
      const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 50 });
      const breaker = circuitBreaker({ clock, failureThreshold: 3, resetTimeout: 100 });
      const calls = pipeline(
        fallback((error) => Promise.reject(error)),
        timeout({ duration: 500 }),
        retry({ maxAttempts: 2, baseDelay: 10, jitter: 'none' }),
        breaker,
        limit,
      );
      if (listen) calls.on(broken);
      const recorder = recordEvents(calls);
      const start = clock.now();
      const all = [
        calls.execute(() => new Promise((resolve) => clock.schedule(() => resolve('slow'), 80))),
        calls.execute(() => 'queued too long'),
        calls.execute(() => 'refused'),
      ];
      await clock.runUntilSettled(Promise.allSettled(all));
      for (let call = 0; call < 3; call++) {
        await clock.runUntilSettled(calls.execute(fail)).catch(() => {});
      }
      await clock.advance(100);
      await calls.execute(() => 'probe');
      const late = calls.execute(() => new Promise(() => {}));
      await clock.runUntilSettled(late).catch(() => {});
      breaker.isolate();
      breaker.reset();
      return recorder.events.map(({ type, at }) => [type, at - start]);
    };
    const quiet = await run(false);
    expect(await run(true)).toEqual(quiet);
    const types = new Set(quiet.map((event) => (event as [ResilienceEventType])[0]));
    expect([...types].sort()).toEqual([
      'bulkhead.queued',
      'bulkhead.rejected',
      'call.failed',
      'call.rejected',
      'call.started',
      'call.succeeded',
      'circuit.closed',
      'circuit.half-opened',
      'circuit.isolated',
      'circuit.opened',
      'circuit.rejected',
      'fallback.used',
      'retry.exhausted',
      'retry.scheduled',
      'timeout.expired',
    ]);
    expect(reported).toHaveLength(quiet.length);
  });
});

describe('events', () => {
  it('cost nothing without a listener: none is built', async () => {
    const now = vi.spyOn(clock, 'now');
    const calls = pipeline({ clock }, bulkhead());
    await calls.execute(() => 1);
    const unheard = now.mock.calls.length;
    const end = calls.on(() => {});
    now.mockClear();
    await calls.execute(() => 1);
    end();
    expect(unheard).toBe(0);
    expect(now.mock.calls.length).toBeGreaterThan(0);
  });

  it('have low-cardinality names: pipeline, strategy and type, never an argument or a value', async () => {
    const calls = pipeline({ name: 'quotes', clock }, retry({ maxAttempts: 2 }));
    const recorder = recordEvents(calls);
    const secret = { password: 'hidden' };
    await calls.wrap(async (input: object) => ({ ...input }))(secret);
    expect(JSON.stringify(recorder.events)).not.toContain('hidden');
    for (const event of recorder.events) expect(event.pipeline).toBe('quotes');
  });
});
