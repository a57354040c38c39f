import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { bulkhead } from './bulkhead.js';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { systemClock } from './clock.js';
import { observe, reportErrorsTo } from './emitter.js';
import type { ResilienceEvent } from './events.js';
import type { CompositeLayer, Guard, Layer, Strategy } from './layer.js';
import type { Outcome } from './outcome.js';
import { Pipeline, type PipelineOptions, pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { retryBudget } from './retry-budget.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** A strategy that writes down when a call comes in and goes out. */
function tracing(name: string, log: string[]): Strategy {
  return {
    name,
    async run(call, next) {
      log.push(`${name} in`);
      try {
        return await next(call);
      } finally {
        log.push(`${name} out`);
      }
    },
  };
}

/** A guard that writes down permits and outcomes. */
function guarding(name: string, log: string[]): Guard<string> {
  return {
    name,
    enter() {
      log.push(`${name} enter`);
      return `${name}'s permit`;
    },
    leave(permit, _call, outcome) {
      log.push(`${name} leave ${permit === `${name}'s permit`} ${outcome.ok}`);
    },
  };
}

describe('pipeline', () => {
  describe('is made', () => {
    it('of nothing: it just runs the operation', async () => {
      await expect(pipeline().execute(() => 'value')).resolves.toBe('value');
    });

    it('with a name, with options, or with layers alone', () => {
      const layer = timeout();
      expect(pipeline('quotes', layer)).toMatchObject({ name: 'quotes', layers: [layer] });
      expect(pipeline({ name: 'quotes', clock }, layer)).toMatchObject({ name: 'quotes', clock });
      expect(pipeline(layer)).toMatchObject({ name: undefined, layers: [layer] });
      expect(new Pipeline({}, [layer])).toMatchObject({ layers: [layer] });
    });

    it('once: its layers are frozen, and a list that is changed later changes nothing', async () => {
      const log: string[] = [];
      const layers: Layer[] = [tracing('a', log)];
      const calls = new Pipeline({}, layers);
      layers.push(tracing('b', log));
      expect(Object.isFrozen(calls.layers)).toBe(true);
      await calls.execute(() => 1);
      expect(log).toEqual(['a in', 'a out']);
    });

    it.each<[unknown[], string]>([
      [[{ name: 1 }], 'pipeline.name must be a string that is not empty, but got 1'],
      [[''], "pipeline.name must be a string that is not empty, but got ''"],
      [[{ clas: 1 }], 'pipeline.clas is not an option; known are name, key, classify, clock'],
      [
        [{ key: {} }],
        'pipeline.key must be a string that is not empty, but got an object of Object',
      ],
      [[{ classify: 'all' }], "pipeline.classify must be a function, but got 'all'"],
      [[{ clock: Date }], 'pipeline.clock must be a Clock (now, schedule), but got function Date'],
      [[null], 'pipeline options must be an object, but got null'],
      [[7], 'pipeline options must be an object, but got 7'],
      [['name', 'layer'], 'pipeline: layer must be a guard'],
      [['name', undefined], 'pipeline: layer must be a guard'],
      [['name', { enter() {} }], 'pipeline: layer must be a guard'],
      [['name', () => timeout()], 'but got function (anonymous)'],
    ])('but not of %o', (args, message) => {
      expect(() => (pipeline as (...args: unknown[]) => Pipeline)(...args)).toThrow(message);
    });
  });

  describe('has one clock', () => {
    it("that of its layers, else the system's", () => {
      expect(pipeline(timeout()).clock).toBe(systemClock);
      expect(pipeline(timeout(), timeout({ clock })).clock).toBe(clock);
      expect(pipeline(retry({ budget: retryBudget({ clock }) })).clock).toBe(clock);
      expect(pipeline(pipeline({ clock })).clock).toBe(clock);
      expect(pipeline('a', pipeline('b', pipeline({ clock }, retry()))).clock).toBe(clock);
      expect(pipeline(pipeline({ clock }).narrow(() => true)).clock).toBe(clock);
      expect(
        pipeline(
          { clock },
          pipeline(retry()).narrow(() => true),
        ).clock,
      ).toBe(clock);
      expect(pipeline(bulkhead({ timeout: 5 })).clock).toBe(systemClock);
    });

    it('and refuses layers on different ones', () => {
      const other = new VirtualClock();
      expect(() =>
        pipeline(timeout({ clock }), circuitBreaker({ clock: other, name: 'db' })),
      ).toThrow(
        "pipeline: clock of layer 'db' must be that of the pipeline and of its other layers",
      );
      expect(() => pipeline({ clock }, circuitBreaker())).toThrow(
        "pipeline: clock of layer 'circuit-breaker' must be",
      );
      expect(() => pipeline({ clock }, pipeline(timeout({ clock: other })))).toThrow(
        'pipeline: clock',
      );
      expect(() => pipeline({ clock }, pipeline(circuitBreaker()))).toThrow('pipeline: clock');
      expect(() => pipeline({ clock }, pipeline({ clock: other, name: 'in' }))).toThrow(
        "pipeline: clock of layer 'in' must be",
      );
    });
  });

  describe('execute', () => {
    it('walks in through the layers, outermost first, and out again', async () => {
      const log: string[] = [];
      const calls = pipeline(
        tracing('a', log),
        guarding('b', log),
        guarding('c', log),
        tracing('d', log),
      );
      await calls.execute(() => log.push('operation'));
      expect(log).toEqual([
        'a in',
        'b enter',
        'c enter',
        'd in',
        'operation',
        'd out',
        'c leave true true',
        'b leave true true',
        'a out',
      ]);
    });

    it('reaches the operation synchronously', () => {
      let reached = false;
      void pipeline(
        timeout(),
        retry(),
        circuitBreaker(),
        bulkhead(),
        timeout({ duration: 50 }),
      ).execute(() => {
        reached = true;
      });
      expect(reached).toBe(true);
    });

    it.each<[string, () => unknown, unknown]>([
      ['a value', () => 1, 1],
      ['undefined', () => undefined, undefined],
      ['a promise', () => Promise.resolve('later'), 'later'],
      [
        'a thenable',
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
        () => ({ then: (resolve: (value: string) => void) => resolve('then') }),
        'then',
      ],
    ])('gives what the operation gives: %s', async (_, operation, expected) => {
      for (const calls of [pipeline(), pipeline(timeout()), pipeline(bulkhead(), retry())]) {
        expect(await calls.execute(operation)).toBe(expected);
      }
    });

    it.each([undefined, null, 'text', { execute: 1 }])(
      'rejects %o in place of an operation, without a call',
      async (operation) => {
        const calls = pipeline('p');
        const recorder = recordEvents(calls);
        await expect(calls.execute(operation as never)).rejects.toThrow(
          'execute: operation must be a function, but got',
        );
        expect(recorder.events).toEqual([]);
      },
    );

    it('rejects a deadline that is NaN', async () => {
      const operation = vi.fn();
      await expect(pipeline().execute(operation, { deadline: Number.NaN })).rejects.toThrow(
        'call.deadline must be a number, but got NaN',
      );
      expect(operation).not.toHaveBeenCalled();
    });

    it('tells of every call, in order, with its names', async () => {
      const calls = pipeline({ name: 'quotes', clock });
      const recorder = recordEvents(calls);
      await calls.execute(() => clock.tick(5), { key: 'eu', name: 'get' });
      await calls.execute(fail).catch(() => {});
      expect(recorder.events).toEqual([
        { type: 'call.started', pipeline: 'quotes', key: 'eu', name: 'get', attempt: 1, at: 0 },
        {
          type: 'call.succeeded',
          duration: 5,
          pipeline: 'quotes',
          key: 'eu',
          name: 'get',
          attempt: 1,
          at: 5,
        },
        expect.objectContaining({ type: 'call.started', key: undefined, name: undefined, at: 5 }),
        expect.objectContaining({ type: 'call.failed', error: down, duration: 0 }),
      ]);
    });

    it('takes the key of the pipeline where the call has none', async () => {
      const calls = pipeline({ key: 'eu' });
      expect(await calls.execute(({ key }) => key)).toBe('eu');
      expect(await calls.execute(({ key }) => key, { key: 'us' })).toBe('us');
    });
  });

  describe('the call', () => {
    it('shows what the caller said, and what it left out', async () => {
      const attributes = {};
      const full = {
        key: 'k',
        name: 'n',
        priority: 3,
        idempotent: true,
        deadline: 500,
        attributes,
      };
      const seen = (call: Call) => ({
        key: call.key,
        name: call.name,
        priority: call.priority,
        idempotent: call.idempotent,
        deadline: call.deadline,
        remaining: call.remaining(),
        attributes: call.attributes,
        attempt: call.attempt,
        now: call.now(),
        clock: call.clock,
        aborted: call.aborted,
        reason: call.reason,
        cancelled: call.cancelled,
        started: call.started,
      });
      await clock.advance(100);
      const calls = pipeline({ clock });
      const always = {
        attempt: 1,
        now: 100,
        clock,
        aborted: false,
        cancelled: false,
        started: true,
      };
      expect(await calls.execute(seen, full)).toMatchObject({ ...full, ...always, remaining: 400 });
      expect(await calls.execute(seen)).toEqual({
        ...always,
        key: undefined,
        name: undefined,
        priority: 0,
        idempotent: undefined,
        deadline: Infinity,
        remaining: Infinity,
        attributes: {},
        reason: undefined,
      });
    });

    it('has the same attributes for every layer, and frozen ones if there are none', async () => {
      await pipeline(retry()).execute(({ attributes }) => {
        expect(Object.isFrozen(attributes)).toBe(true);
      });
    });

    it('makes a signal only when it is read, and the same one each time', async () => {
      let made = 0;
      class CountedController extends AbortController {
        constructor() {
          super();
          made++;
        }
      }
      vi.stubGlobal('AbortController', CountedController);
      const calls = pipeline({ clock }, timeout({ duration: 5 }), retry(), bulkhead());
      await calls.execute(() => 1);
      expect(made).toBe(0);
      await calls.execute((call) => {
        expect(call.signal).toBe(call.signal);
        expect(call.signal.aborted).toBe(false);
      });
      vi.unstubAllGlobals();
      expect(made).toBe(1);
    });

    it("shows the caller's own signal where no layer can abort", async () => {
      const { signal } = new AbortController();
      await pipeline(retry(), bulkhead()).execute(
        (call) => {
          expect(call.signal).toBe(signal);
        },
        { signal },
      );
    });

    it('tells its abort listeners once, and none that was taken off', async () => {
      const controller = new AbortController();
      const [kept, gone] = [vi.fn(), vi.fn()];
      const held = deferred();
      const call = pipeline(timeout({ clock, duration: 1e6 })).execute(
        (own) => {
          own.onAbort(kept);
          own.onAbort(gone)();
          return held.promise;
        },
        { signal: controller.signal },
      );
      controller.abort('reason');
      controller.abort('again');
      expect([kept.mock.calls, gone.mock.calls]).toEqual([[['reason']], []]);
      held.resolve();
      await call;
    });

    it('reports an abort listener that throws, and tells the others', async () => {
      const where: string[] = [];
      const end = reportErrorsTo((_error, place) => where.push(place));
      const controller = new AbortController();
      const other = vi.fn();
      const broken = (): never => {
        throw down;
      };
      await pipeline().execute(
        (call) => {
          call.onAbort(broken);
          call.onAbort(other);
          controller.abort('gone');
          call.onAbort(broken);
        },
        { signal: controller.signal },
      );
      end();
      expect(other).toHaveBeenCalledTimes(1);
      expect(where).toEqual(['an abort listener', 'an abort listener']);
    });

    it('can be derived, and what is derived is aborted with it', async () => {
      const controller = new AbortController();
      let derived: Call | undefined;
      const deriving: Strategy = {
        name: 'deriving',
        run: (call, next) => {
          derived = call.derive({ attempt: 7 });
          expect(derived.parent).toBe(call);
          return next(derived);
        },
      };
      const call = pipeline({ clock }, timeout({ duration: 100 }), deriving).execute(
        ({ attempt, key, deadline, signal }) => {
          expect([attempt, key, deadline]).toEqual([7, 'k', 100]);
          return new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          });
        },
        { signal: controller.signal, key: 'k' },
      );
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect([derived?.aborted, derived?.cancelled]).toEqual([true, true]);
    });

    it('tells whether it is observed, so that building an event can be skipped', async () => {
      const calls = pipeline();
      const observed = (): Promise<boolean> => calls.execute((call) => call.observed);
      expect(await observed()).toBe(false);
      const end = observe(() => {});
      expect(await observed()).toBe(true);
      end();
      const stop = calls.on(() => {});
      expect(await observed()).toBe(true);
      stop();
      expect(await observed()).toBe(false);
    });

    it('tells the time of where it is: it does not stand still while the operation runs', async () => {
      const seen = await pipeline({ clock }, bulkhead()).execute((call) => {
        const before = call.now();
        clock.tick(30);
        return [before, call.now()];
      });
      expect(seen).toEqual([0, 30]);
    });
  });

  describe('guards', () => {
    it('give each permit back exactly once, with the outcome and its duration', async () => {
      const outcomes: Outcome[] = [];
      const guard: Guard<number> = {
        name: 'own',
        enter: () => 42,
        leave: (permit, _call, outcome) => {
          expect(permit).toBe(42);
          outcomes.push(outcome);
          expect(outcome.duration).toBe(20);
        },
      };
      const calls = pipeline({ clock }, guard);
      const after = (settle: () => unknown): Promise<unknown> =>
        new Promise((resolve) => clock.schedule(() => resolve(settle()), 20));
      await clock.runUntilSettled(calls.execute(() => after(() => 'value')));
      await clock.runUntilSettled(calls.execute(() => after(fail))).catch(() => {});
      expect(outcomes).toMatchObject([
        { ok: true, value: 'value' },
        { ok: false, error: down },
      ]);
    });

    it('that refuse leave those outside, and none further in is asked', async () => {
      const log: string[] = [];
      const refusing: Guard = {
        name: 'refusing',
        enter() {
          throw down;
        },
        leave() {
          log.push('never');
        },
      };
      const calls = pipeline(guarding('a', log), refusing, guarding('b', log));
      await expect(calls.execute(() => 1)).rejects.toBe(down);
      expect(log).toEqual(['a enter', 'a leave true false']);
    });

    it('may let wait: the call goes on when the promise resolves, and ends when it rejects', async () => {
      const log: string[] = [];
      const gate = deferred<string>();
      const waiting: Guard<string> = {
        name: 'waiting',
        enter: () => gate.promise,
        leave: (permit) => log.push(permit),
      };
      const calls = pipeline(guarding('a', log), waiting, guarding('b', log));
      const call = calls.execute(() => log.push('operation'));
      await clock.flush();
      expect(log).toEqual(['a enter']);
      gate.resolve('waited');
      await call;
      expect(log).toEqual([
        'a enter',
        'b enter',
        'operation',
        'b leave true true',
        'waited',
        'a leave true true',
      ]);
      const refused = pipeline({ name: 'late', enter: fail, leave() {} });
      await expect(refused.execute(() => 1)).rejects.toBe(down);
    });

    it('that let in a call which was aborted meanwhile get the permit back, and nothing runs', async () => {
      const controller = new AbortController();
      const gate = deferred<string>();
      const left = vi.fn();
      const operation = vi.fn();
      const deaf: Guard<string> = { name: 'deaf', enter: () => gate.promise, leave: left };
      const call = pipeline({ clock }, deaf).execute(operation, { signal: controller.signal });
      controller.abort('gone');
      gate.resolve('permit');
      await expect(call).rejects.toBe('gone');
      expect(left.mock.calls).toMatchObject([['permit', {}, { ok: false, error: 'gone' }]]);
      expect(operation).not.toHaveBeenCalled();
    });

    it('that throw when a call leaves are reported, and the others leave all the same', async () => {
      const log: string[] = [];
      const reported: unknown[] = [];
      const end = reportErrorsTo((error, where) => reported.push([error, where]));
      const broken: Guard = {
        name: 'broken',
        enter: () => 1,
        leave() {
          throw down;
        },
      };
      const calls = pipeline(guarding('a', log), broken, guarding('b', log));
      await expect(calls.execute(() => 'value')).resolves.toBe('value');
      end();
      expect(reported).toEqual([[down, "leave of 'broken'"]]);
      expect(log).toEqual(['a enter', 'b enter', 'b leave true true', 'a leave true true']);
    });

    it('outside of a timeout that expired leave at once, those inside when the work has ended', async () => {
      const log: string[] = [];
      const calls = pipeline(
        { clock },
        guarding('a', log),
        timeout({ duration: 100 }),
        guarding('b', log),
      );
      const held = deferred();
      const call = calls.execute(() => held.promise);
      await clock.advance(100);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(log).toEqual(['a enter', 'b enter', 'a leave true false']);
      held.resolve();
      await clock.flush();
      expect(log.slice(3)).toEqual(['b leave true false']);
    });
  });

  describe('strategies', () => {
    it('that throw synchronously reject the call', async () => {
      const broken: Strategy = {
        name: 'broken',
        run() {
          throw down;
        },
      };
      await expect(pipeline(broken).execute(() => 1)).rejects.toBe(down);
    });

    it('may run the rest never, once or many times', async () => {
      const times = (count: number): Strategy => ({
        name: 'times',
        async run(call, next) {
          let last = 'none' as never;
          for (let run = 1; run <= count; run++)
            last = (await next(call.derive({ attempt: run }))) as never;
          return last;
        },
      });
      for (const count of [0, 1, 3]) {
        const operation = vi.fn(({ attempt }: Call) => attempt);
        const result = await pipeline(times(count)).execute(operation);
        expect([result, operation.mock.calls.length]).toEqual([count || 'none', count]);
      }
    });

    it('that do the work themselves say so by begin(), so that a timeout counts', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const own: Strategy = {
        name: 'own',
        run(call) {
          expect(call.started).toBe(false);
          call.begin();
          expect(call.started).toBe(true);
          return new Promise(() => {});
        },
      };
      const call = pipeline(breaker, timeout({ duration: 50 }), own).execute(() => 1);
      await clock.advance(50);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(breaker.state).toBe('open');
    });
  });

  describe('wrap', () => {
    it('gives a function with the same parameters, and keeps this', async () => {
      class Store {
        readonly prefix = 'p';
        readonly calls = pipeline();
        async get(key: string, count: number): Promise<string> {
          return `${this.prefix}:${key}:${count}`;
        }
        readonly guarded = this.calls.wrap(this.get);
      }
      await expect(new Store().guarded('k', 3)).resolves.toBe('p:k:3');
    });

    it('runs the function again in a retry, with the same arguments', async () => {
      const seen: number[][] = [];
      const fn = (...args: number[]): number => {
        seen.push(args);
        if (seen.length < 3) throw down;
        return args.length;
      };
      const call = pipeline(retry({ clock, maxAttempts: 3 })).wrap(fn)(4, 5);
      await expect(clock.runUntilSettled(call)).resolves.toBe(2);
      expect(seen).toEqual([
        [4, 5],
        [4, 5],
        [4, 5],
      ]);
    });

    it('takes options for all calls, or makes them from the arguments', async () => {
      const calls = pipeline('p');
      const recorder = recordEvents(calls);
      const fn = (id: string): string => id;
      await calls.wrap(fn, { key: 'all' })('a');
      await calls.wrap(fn, (id) => ({ key: `of ${id}` }))('b');
      expect(recorder.of('call.started').map(({ key }) => key)).toEqual(['all', 'of b']);
    });

    it('rejects with what the options function throws, and does not throw it', async () => {
      const fn = vi.fn();
      const wrapped = pipeline().wrap(fn, () => {
        throw down;
      });
      let call: Promise<unknown> | undefined;
      expect(() => {
        call = wrapped();
      }).not.toThrow();
      await expect(call).rejects.toBe(down);
      expect(fn).not.toHaveBeenCalled();
    });

    it('refuses what is not a function', () => {
      expect(() => pipeline().wrap('fn' as never)).toThrow(
        "wrap: fn must be a function, but got 'fn'",
      );
    });
  });

  describe('admit', () => {
    it('lets a call in, and takes its permits back when it is settled', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1 });
      const calls = pipeline({ clock }, limit);
      const recorder = recordEvents(calls);
      const admission = await calls.admit({ key: 'k' });
      expect([limit.running, admission.call.key, admission.call.started]).toEqual([1, 'k', true]);
      await expect(calls.admit()).rejects.toMatchObject({ code: 'RESIL_BULKHEAD_FULL' });
      clock.tick(40);
      admission.settle({ ok: true, value: 1 });
      admission.settle({ ok: false, error: down });
      await clock.flush();
      expect(limit.running).toBe(0);
      expect(recorder.events).toMatchObject([
        { type: 'call.started', key: 'k' },
        { type: 'call.started' },
        { type: 'bulkhead.rejected' },
        { type: 'call.rejected' },
        { type: 'call.succeeded', duration: 40 },
      ]);
    });

    it('tells guards how the work ended', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2 });
      for (const error of [down, down]) {
        const admission = await breaker.admit();
        admission.settle({ ok: false, error });
        await clock.flush();
      }
      expect(breaker.state).toBe('open');
      await expect(breaker.admit()).rejects.toMatchObject({ code: 'RESIL_CIRCUIT_OPEN' });
    });

    it('waits for a permit, and can be aborted while it waits', async () => {
      const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 2 });
      const first = await limit.admit();
      const controller = new AbortController();
      const aborted = limit.admit({ signal: controller.signal });
      const second = limit.admit();
      controller.abort('gone');
      await expect(aborted).rejects.toBe('gone');
      first.settle({ ok: true, value: undefined });
      await expect(second).resolves.toHaveProperty('call');
      expect([limit.running, limit.waiting]).toEqual([1, 0]);
    });

    it('leaves out what repeats or replaces work', async () => {
      const run = vi.fn(async () => 'never' as never);
      const calls = pipeline(
        { clock },
        retry(),
        { name: 'own', run },
        circuitBreaker({ clock, fallbackFn: () => 'instead' }),
      );
      const admission = await calls.admit();
      admission.settle({ ok: false, error: down });
      await clock.flush();
      expect(run).not.toHaveBeenCalled();
    });

    it('rejects where a breaker with a fallback refuses', async () => {
      const breaker = circuitBreaker({ clock, fallbackFn: () => 'instead' });
      breaker.isolate();
      await expect(pipeline(breaker).admit()).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_ISOLATED',
      });
    });

    it('is aborted by a timeout, and keeps what stands inside until it is settled', async () => {
      const [outer, inner] = [bulkhead(), bulkhead()];
      const calls = pipeline({ clock }, outer, timeout({ duration: 100 }), inner);
      const { call, settle } = await calls.admit();
      const heard = vi.fn();
      call.onAbort(heard);
      await clock.advance(100);
      expect(heard.mock.calls).toMatchObject([[{ code: 'RESIL_TIMEOUT' }]]);
      expect([call.signal.aborted, outer.running, inner.running]).toEqual([true, 0, 1]);
      settle({ ok: false, error: call.reason });
      await clock.flush();
      expect(inner.running).toBe(0);
    });

    it('asks the classify of the pipeline that a guard is nested in', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const nested = pipeline({ name: 'inner', classify: () => 'ignored' }, breaker);
      const { settle } = await pipeline({ clock }, nested).admit();
      settle({ ok: false, error: down });
      await clock.flush();
      expect(breaker.state).toBe('closed');
    });
  });

  describe('narrow', () => {
    it('keeps the layers that are asked for, with state, name and listeners', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const calls = pipeline({ name: 'quotes', key: 'eu', clock }, retry(), breaker);
      const recorder = recordEvents(calls);
      const narrowed = calls.narrow((layer) => layer.name !== 'retry');
      const operation = vi.fn(fail);
      await expect(narrowed.execute(operation)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
      expect(breaker.state).toBe('open');
      expect(recorder.events.map(({ type, pipeline: name, key }) => [type, name, key])).toEqual([
        ['call.started', 'quotes', 'eu'],
        ['circuit.opened', 'quotes', 'eu'],
        ['call.failed', 'quotes', 'eu'],
      ]);
    });

    it('can leave out what an option of a layer brought along', async () => {
      const limit = bulkhead({ timeout: 50 });
      const calls = pipeline({ clock }, limit).narrow((layer) => layer === limit);
      const held = deferred<string>();
      const call = calls.execute(() => held.promise);
      await clock.advance(100);
      held.resolve('no timeout');
      await expect(call).resolves.toBe('no timeout');
      const again = calls.narrow(() => true).execute(() => 'kept');
      await expect(again).resolves.toBe('kept');
    });

    it('reaches into nested pipelines, which keep name, classify and listeners', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1 });
      const inner = pipeline({ name: 'inner', classify: () => 'ignored' }, retry(), breaker);
      const recorder = recordEvents(inner);
      const narrowed = pipeline({ name: 'outer', clock }, inner).narrow(
        ({ name }) => name !== 'retry',
      );
      await expect(narrowed.execute(fail)).rejects.toBe(down);
      expect(breaker.state).toBe('closed');
      breaker.isolate();
      await expect(narrowed.execute(fail)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_ISOLATED',
      });
      expect(recorder.of('circuit.rejected')).toMatchObject([{ pipeline: 'inner' }]);
    });
  });

  describe('emit', () => {
    const event = {
      type: 'consumer.resumed',
      strategy: 'consumer',
      partition: 3,
    } as const;

    it('tells what an adapter has to tell outside of any call, in its name', () => {
      const clock = new VirtualClock({ now: 5 });
      const orders = pipeline({ name: 'orders', key: 'k', clock });
      const heard: ResilienceEvent[] = [];
      const stops = [orders.on((one) => heard.push(one)), observe((one) => heard.push(one))];
      orders.emit(event, 'topic');
      for (const stop of stops) stop();
      orders.emit(event, 'nobody listens');
      const told = { ...event, pipeline: 'orders', key: 'k', name: 'topic', attempt: 0, at: 5 };
      expect(heard).toEqual([told, told]);
    });

    it('keeps an error aside', () => {
      const heard: ResilienceEvent[] = [];
      const stop = observe((one) => heard.push(one));
      const error = new TypeError('secret');
      pipeline('orders').emit({
        type: 'message.dead-lettered',
        strategy: 'consumer',
        to: 'dlq',
        attempts: 3,
        error,
      });
      stop();
      expect(JSON.stringify(heard)).not.toContain('secret');
      expect(heard[0]).toMatchObject({ errorType: 'TypeError' });
      expect((heard[0] as { error?: unknown }).error).toBe(error);
    });
  });

  describe('on', () => {
    it('ends only its own subscription', async () => {
      const calls = pipeline(circuitBreaker({ clock, failureThreshold: 1 }));
      const [one, other] = [recordEvents(calls), recordEvents(calls)];
      one.stop();
      await calls.execute(fail).catch(() => {});
      expect([one.types, other.types]).toEqual([
        [],
        ['call.started', 'circuit.opened', 'call.failed'],
      ]);
    });

    it('hears a breaker that stands in it twice once', () => {
      const breaker = circuitBreaker({ clock });
      const recorder = recordEvents(pipeline(breaker, breaker));
      breaker.isolate();
      expect(recorder.types).toEqual(['circuit.isolated']);
    });
  });

  it('stands for its layers, and so does any object with layers', async () => {
    const log: string[] = [];
    const both: CompositeLayer = { name: 'both', layers: [guarding('a', log), tracing('b', log)] };
    await pipeline(both).execute(() => 1);
    expect(log).toEqual(['a enter', 'b in', 'b out', 'a leave true true']);
  });

  it('reads its options once', async () => {
    let reads = 0;
    const options: PipelineOptions = {
      clock,
      get name() {
        reads++;
        return 'p';
      },
    };
    const calls = pipeline(options, retry());
    const before = reads;
    await calls.execute(() => 1);
    expect(reads).toBe(before);
  });
});
