import { getEventListeners } from 'node:events';
import { seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlinesOf } from '../src/deadline-wheel.js';
import {
  bulkhead,
  type Call,
  type CallOptions,
  circuitBreaker,
  fallback,
  keyed,
  type Pipeline,
  pipeline,
  retry,
  standard,
  timeout,
} from '../src/index.js';
import { runChild } from './child.js';
import { deferred } from './deferred.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const cooperative = ({ signal }: Call): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

let clock: VirtualClock;
let controller: AbortController;
let signal: AbortSignal;
let options: CallOptions;
let added: ReturnType<typeof vi.spyOn>;
let removed: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  clock = new VirtualClock();
  controller = new AbortController();
  signal = controller.signal;
  options = { signal };
  added = vi.spyOn(signal, 'addEventListener');
  removed = vi.spyOn(signal, 'removeEventListener');
});

const listeners = (): number => getEventListeners(signal, 'abort').length;

/** The ways a call can end. */
const ends: [string, (calls: Pipeline) => Promise<unknown>][] = [
  ['a value', (calls) => calls.execute(() => 1, options)],
  [
    'a value after its signal was read',
    (calls) => calls.execute((call) => call.signal.aborted, options),
  ],
  ['an error', (calls) => calls.execute(fail, options)],
  [
    'a throw',
    (calls) =>
      calls.execute(() => {
        throw down;
      }, options),
  ],
  ['a timeout', (calls) => calls.execute(cooperative, options)],
  ['a deadline', (calls) => calls.execute(cooperative, { ...options, deadline: clock.now() + 5 })],
  [
    'a passed deadline',
    (calls) => calls.execute(() => 1, { ...options, deadline: clock.now() - 5 }),
  ],
  [
    'an admission',
    (calls) => calls.admit(options).then(({ settle }) => settle({ ok: true, value: 1 })),
  ],
];

const pipelines: [string, () => Pipeline][] = [
  ['timeout', () => pipeline({ clock }, timeout({ duration: 100 }))],
  [
    'retry > timeout',
    () => pipeline({ clock }, retry({ baseDelay: 10 }), timeout({ duration: 100 })),
  ],
  [
    'bulkhead > timeout',
    () => pipeline({ clock }, bulkhead({ maxConcurrentCalls: 1, timeout: 100 })),
  ],
  [
    'timeout > circuitBreaker',
    () => pipeline(timeout({ duration: 100 }), circuitBreaker({ clock, failureThreshold: 1e9 })),
  ],
  [
    'fallback > timeout',
    () =>
      pipeline(
        { clock },
        fallback(() => 'instead'),
        timeout({ duration: 100 }),
      ),
  ],
  [
    'standard',
    () => standard({ clock, attemptTimeout: 100, circuitBreaker: { failureThreshold: 1e9 } }),
  ],
  [
    'nested',
    () =>
      pipeline(
        { clock },
        timeout({ duration: 500 }),
        pipeline(
          'a',
          retry({ baseDelay: 10 }),
          pipeline('b', bulkhead(), timeout({ duration: 100 })),
        ),
      ),
  ],
];

describe('leaks', () => {
  describe.each(pipelines)('%s', (_, make) => {
    it.each(ends)('leaves no listener and no timer after %s', async (_end, run) => {
      const calls = make();
      for (let call = 0; call < 20; call++) {
        await clock.runUntilSettled(run(calls).catch(() => {}));
        expect(listeners()).toBe(0);
      }
      expect(added.mock.calls).toHaveLength(removed.mock.calls.length);
      expect(deadlinesOf(clock).size).toBe(0);
      await clock.advance(20);
      expect(clock.pending).toBe(0);
    });
  });

  describe("on the caller's signal", () => {
    it('a thousand calls at a time share one listener, and leave none', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 1e6 }), retry({ baseDelay: 50 }));
      const held = deferred();
      const all = Array.from({ length: 1_000 }, (_, id) =>
        calls.execute((call) => {
          call.onAbort(() => {});
          void call.signal;
          return id % 2 === 0 || call.attempt > 1 ? held.promise : fail();
        }, options),
      );
      await clock.flush();
      expect(listeners()).toBe(1);
      expect(added).toHaveBeenCalledTimes(1);
      await clock.advance(50);
      held.resolve();
      await Promise.all(all);
      expect(listeners()).toBe(0);
      expect(removed).toHaveBeenCalledTimes(1);
    });

    it('a thousand calls that wait for a permit share one listener, and leave none', async () => {
      const calls = pipeline({ clock }, bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1_000 }));
      const held = deferred();
      const all = Array.from({ length: 1_001 }, () => calls.execute(() => held.promise, options));
      expect([listeners(), added.mock.calls.length]).toEqual([1, 1]);
      held.resolve();
      await Promise.all(all);
      expect(listeners()).toBe(0);
    });

    it('there is none at all while nobody waits on it', async () => {
      const calls = pipeline(
        retry(),
        circuitBreaker({ clock }),
        bulkhead(),
        timeout({ duration: 100 }),
      );
      for (let call = 0; call < 100; call++) await calls.execute(() => 1, options);
      expect(added).not.toHaveBeenCalled();
    });

    it('there is none for a closed circuit under a timeout', async () => {
      const calls = standard({ clock });
      for (let call = 0; call < 100; call++) await calls.execute(() => 1, options);
      expect(added).not.toHaveBeenCalled();
    });

    it('one that a waiter needs is there though a closed circuit hangs on the same call', async () => {
      const calls = pipeline(
        timeout({ duration: 1_000 }),
        circuitBreaker({ clock }),
        retry({ baseDelay: 500, jitter: 'none' }),
      );
      const call = calls.execute(() => Promise.reject(new Error('down')), options);
      await clock.advance(10);
      expect(listeners()).toBe(1);
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(listeners()).toBe(0);
    });

    it('an abort reaches every call, and takes the listener off', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 1e6 }));
      const all = Array.from({ length: 100 }, () =>
        calls.execute(cooperative, options).catch((reason: unknown) => reason),
      );
      controller.abort('gone');
      expect(new Set(await Promise.all(all))).toEqual(new Set(['gone']));
      expect(listeners()).toBe(0);
    });

    it('nothing is left on the signal of a call that outlives its timeout', async () => {
      const calls = pipeline({ clock }, timeout({ duration: 100 }), retry());
      const held = deferred();
      let late: AbortSignal | undefined;
      const call = calls.execute((own) => {
        late = own.signal;
        return held.promise;
      }, options);
      await clock.advance(100);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(listeners()).toBe(0);
      held.resolve();
      await clock.flush();
      expect([late?.aborted, listeners()]).toEqual([true, 0]);
    });

    it('no warning is written, however many calls hang on it', async () => {
      const warnings: Error[] = [];
      const listener = (warning: Error): void => void warnings.push(warning);
      process.on('warning', listener);
      const calls = standard({ clock, bulkhead: { maxConcurrentCalls: 500 } });
      const all = Array.from({ length: 200 }, () =>
        calls.execute(cooperative, options).catch(() => {}),
      );
      await clock.flush();
      controller.abort();
      await Promise.all(all);
      await new Promise((resolve) => setImmediate(resolve));
      process.off('warning', listener);
      expect(warnings).toEqual([]);
    });
  });

  describe('permits', () => {
    it.each([1, 2, 3, 18, 19])(
      'come back on every path, also where several go wrong at once (%d)',
      async (seed) => {
        const [outer, inner] = [
          bulkhead({ maxConcurrentCalls: 3, maxQueueSize: 10, queueTimeout: 80 }),
          bulkhead({ maxConcurrentCalls: 2, maxQueueSize: 10, queueTimeout: 40 }),
        ];
        const calls = pipeline(
          { clock },
          outer,
          timeout({ duration: 100 }),
          retry({
            maxAttempts: 2,
            baseDelay: 20,
            shouldRetry: () => true,
            random: seededRandom(seed),
          }),
          inner,
          timeout({ duration: 60 }),
        );
        const operations = [
          () => 1,
          fail,
          cooperative,
          () => {
            throw down;
          },
        ];
        const all: Promise<unknown>[] = [];
        for (let round = 0; round < 100; round++) {
          const own = new AbortController();
          const operation = operations[round % operations.length] as (call: Call) => unknown;
          all.push(
            calls.execute(operation, { signal: own.signal, deadline: clock.now() + 50 + round }),
          );
          if (round % 7 === 3) clock.schedule(() => own.abort('gone'), round % 5);
          if (round % 3 === 0) await clock.advance(round % 13);
        }
        await clock.runUntilSettled(Promise.allSettled(all));
        expect([outer.running, outer.waiting, inner.running, inner.waiting]).toEqual([0, 0, 0, 0]);
        await clock.advance(20);
        expect(clock.pending).toBe(0);
      },
    );
  });

  describe('keyed', () => {
    it('holds no more than maxKeys, and nothing idle', async () => {
      const shards = keyed((key) => standard({ clock, key }), {
        clock,
        maxKeys: 50,
        idleTimeout: 1_000,
      });
      for (let call = 0; call < 2_000; call++) {
        await shards.execute(`key ${call % 300}`, () => call, options);
        expect(shards.size).toBeLessThanOrEqual(50);
      }
      await clock.advance(1_000);
      expect([shards.size, listeners(), clock.pending]).toEqual([0, 0, 0]);
    });
  });

  describe('a process', () => {
    const minutes = 600_000;

    it.each<[string, string]>([
      [
        'while a circuit is open',
        `const breaker = core.circuitBreaker({ failureThreshold: 1, resetTimeout: ${minutes} });
        await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => {});
        console.log(breaker.state);`,
      ],
      [
        'while a circuit is half-open and its probe hangs',
        `const breaker = core.circuitBreaker({ failureThreshold: 1, resetTimeout: 0, probeTimeout: ${minutes} });
        await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => {});
        void breaker.execute(() => new Promise(() => {}));
        console.log(breaker.state === 'half-open' ? 'open' : breaker.state);`,
      ],
      [
        'after calls under a long timeout',
        `for (let call = 0; call < 100; call++) {
          await core.timeout({ duration: ${minutes} }).execute(() => new Promise(setImmediate));
        }
        console.log('open');`,
      ],
      [
        'after calls through keyed standard pipelines',
        `const shards = core.keyed((key) => core.standard({ key, totalTimeout: ${minutes} }));
        for (let call = 0; call < 100; call++) await shards.execute('k' + call, async () => 1);
        console.log('open');`,
      ],
      [
        'after a backoff was aborted',
        `const controller = new AbortController();
        const call = core.retry({ baseDelay: ${minutes}, jitter: 'none' })
          .execute(() => Promise.reject(new Error('down')), { signal: controller.signal });
        setTimeout(() => controller.abort('gone'), 5);
        await call.catch((reason) => console.log(reason === 'gone' ? 'open' : reason));`,
      ],
      [
        'after a queue was left',
        `const limit = core.bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: ${minutes} });
        let end;
        const first = limit.execute(() => new Promise((resolve) => { end = resolve; }));
        const second = limit.execute(() => 1);
        end();
        await Promise.all([first, second]);
        console.log('open');`,
      ],
      [
        'while an adaptive limiter waits for a call that never settles',
        `const calls = core.pipeline(core.timeout({ duration: 20 }), core.adaptiveLimiter());
        await calls.execute(() => new Promise(() => {})).catch((error) => console.log(error.code === 'RESIL_TIMEOUT' ? 'open' : error));`,
      ],
    ])('ends by itself %s', async (_, code) => {
      expect(await runChild(code)).toEqual({ code: 0, signal: null, output: 'open' });
    });

    it.each<[string, string, string]>([
      [
        'its timeout expires',
        `await core.timeout({ duration: 80 }).execute(() => new Promise(() => {})).catch((e) => console.log(e.code));`,
        'RESIL_TIMEOUT',
      ],
      [
        'its deadline passes',
        `await core.pipeline().execute(() => new Promise(() => {}), { deadline: performance.now() + 80 })
          .catch((e) => console.log(e.code));`,
        'RESIL_TIMEOUT',
      ],
      [
        'its backoff is over',
        `console.log(await core.retry({ baseDelay: 80, jitter: 'none' }).execute(async ({ attempt }) => {
          if (attempt === 1) throw new Error('down');
          return 'attempt ' + attempt;
        }));`,
        'attempt 2',
      ],
      [
        'it has waited long enough for a permit',
        `const limit = core.bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 80 });
        void limit.execute(() => new Promise(() => {}));
        await limit.execute(() => 1).catch((e) => console.log(e.code));`,
        'RESIL_QUEUE_TIMEOUT',
      ],
    ])('stays alive for an awaited call until %s', async (_, code, output) => {
      expect(await runChild(code)).toEqual({ code: 0, signal: null, output });
    });

    it('holds no breaker, pipeline or key that nobody uses', async () => {
      const code = `
        const kept = [];
        const make = async () => {
          for (let round = 0; round < 300; round++) {
            const breaker = core.circuitBreaker({ failureThreshold: 1, resetTimeout: ${minutes} });
            await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => {});
            const calls = core.standard();
            await calls.execute(async ({ signal }) => signal.aborted, { signal: caller.signal });
            kept.push(new WeakRef(breaker), new WeakRef(calls), new WeakRef(calls.layers[2]));
          }
        };
        const caller = new AbortController();
        await make();
        await new Promise((resolve) => setTimeout(resolve, 50));
        gc();
        const alive = kept.filter((ref) => ref.deref() !== undefined).length;
        console.log(alive <= 10 ? 'few' : alive + ' of ' + kept.length);`;
      expect(await runChild(code, { exposeGc: true })).toMatchObject({ output: 'few', code: 0 });
    });

    it('needs no more memory after many calls with one signal than after few', async () => {
      const code = `
        const caller = new AbortController();
        const down = new Error('down');
        const calls = core.standard({ retry: { baseDelay: 0 }, circuitBreaker: { failureThreshold: 1e9 } });
        const run = async (count) => {
          for (let call = 0; call < count; call++) {
            await calls.execute(async ({ signal }) => {
              if (call % 4 === 0) throw down;
              return signal.aborted;
            }, { signal: caller.signal, idempotent: call % 100 === 0 }).catch(() => {});
          }
          await new Promise((resolve) => setTimeout(resolve, 50));
          gc();
          return process.memoryUsage().heapUsed;
        };
        await run(2_000);
        const few = await run(2_000);
        const many = await run(40_000);
        const grown = Math.round((many - few) / 1024);
        console.log(grown < 512 ? 'flat' : grown + ' KB more');`;
      expect(await runChild(code, { exposeGc: true })).toMatchObject({ output: 'flat', code: 0 });
    });
  });
});
