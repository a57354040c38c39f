/**
 * The contract of an adapter, as a test suite: what `resilient(target, options)` promises whatever
 * the host is, run against the host's real server. What only one host has (its classification table,
 * its streams, its types) is for that adapter's own tests.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { observe, type ResilienceEvent, reportErrorsTo, systemClock } from '@resil/core';
import {
  AdapterBench,
  type AdapterContract,
  type AdapterContractOptions,
} from './adapter-bench.js';
import { badAdapterOptions } from './bad-options.js';
import { eventually } from './test-runner.js';

const THREE_ATTEMPTS = Object.freeze({
  maxAttempts: 3,
  baseDelay: 1,
  maxDelay: 10,
  jitter: 'none',
  budget: false,
} as const);
/** Time that a call which hangs gets before a timeout cuts it, in ms: enough for it to reach the server. */
const CUT_TIMEOUT = 250;

/**
 * Declares the suite that every adapter passes: results and failures come through unchanged, aborts
 * send nothing or free the caller at once, an open circuit and a full bulkhead don't touch the
 * server, a timeout frees the caller, nothing is left on the caller's signal, events tell what
 * happened, and bad options are refused by name.
 *
 * The tests run one after the other on one server. They wait for the server, not for the clock:
 * no bound is tighter than ten seconds.
 *
 * @example
 * ```ts no-run (declares tests)
 * import { resilient } from '@resil/axios';
 * import axios from 'axios';
 * import { afterAll, describe, it } from 'vitest';
 *
 * declare function startServer(): Promise<{
 *   readonly url: string;
 *   readonly requests: number;
 *   behave(fault: AdapterFault): void;
 *   close(): Promise<void>;
 * }>;
 *
 * describeAdapterContract({
 *   runner: { describe, it, afterAll },
 *   name: '@resil/axios',
 *   start: () => startServer(),
 *   stop: (server) => server.close(),
 *   target: (server) => axios.create({ baseURL: server.url }),
 *   resilient: (target, options) => resilient(target, options),
 *   call: async (target, options) => {
 *     const { data } = await target.get('/', options && { resilience: options });
 *     return data;
 *   },
 *   failWith: (server, fault) => server.behave(fault),
 *   received: (server) => server.requests,
 * });
 * ```
 */
export function describeAdapterContract<Server, Target>(
  adapter: AdapterContract<Server, Target>,
): void {
  const { describe, it, afterAll } = adapter.runner;
  describe(`${adapter.name} keeps the adapter contract`, () => {
    const bench = new AdapterBench(adapter);
    afterAll(() => bench.stop());
    const test = (name: string, body: (bench: AdapterBench<Server, Target>) => Promise<void>) =>
      it(name, () => bench.run(body));

    describe('results', () => {
      test('gives the value of an unprotected call', passesValues);
      test('gives the error of an unprotected call after maxAttempts attempts', passesErrors);
      test('repeats a failed call until it succeeds', recovers);
    });
    describe('abort', () => {
      test('sends nothing when the signal is aborted already', sendsNothingWhenAborted);
      test('frees the caller at once while the call runs', abortsRunningCalls);
      test('does not repeat a call that was aborted between attempts', abortsWaitingCalls);
      test("leaves no listener on the caller's signal", leavesNoListener);
    });
    describe('refusals', () => {
      test('opens the circuit and then does not touch the server', opensCircuit);
      test('refuses what is over the bulkhead, and gives the permit back', limitsConcurrency);
    });
    describe('timeouts', () => {
      test('attemptTimeout frees the caller and counts as one attempt', (b) =>
        timesOut(b, { attemptTimeout: CUT_TIMEOUT, retry: false }, 1));
      test('attemptTimeout cuts each attempt', (b) =>
        timesOut(b, { attemptTimeout: CUT_TIMEOUT, retry: THREE_ATTEMPTS }, 3));
      test('totalTimeout frees the caller', (b) => timesOut(b, { totalTimeout: CUT_TIMEOUT }, 1));
      test('a deadline of the call frees the caller', obeysDeadlines);
    });
    describe('events', () => {
      test('tell the story of a call', tellsEvents);
      test('a listener that throws does no harm', survivesListeners);
    });
    describe('bad input', () => {
      test('is refused with the option, the value and the rule', refusesBadOptions);
      test('a target that is not what the adapter wraps is refused', refusesBadTargets);
    });
  });
}

type Bench = AdapterBench<unknown, unknown>;

async function passesValues(bench: Bench): Promise<void> {
  const expected = await bench.call(await bench.bare());
  const bare = await bench.bare();
  assert.deepEqual(await bench.call(bench.adapter.resilient(bare)), expected);
  assert.deepEqual(await bench.call(await bench.protected({})), expected);
}

async function passesErrors(bench: Bench): Promise<void> {
  await bench.failWith('failure');
  const expected = bench.identity(await bench.fail(await bench.bare()));
  const before = await bench.received();
  const target = await bench.protected({ retry: THREE_ATTEMPTS });
  assert.deepEqual(bench.identity(await bench.fail(target)), expected);
  assert.equal((await bench.received()) - before, 3);
}

async function recovers(bench: Bench): Promise<void> {
  const before = await bench.received();
  await bench.failWith('failure');
  const retry = { ...THREE_ATTEMPTS, maxAttempts: 1_000, baseDelay: 20, maxDelay: 20 };
  const call = bench.call(await bench.protected({ retry }));
  call.catch(() => {});
  await bench.arrived(before, 2);
  await bench.failWith('none');
  assert.deepEqual(await call, await bench.call(await bench.bare()));
}

async function sendsNothingWhenAborted(bench: Bench): Promise<void> {
  const target = await bench.protected({ retry: THREE_ATTEMPTS });
  await bench.call(target);
  const before = await bench.received();
  const reason = new Error('the caller has gone');
  bench.assertAborted(await bench.fail(target, { signal: AbortSignal.abort(reason) }), reason);
  await bench.call(target);
  assert.equal((await bench.received()) - before, 1, 'only the call after it was sent');
}

async function abortsRunningCalls(bench: Bench): Promise<void> {
  const target = await bench.protected({ retry: THREE_ATTEMPTS });
  const before = await bench.received();
  await bench.failWith('hang');
  const controller = new AbortController();
  const reason = new Error('the caller has gone');
  const failed = bench.fail(target, { signal: controller.signal });
  await bench.arrived(before, 1);
  controller.abort(reason);
  bench.assertAborted(await failed, reason);
  assert.equal((await bench.received()) - before, 1, 'it was not repeated');
  await bench.failWith('none');
  await bench.call(target);
}

async function abortsWaitingCalls(bench: Bench): Promise<void> {
  const retry = { ...THREE_ATTEMPTS, baseDelay: 3_600_000, maxDelay: 3_600_000 };
  const target = await bench.protected({ name: 'contract-abort', retry });
  const before = await bench.received();
  await bench.failWith('failure');
  const controller = new AbortController();
  const reason = new Error('the caller has gone');
  const stop = observe((event: ResilienceEvent) => {
    if (event.type === 'retry.scheduled' && event.pipeline === 'contract-abort') {
      controller.abort(reason);
    }
  });
  try {
    bench.assertAborted(await bench.fail(target, { signal: controller.signal }), reason);
  } finally {
    stop();
  }
  assert.equal((await bench.received()) - before, 1, 'it was not repeated');
}

async function leavesNoListener(bench: Bench): Promise<void> {
  const { signal } = new AbortController();
  const target = await bench.protected({ retry: THREE_ATTEMPTS, attemptTimeout: 5_000 });
  for (let call = 0; call < 20; call += 1) await bench.call(target, { signal });
  await bench.failWith('failure');
  await bench.fail(target, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
}

async function opensCircuit(bench: Bench): Promise<void> {
  const circuitBreaker = { failureThreshold: 2, resetTimeout: 3_600_000 };
  const target = await bench.protected({ circuitBreaker });
  await bench.failWith('failure');
  await bench.fail(target);
  await bench.fail(target);
  await bench.failWith('none');
  const before = await bench.received();
  bench.assertCode(await bench.fail(target), 'RESIL_CIRCUIT_OPEN');
  assert.equal(await bench.received(), before);
}

async function limitsConcurrency(bench: Bench): Promise<void> {
  const target = await bench.protected({ bulkhead: { maxConcurrentCalls: 1, maxQueueSize: 0 } });
  const before = await bench.received();
  await bench.failWith('hang');
  const controller = new AbortController();
  const first = bench.fail(target, { signal: controller.signal });
  await bench.arrived(before, 1);
  bench.assertCode(await bench.fail(target), 'RESIL_BULKHEAD_FULL');
  assert.equal((await bench.received()) - before, 1);
  controller.abort(new Error('the caller has gone'));
  await first;
  await bench.failWith('none');
  // The permit comes back when the work has really ended, which may be a moment after the caller is free.
  await eventually('the permit is back', () =>
    bench.call(target).then(
      () => true,
      () => false,
    ),
  );
}

async function timesOut(
  bench: Bench,
  options: AdapterContractOptions,
  attempts: number,
): Promise<void> {
  const bare = await bench.bare();
  // Opens the connection: the time that takes is not what is tested.
  await bench.call(bare);
  const name = 'contract-timeout';
  const target = bench.protect(bare, { ...options, name });
  let retries = 0;
  const stop = observe((event: ResilienceEvent) => {
    if (event.type === 'retry.scheduled' && event.pipeline === name) retries += 1;
  });
  const before = await bench.received();
  await bench.failWith('hang');
  try {
    bench.assertCode(await bench.fail(target), 'RESIL_TIMEOUT');
  } finally {
    stop();
  }
  assert.equal(retries, attempts - 1);
  await bench.arrived(before, 1);
  assert.ok((await bench.received()) - before <= attempts);
  await bench.failWith('none');
}

async function obeysDeadlines(bench: Bench): Promise<void> {
  const target = await bench.protected({ retry: THREE_ATTEMPTS });
  await bench.failWith('hang');
  const deadline = systemClock.now() + CUT_TIMEOUT;
  bench.assertCode(await bench.fail(target, { deadline }), 'RESIL_TIMEOUT');
}

async function tellsEvents(bench: Bench): Promise<void> {
  const types: string[] = [];
  const stop = observe((event: ResilienceEvent) => {
    if (event.pipeline === 'contract-events') types.push(event.type);
  });
  try {
    const target = await bench.protected({ name: 'contract-events', retry: THREE_ATTEMPTS });
    await bench.call(target);
    assert.deepEqual(types.splice(0), ['call.started', 'call.succeeded']);
    await bench.failWith('failure');
    await bench.fail(target);
    assert.deepEqual(types, [
      'call.started',
      'retry.scheduled',
      'retry.scheduled',
      'retry.exhausted',
      'call.failed',
    ]);
  } finally {
    stop();
  }
}

async function survivesListeners(bench: Bench): Promise<void> {
  const target = await bench.protected({ retry: THREE_ATTEMPTS });
  const expected = await bench.call(await bench.bare());
  const before = await bench.received();
  let reported = 0;
  const stopReports = reportErrorsTo(() => {
    reported += 1;
  });
  const stop = observe(() => {
    throw new Error('thrown by a listener on purpose');
  });
  try {
    assert.deepEqual(await bench.call(target), expected);
    assert.equal((await bench.received()) - before, 1);
    assert.ok(reported > 0, 'the error of the listener is reported');
  } finally {
    stop();
    stopReports();
  }
}

async function refusesBadOptions(bench: Bench): Promise<void> {
  const target = await bench.bare();
  for (const [options, message] of [...badAdapterOptions, ...(bench.adapter.badOptions ?? [])]) {
    assert.throws(
      () => bench.adapter.resilient(target, options as AdapterContractOptions),
      (error: Error) => message.test(error.message),
      `${JSON.stringify(options)} is refused with ${message}`,
    );
  }
}

async function refusesBadTargets(bench: Bench): Promise<void> {
  for (const target of bench.adapter.badTargets ?? [undefined, null, 42, {}]) {
    assert.throws(() => bench.adapter.resilient(target), TypeError, String(target));
  }
}
