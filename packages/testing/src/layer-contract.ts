/**
 * The contract of a layer, as a test suite: what every pattern promises whatever it does, run on
 * virtual time. What a pattern decides (when a breaker opens, how long a retry waits) is for its own
 * tests.
 */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { type CallOptions, type Describable, observe, pipeline, reportErrorsTo } from '@resil/core';
import {
  LayerBench,
  type LayerContract,
  type LayerWait,
  withoutUnhandledRejections,
} from './layer-bench.js';

/** Calls that a layer under test lets run at a time. */
const CONCURRENCY = 10;
const HOUR = 3_600_000;

/**
 * Declares the suite that every layer passes: values and errors come through unchanged, the
 * operation is reached synchronously, aborts end calls at once, permits, timers and listeners are
 * given back on every path, a listener that throws does no harm, and each call keeps its async
 * context. Everything runs on virtual time; a call that hangs fails at once.
 *
 * @example
 * ```ts
 * import { describe, it } from 'node:test';
 *
 * describeLayerContract({
 *   runner: { describe, it },
 *   name: 'bulkhead',
 *   create: () => bulkhead({ maxConcurrentCalls: 10 }),
 *   waits: [
 *     {
 *       create: () => bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: Infinity }),
 *       wait: {
 *         name: 'a permit',
 *         arrange: (execute) => void execute(() => new Promise(() => {})),
 *       },
 *     },
 *   ],
 *   refuses: [[() => bulkhead({ maxConcurrentCalls: 0 }), /maxConcurrentCalls.*0/]],
 * });
 * ```
 */
export function describeLayerContract(contract: LayerContract): void {
  const { describe, it } = contract.runner;
  const passesErrors = contract.passesErrors ?? true;
  describe(`${contract.name} keeps the layer contract`, () => {
    const test = (name: string, body: (bench: LayerBench) => Promise<void>) =>
      it(name, () => withoutUnhandledRejections(() => body(new LayerBench(contract.create))));

    test('has a name and the shape of a layer', hasShape);
    test('describes itself as JSON, if it does', describesItself);
    test('gives the very value of the operation, run once', passesValues);
    test('reaches the operation synchronously', reachesSynchronously);
    if (passesErrors) test("gives the operation's own error, unchanged", givesErrors);
    test('stands for itself inside a nested pipeline', nests);
    test('does not start a call that is aborted already', refusesAborted);
    test('tells a running operation of the abort and lets its own answer stand', tellsAbort);
    test('gives back permits, timers and listeners on every path', (bench) =>
      givesBack(bench, passesErrors));
    test('a listener that throws does no harm', survivesListeners);
    test('keeps the async context and the value of each of many calls', keepsContext);
    for (const { create, wait } of contract.waits ?? []) {
      const testWait = (name: string, body: typeof abortsWait) =>
        it(`${wait.name}: ${name}`, () =>
          withoutUnhandledRejections(() => body(new LayerBench(create), wait)));
      testWait('an abort ends the wait at once, and the call never starts', abortsWait);
      testWait('a deadline ends the wait', endsWaitByDeadline);
    }
    for (const [create, message] of contract.refuses ?? []) {
      it(`refuses ${String(create).replace(/^\(\) => /, '')}`, () => {
        assert.throws(create, message);
      });
    }
  });
}

async function hasShape({ layer }: LayerBench): Promise<void> {
  const shape = layer as { enter?: unknown; leave?: unknown; run?: unknown; layers?: unknown };
  const isGuard = typeof shape.enter === 'function' && typeof shape.leave === 'function';
  const isComposite = Array.isArray(shape.layers);
  assert.ok(isGuard || typeof shape.run === 'function' || isComposite);
  // A pipeline may do without a name.
  assert.ok(typeof layer.name === 'string' || (isComposite && layer.name === undefined));
}

async function describesItself(bench: LayerBench): Promise<void> {
  const { describe } = bench.layer as Partial<Describable>;
  if (describe === undefined) return;
  await bench.run(() => 'value');
  const description = describe.call(bench.layer);
  assert.deepEqual(JSON.parse(JSON.stringify(description)), description);
  assert.ok(typeof description.type === 'string' && description.type !== '');
  assert.equal(description.name, bench.layer.name ?? null);
  for (const [name, count] of Object.entries(description.counters)) {
    assert.ok(Number.isSafeInteger(count) && count >= 0, `${name}: ${count}`);
  }
}

async function passesValues(bench: LayerBench): Promise<void> {
  const values = [undefined, null, 0, '', Number.NaN, false, {}, () => 1, new Error('a value')];
  let runs = 0;
  for (const value of values) {
    const operation = (): unknown => {
      runs += 1;
      return runs % 2 === 0 ? value : Promise.resolve(value);
    };
    assert.ok(Object.is(await bench.run(operation), value), String(value));
  }
  assert.equal(runs, values.length);
}

async function reachesSynchronously({ pipeline, clock }: LayerBench): Promise<void> {
  let reached = false;
  const call = pipeline.execute(() => {
    reached = true;
  });
  assert.ok(reached);
  await clock.runUntilSettled(call);
}

async function givesErrors(bench: LayerBench): Promise<void> {
  const errors = [Object.freeze(new Error('frozen')), new TypeError('plain'), 'text', undefined, 0];
  for (const error of errors) {
    const keys = Reflect.ownKeys(Object(error));
    const thrown = await bench.fail(() => {
      throw error;
    });
    assert.ok(thrown !== undefined && Object.is(thrown[0], error), `thrown: ${String(error)}`);
    const rejected = await bench.fail(() => Promise.reject(error));
    assert.ok(
      rejected !== undefined && Object.is(rejected[0], error),
      `rejected: ${String(error)}`,
    );
    assert.deepEqual(Reflect.ownKeys(Object(error)), keys, 'nothing was added to the error');
  }
}

async function nests(bench: LayerBench): Promise<void> {
  const outer = pipeline('outer', pipeline('inner', pipeline({ clock: bench.clock }, bench.layer)));
  assert.equal(await bench.clock.runUntilSettled(outer.execute(() => 'value')), 'value');
}

async function refusesAborted(bench: LayerBench): Promise<void> {
  for (const reason of [new Error('gone'), 'gone']) {
    let runs = 0;
    const signal = AbortSignal.abort(reason);
    const error = await bench.fail(() => ++runs, { signal });
    assert.deepEqual([error?.[0], runs], [reason, 0]);
  }
}

async function tellsAbort({ pipeline, clock }: LayerBench): Promise<void> {
  for (const answer of ['value', 'error'] as const) {
    const controller = new AbortController();
    const reason = new Error('gone');
    const own = new Error('own answer');
    let runs = 0;
    const call = pipeline.execute(
      ({ signal }) =>
        new Promise((resolve, reject) => {
          runs += 1;
          signal.addEventListener('abort', () => {
            assert.equal(signal.reason, reason);
            if (answer === 'value') resolve(own);
            else reject(own);
          });
        }),
      { signal: controller.signal },
    );
    const given = call.catch((error: unknown) => error);
    await clock.flush();
    controller.abort(reason);
    await clock.flush();
    assert.equal(await clock.runUntilSettled(given), own, answer);
    assert.equal(runs, 1, 'an aborted call is not repeated');
  }
}

async function givesBack(bench: LayerBench, passesErrors: boolean): Promise<void> {
  const { clock } = bench;
  const { signal } = new AbortController();
  for (let round = 0; round < 3 * CONCURRENCY; round += 1) {
    await bench.run(() => round, { signal });
    await bench.run(() => Promise.resolve(round), { signal, deadline: clock.now() + HOUR });
    if (passesErrors) await bench.fail(() => Promise.reject(new Error('failed')), { signal });
    await bench.fail(() => round, { signal: AbortSignal.abort('gone') });
    await abortRunning(bench);
    const admission = await bench.pipeline.admit({ signal });
    admission.settle({ ok: true, value: round });
    await clock.flush();
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners on the signal');
  // A timer that is shared by calls may be kept for the next one, but not for long.
  await clock.advance(1_000);
  assert.equal(clock.pending, 0, 'timers');
  let running = 0;
  const controller = new AbortController();
  const calls = Array.from({ length: CONCURRENCY }, () =>
    bench.pipeline.execute(
      (call) => {
        running += 1;
        return new Promise((_, reject) => call.onAbort(reject));
      },
      { signal: controller.signal },
    ),
  );
  assert.equal(running, CONCURRENCY, 'permits');
  controller.abort('gone');
  await clock.runUntilSettled(Promise.allSettled(calls));
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0, 'listeners on the signal');
}

async function abortRunning({ pipeline, clock }: LayerBench): Promise<void> {
  const controller = new AbortController();
  const call = pipeline.execute((own) => new Promise((_, reject) => own.onAbort(reject)), {
    signal: controller.signal,
  });
  const settled = call.catch(() => {});
  controller.abort('gone');
  await clock.runUntilSettled(settled);
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0, 'listeners on the signal');
}

async function survivesListeners(bench: LayerBench): Promise<void> {
  const failing = (): void => {
    throw new Error('thrown by a listener on purpose');
  };
  let reported = 0;
  const ends = [
    reportErrorsTo(() => {
      reported += 1;
    }),
    bench.pipeline.on(failing),
    observe(failing),
  ];
  try {
    let runs = 0;
    assert.equal(await bench.run(() => ++runs), 1);
    assert.equal(runs, 1);
    const aborted = await bench.fail(() => ++runs, { signal: AbortSignal.abort('gone') });
    assert.deepEqual([aborted?.[0], runs], ['gone', 1]);
    assert.ok(reported > 0, 'the error of the listener is reported');
  } finally {
    for (const end of ends.reverse()) end();
  }
}

async function keepsContext({ pipeline, clock }: LayerBench): Promise<void> {
  const context = new AsyncLocalStorage<number>();
  const seen: (readonly [number, number | undefined])[] = [];
  const calls = Array.from({ length: CONCURRENCY }, (_, id) =>
    context.run(id, async () => {
      const value = await pipeline.execute(async () => {
        await new Promise<void>((resolve) => clock.schedule(resolve, CONCURRENCY - id));
        seen.push([id, context.getStore()]);
        return id;
      });
      seen.push([value, context.getStore()]);
    }),
  );
  await clock.runUntilSettled(Promise.all(calls));
  assert.equal(seen.length, 2 * CONCURRENCY);
  for (const [id, store] of seen) assert.equal(store, id);
}

/** Starts a call that waits in the layer, and counts how often its operation runs from now on. */
async function startWaiting(
  bench: LayerBench,
  wait: LayerWait,
  options: CallOptions,
): Promise<{ call: Promise<unknown>; runs: () => number; settled: () => boolean }> {
  wait.arrange?.((operation, options) => bench.pipeline.execute(operation, options));
  await bench.clock.flush();
  let runs = 0;
  let settled = false;
  const call = bench.pipeline.execute(() => {
    runs += 1;
    return wait.operation?.();
  }, options);
  const settle = (): void => {
    settled = true;
  };
  call.then(settle, settle);
  await bench.clock.flush();
  assert.ok(!settled, 'the call waits');
  const before = runs;
  return { call, runs: () => runs - before, settled: () => settled };
}

async function abortsWait(bench: LayerBench, wait: LayerWait): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const { call, runs, settled } = await startWaiting(bench, wait, { signal });
  await bench.clock.advance(1);
  assert.ok(!settled(), 'the call still waits after 1 ms');
  const reason = new Error('gone');
  controller.abort(reason);
  await bench.clock.flush();
  assert.ok(settled(), 'the wait ends without time passing');
  await assert.rejects(call, (error) => error === reason);
  assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners on the signal');
  await bench.clock.advance(2 * HOUR);
  assert.equal(runs(), 0, 'the operation never runs');
  assert.equal(bench.clock.pending, 0, 'timers');
}

async function endsWaitByDeadline(bench: LayerBench, wait: LayerWait): Promise<void> {
  const { signal } = new AbortController();
  wait.arrange?.((operation, options) => bench.pipeline.execute(operation, options));
  await bench.clock.flush();
  let runs = 0;
  // A layer that sees that the wait can't end in time may give up before.
  const call = bench.pipeline.execute(
    () => {
      runs += 1;
      return wait.operation?.();
    },
    { signal, deadline: bench.clock.now() + 1_000 },
  );
  let settled = false;
  call.catch(() => {
    settled = true;
  });
  await bench.clock.flush();
  const before = runs;
  await bench.clock.advance(1_001);
  assert.ok(settled, 'the call has failed by its deadline');
  assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners on the signal');
  await bench.clock.advance(2 * HOUR);
  assert.equal(runs, before, 'the operation never runs after it');
  assert.equal(bench.clock.pending, 0, 'timers');
}
