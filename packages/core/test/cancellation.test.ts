import { getEventListeners } from 'node:events';
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  type Call,
  type CallOptions,
  Cancellation,
  circuitBreaker,
  fallback,
  type Pipeline,
  pipeline,
  retry,
  retryBudget,
  standard,
  timeout,
} from '../src/index.js';
import { deferred } from './deferred.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const hang = (): Promise<never> => new Promise(() => {});
/** Rejects with the reason when it is told of the abort. */
const cooperative = ({ signal }: Call): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

/** Whoever aborts, and by what. */
interface Caller {
  readonly options: Pick<CallOptions, 'signal' | 'cancellation'>;
  abort(reason: unknown): void;
  /** Whether anything still hangs on it. */
  readonly listened: boolean;
}

const bySignal = (): Caller => {
  const controller = new AbortController();
  const { signal } = controller;
  return {
    options: { signal },
    abort: (reason) => controller.abort(reason),
    get listened() {
      return getEventListeners(signal, 'abort').length > 0;
    },
  };
};
/** Whether a call hangs on it; not public. */
const isListened = (cancellation: Cancellation): boolean =>
  (cancellation as unknown as { node: { listened: boolean } }).node.listened;
const byCancellation = (): Caller => {
  const cancellation = new Cancellation();
  return {
    options: { cancellation },
    abort: (reason) => cancellation.cancel(reason),
    get listened() {
      return isListened(cancellation);
    },
  };
};
/** Given both, and aborts by `one` of them. */
const byOneOfBoth = (one: Caller, other: Caller): Caller => ({
  options: { ...one.options, ...other.options },
  abort: (reason) => one.abort(reason),
  get listened() {
    return one.listened || other.listened;
  },
});
const callers: [string, () => Caller][] = [
  ['an AbortSignal', bySignal],
  ['a Cancellation', byCancellation],
  ['an AbortSignal beside a Cancellation', () => byOneOfBoth(bySignal(), byCancellation())],
  ['a Cancellation beside an AbortSignal', () => byOneOfBoth(byCancellation(), bySignal())],
];

let clock: VirtualClock;

const reasons: [string, unknown][] = [
  ['an error', new Error('changed my mind')],
  ['a text', 'gone'],
  ['an object', { why: 'user left' }],
  ['null', null],
  ['zero', 0],
];

describe.each(callers)('cancellation by %s', (_name, makeCaller) => {
  let controller: Caller;
  let options: CallOptions;
  beforeEach(() => {
    clock = new VirtualClock();
    controller = makeCaller();
    ({ options } = controller);
  });

  /** Nothing of the call is left: no listener, no timer, nothing that still runs later. */
  async function expectNothingLeft(
    operation: ReturnType<typeof vi.fn>,
    runs: number,
  ): Promise<void> {
    expect(controller.listened).toBe(false);
    await clock.advance(3_600_000);
    expect(operation).toHaveBeenCalledTimes(runs);
    expect(clock.pending).toBe(0);
  }

  /** Aborted before anybody could hear of it. */
  function abortedFor(reason: unknown): CallOptions {
    const caller = makeCaller();
    caller.abort(reason);
    return caller.options;
  }

  describe('before the start', () => {
    const pipelines: [string, () => Pipeline][] = [
      ['nothing', () => pipeline({ clock })],
      ['timeout', () => pipeline({ clock }, timeout())],
      ['retry', () => pipeline({ clock }, retry())],
      ['circuitBreaker', () => pipeline(circuitBreaker({ clock }))],
      ['bulkhead', () => pipeline({ clock }, bulkhead())],
      [
        'fallback',
        () =>
          pipeline(
            { clock },
            fallback(() => 'instead'),
          ),
      ],
      ['standard', () => standard({ clock, fallback: () => 'instead' })],
    ];
    it.each(pipelines)('runs nothing in a pipeline of %s', async (_, make) => {
      const calls = make();
      const recorder = recordEvents(calls);
      const operation = vi.fn();
      for (const [, reason] of reasons) {
        await expect(calls.execute(operation, abortedFor(reason))).rejects.toBe(reason);
      }
      expect(operation).not.toHaveBeenCalled();
      expect(new Set(recorder.types)).toEqual(new Set(['call.started', 'call.aborted']));
      expect(clock.pending).toBe(0);
    });

    it('takes no permit, deposits nothing, and changes no state', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1 });
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
      const calls = pipeline(breaker, limit);
      await calls.execute(fail).catch(() => {});
      await clock.advance(100);
      await expect(calls.execute(hang, abortedFor('gone'))).rejects.toBe('gone');
      expect([breaker.state, limit.running]).toEqual(['half-open', 0]);
      await expect(calls.execute(() => 'the probe')).resolves.toBe('the probe');
    });

    it('keeps the reason of AbortSignal.abort() and AbortSignal.timeout()', async () => {
      const signal = AbortSignal.abort();
      await expect(pipeline(retry()).execute(hang, { signal })).rejects.toBe(signal.reason);
      expect((signal.reason as DOMException).name).toBe('AbortError');
    });
  });

  it.each(reasons)('keeps the reason while waiting: %s', async (_, reason) => {
    const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    const calls = pipeline({ clock }, timeout({ duration: 1e6 }), retry(), limit);
    void calls.execute(hang);
    const call = calls.execute(hang, options);
    await clock.flush();
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
  });

  it('while queued leaves the queue at once and never starts', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 5 });
    const calls = pipeline({ clock }, timeout({ duration: 1e6 }), retry(), limit);
    const first = calls.execute(cooperative, { signal: new AbortController().signal });
    void first.catch(() => {});
    const operation = vi.fn(hang);
    const queued = [1, 2, 3].map(() => calls.execute(operation, options).catch((e: unknown) => e));
    expect(limit.waiting).toBe(3);
    controller.abort('gone');
    expect(limit.waiting).toBe(0);
    expect(await Promise.all(queued)).toEqual(['gone', 'gone', 'gone']);
    expect(operation).not.toHaveBeenCalled();
    expect(controller.listened).toBe(false);
  });

  it('in the backoff ends the wait at once, and no attempt follows', async () => {
    const calls = pipeline({ clock }, retry({ baseDelay: 5_000, jitter: 'none' }), timeout());
    const operation = vi.fn(fail);
    const call = calls.execute(operation, options);
    await clock.advance(10);
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    expect(clock.now()).toBe(10);
    await expectNothingLeft(operation, 1);
  });

  it('in the backoff of a nested pipeline ends it just so', async () => {
    const calls = pipeline(
      { clock },
      timeout({ duration: 1e6 }),
      pipeline(pipeline(retry({ baseDelay: 5_000, jitter: 'none' }))),
    );
    const operation = vi.fn(fail);
    const call = calls.execute(operation, options);
    await clock.advance(10);
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    await expectNothingLeft(operation, 1);
  });

  it('by a deadline that passes in the very moment in which the backoff ends starts no attempt', async () => {
    const calls = pipeline({ clock }, retry({ baseDelay: 9.5, jitter: 'none' }), bulkhead());
    const operation = vi.fn(fail);
    const call = calls.execute(operation, { ...options, deadline: 10 });
    await clock.advance(10);
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    await expectNothingLeft(operation, 1);
  });

  it('in the turn in which the backoff ends starts no attempt', async () => {
    const calls = pipeline({ clock }, retry({ baseDelay: 10, jitter: 'none' }));
    const operation = vi.fn(fail);
    const call = calls.execute(operation, options);
    await clock.flush();
    clock.tick(10);
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    await expectNothingLeft(operation, 1);
  });

  describe('in the operation', () => {
    it("lets the operation's own answer stand: its error", async () => {
      const own = new Error('cleaned up');
      const operation = vi.fn(
        ({ signal }: Call) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(own))),
      );
      const calls = pipeline(
        { clock },
        fallback(() => 'instead'),
        timeout(),
        retry(),
        timeout(),
      );
      const recorder = recordEvents(calls);
      const call = calls.execute(operation, options);
      controller.abort('gone');
      await expect(call).rejects.toBe(own);
      expect(recorder.types).toEqual(['call.started', 'call.aborted']);
      await expectNothingLeft(operation, 1);
    });

    it("lets the operation's own answer stand: its value", async () => {
      const operation = vi.fn(
        ({ signal }: Call) =>
          new Promise((resolve) => signal.addEventListener('abort', () => resolve('partial'))),
      );
      const call = standard({ clock }).execute(operation, options);
      controller.abort('gone');
      await expect(call).resolves.toBe('partial');
      await expectNothingLeft(operation, 1);
    });

    it("lets the operation's own answer stand: a value that classify calls a failure", async () => {
      const operation = vi.fn(
        ({ signal }: Call) =>
          new Promise((resolve) => signal.addEventListener('abort', () => resolve(503))),
      );
      const calls = pipeline({ clock, classify: () => 'failure' }, retry(), timeout());
      const call = calls.execute(operation, options);
      controller.abort('gone');
      await expect(call).resolves.toBe(503);
      await expectNothingLeft(operation, 1);
    });

    it('schedules no retry and takes nothing from the budget after a timeout outside', async () => {
      const budget = retryBudget({ clock });
      const calls = pipeline({ clock }, timeout({ duration: 100 }), retry({ budget }));
      const recorder = recordEvents(calls);
      const held = deferred();
      const call = calls.execute(() => held.promise, options);
      const balance = budget.balance;
      await clock.advance(100);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      held.reject(down);
      await clock.flush();
      expect(budget.balance).toBe(balance);
      expect(recorder.types).toEqual(['call.started', 'timeout.expired', 'call.failed']);
    });

    it('waits for an operation that does not listen, up to its timeout', async () => {
      const operation = vi.fn(hang);
      const call = pipeline({ clock }, timeout({ duration: 500 }), retry()).execute(
        operation,
        options,
      );
      await clock.advance(100);
      controller.abort('gone');
      let settled = false;
      call.catch(() => {
        settled = true;
      });
      await clock.advance(399);
      expect(settled).toBe(false);
      await clock.advance(1);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      await expectNothingLeft(operation, 1);
    });

    it('tells every attempt and every derived signal', async () => {
      const heard = vi.fn();
      const calls = pipeline(
        { clock },
        timeout(),
        retry(),
        pipeline('inner', timeout({ duration: 9_000 })),
      );
      const operation = vi.fn((call: Call) => {
        for (let at: Call | undefined = call; at !== undefined; at = at.parent) at.onAbort(heard);
        return cooperative(call);
      });
      const call = calls.execute(operation, options);
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(heard.mock.calls.length).toBeGreaterThanOrEqual(3);
      expect(new Set(heard.mock.calls.flat())).toEqual(new Set(['gone']));
    });

    it('aborts only the call that it belongs to', async () => {
      const calls = pipeline({ clock }, timeout(), retry(), bulkhead());
      const aborted = calls.execute(cooperative, options);
      let other: AbortSignal | undefined;
      const healthy = calls.execute(
        ({ signal }) => {
          other = signal;
          return new Promise((resolve) => clock.schedule(() => resolve('healthy'), 100));
        },
        { signal: new AbortController().signal },
      );
      controller.abort('gone');
      await expect(aborted).rejects.toBe('gone');
      expect(other?.aborted).toBe(false);
      await clock.advance(100);
      await expect(healthy).resolves.toBe('healthy');
    });
  });

  describe('in half-open', () => {
    it('gives the place of the probe back, and the reason out', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
      const calls = pipeline({ clock }, timeout({ duration: 5_000 }), retry(), breaker);
      await breaker.execute(fail).catch(() => {});
      await clock.advance(100);
      const recorder = recordEvents(breaker);
      const operation = vi.fn(cooperative);
      const probe = calls.execute(operation, options);
      const reason = new Error('gone');
      controller.abort(reason);
      await expect(probe).rejects.toBe(reason);
      expect(breaker.state).toBe('half-open');
      await expect(calls.execute(() => 'next probe')).resolves.toBe('next probe');
      expect(recorder.types).toEqual(['circuit.half-opened', 'circuit.closed']);
      await expectNothingLeft(operation, 1);
    });

    it('hands the signal to the probe', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
      await breaker.execute(fail).catch(() => {});
      await clock.advance(100);
      let given: AbortSignal | undefined;
      const probe = breaker.execute((call) => {
        given = call.signal;
        return cooperative(call);
      }, options);
      controller.abort('gone');
      await expect(probe).rejects.toBe('gone');
      expect([given?.aborted, given?.reason]).toEqual([true, 'gone']);
    });
  });

  describe('can be told from a timeout', () => {
    it('by the error, by call.cancelled, and by the events', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 100 }));
      const recorder = recordEvents(calls);
      const seen: Call[] = [];
      const operation = (call: Call): Promise<never> => {
        seen.push(call);
        return cooperative(call);
      };
      const timedOut = calls.execute(operation, { signal: new AbortController().signal });
      await clock.advance(100);
      await expect(timedOut).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      const cancelled = calls.execute(operation, options);
      controller.abort('gone');
      await expect(cancelled).rejects.toBe('gone');
      expect(seen.map((call) => [call.aborted, call.cancelled])).toEqual([
        [true, false],
        [true, true],
      ]);
      expect(recorder.types).toEqual([
        'call.started',
        'timeout.expired',
        'call.failed',
        'call.started',
        'call.aborted',
      ]);
    });

    it('a timeout that expired first stays one, though the caller aborts afterwards', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const calls = pipeline({ clock }, breaker, timeout({ duration: 100 }));
      let inside: Call | undefined;
      const call = calls.execute((own) => {
        inside = own;
        return hang();
      }, options);
      await clock.advance(100);
      controller.abort('too late');
      const error = await call.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect([inside?.cancelled, inside?.reason]).toEqual([false, error]);
      expect(inside?.signal.reason).toBe(error);
      expect(breaker.state).toBe('open');
    });
  });

  it('in the fallback lets its own answer stand', async () => {
    const calls = pipeline(
      { clock },
      fallback((_error, call) => cooperative(call)),
    );
    const call = calls.execute(fail, options);
    await clock.flush();
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
  });

  it('after the end changes nothing', async () => {
    const calls = standard({ clock });
    const recorder = recordEvents(calls);
    let given: AbortSignal | undefined;
    await calls.execute(({ signal }) => {
      given = signal;
    }, options);
    controller.abort('too late');
    await clock.flush();
    expect(given?.aborted).toBe(false);
    expect(recorder.types).toEqual(['call.started', 'call.succeeded']);
  });
});

describe('Cancellation', () => {
  it('has the reason of an AbortController, and only the first one', async () => {
    const cancellation = new Cancellation();
    expect([cancellation.aborted, cancellation.reason]).toEqual([false, undefined]);
    cancellation.cancel();
    cancellation.cancel('again');
    expect(cancellation.aborted).toBe(true);
    expect(cancellation.reason).toMatchObject({ name: 'AbortError' });
    expect(cancellation.signal.reason).toBe(cancellation.reason);
    const call = pipeline(retry()).execute(hang, { cancellation });
    await expect(call).rejects.toBe(cancellation.reason);
  });

  it('aborts all the calls that it was given to', async () => {
    const cancellation = new Cancellation();
    const calls = [1, 2, 3].map(() => pipeline(timeout()).execute(cooperative, { cancellation }));
    cancellation.cancel('all of them');
    for (const call of calls) await expect(call).rejects.toBe('all of them');
    expect(isListened(cancellation)).toBe(false);
  });
});
