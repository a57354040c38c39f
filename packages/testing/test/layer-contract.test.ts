import {
  bulkhead,
  type Call,
  type Clock,
  circuitBreaker,
  fallback,
  type Layer,
  retry,
  standard,
  timeout,
} from '@resil/core';
import { describe, expect, it } from 'vitest';
import {
  describeLayerContract,
  faultInjection,
  faultScript,
  inject,
  type LayerContract,
} from '../src/index.js';

const runner = { describe, it };
const failing = (): never => {
  throw new Error('failed');
};

describeLayerContract({
  runner,
  name: 'faultInjection',
  create: ({ random }) =>
    faultInjection({ random, fault: { ratio: 0 }, behavior: { ratio: 0, run: failing } }),
  waits: [
    {
      create: () => faultInjection({ latency: { ratio: 1, delay: 3_600_001 } }),
      wait: { name: 'latency' },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'faultScript',
  create: () => faultScript([]),
  waits: [
    { create: () => faultScript([inject.hang]), wait: { name: 'hang' } },
    { create: () => faultScript([inject.delay(3_600_001)]), wait: { name: 'delay' } },
  ],
});

describeLayerContract({
  runner,
  name: 'core: bulkhead',
  create: () => bulkhead({ maxConcurrentCalls: 10 }),
  waits: [
    {
      create: () =>
        bulkhead({
          maxConcurrentCalls: 1,
          maxQueueSize: 1,
          queueTimeout: Number.POSITIVE_INFINITY,
        }),
      wait: { name: 'a permit', arrange: (execute) => void execute(() => new Promise(() => {})) },
    },
  ],
  refuses: [[() => bulkhead({ maxConcurrentCalls: 0 }), /maxConcurrentCalls.*0/]],
});

describeLayerContract({
  runner,
  name: 'core: retry',
  create: ({ random }) => retry({ maxAttempts: 3, random }),
  waits: [
    {
      create: () => retry({ baseDelay: 3_600_001, maxDelay: 3_600_001, jitter: 'none' }),
      wait: { name: 'backoff', operation: failing },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'core: circuitBreaker',
  create: ({ clock }) => circuitBreaker({ failureThreshold: 1_000, clock }),
});

describeLayerContract({
  runner,
  name: 'core: timeout',
  create: () => timeout({ duration: 10_000 }),
});

describeLayerContract({
  runner,
  name: 'core: fallback',
  create: () => fallback(() => 'last known'),
  passesErrors: false,
});

describeLayerContract({
  runner,
  name: 'core: standard',
  create: ({ clock, random }) =>
    standard({ clock, random, circuitBreaker: { failureThreshold: 1_000 } }),
});

/** Runs the suite over a layer and gives the names of the tests that fail. */
async function failures(
  layer: Partial<LayerContract> & { create: LayerContract['create'] },
): Promise<string[]> {
  const tests: [string, () => void | Promise<void>][] = [];
  describeLayerContract({
    runner: { describe: (_, body) => body(), it: (name, body) => tests.push([name, body]) },
    name: 'bad',
    ...layer,
  });
  const failed: string[] = [];
  for (const [name, body] of tests)
    await Promise.resolve()
      .then(body)
      .catch(() => failed.push(name));
  return failed;
}

describe('describeLayerContract finds', () => {
  const strategy =
    (
      run: (call: Call, next: (call: Call) => Promise<never>, clock: Clock) => unknown,
    ): LayerContract['create'] =>
    ({ clock }) =>
      ({
        name: 'bad',
        run: (call, next) => run(call, next as never, clock) as never,
      }) satisfies Layer;

  it('nothing in a layer that passes everything on', async () => {
    expect(await failures({ create: strategy((call, next) => next(call)) })).toEqual([]);
  });

  it.each<[string, LayerContract['create'], string]>([
    [
      'a layer that loses the value',
      strategy((call, next) => next(call).then(() => undefined)),
      'gives the very value of the operation, run once',
    ],
    [
      'a layer that runs it twice',
      strategy((call, next) => next(call).then(() => next(call))),
      'gives the very value of the operation, run once',
    ],
    [
      'a layer that starts a turn late',
      strategy((call, next) => Promise.resolve().then(() => next(call))),
      'reaches the operation synchronously',
    ],
    [
      'a layer that wraps errors',
      strategy((call, next) =>
        next(call).catch((cause) => Promise.reject(new Error('wrapped', { cause }))),
      ),
      "gives the operation's own error, unchanged",
    ],
    [
      'a layer that leaves a listener',
      strategy((call, next) => {
        call.signal.addEventListener('abort', () => {});
        return next(call);
      }),
      'gives back permits, timers and listeners on every path',
    ],
    [
      'a layer that leaves a timer',
      strategy((call, next, clock) => {
        clock.schedule(() => {}, 60_000);
        return next(call);
      }),
      'gives back permits, timers and listeners on every path',
    ],
    [
      'a layer that leaves a rejection',
      strategy((call, next) => {
        void Promise.reject(new Error('left'));
        return next(call);
      }),
      'gives the very value of the operation, run once',
    ],
  ])('%s', async (_, create, name) => {
    expect(await failures({ create })).toContain(name);
  });

  it('a guard that loses the permits of aborted calls', async () => {
    let running = 0;
    const create = (): Layer => ({
      name: 'bad',
      enter() {
        if (running >= 10) throw new Error('full');
        running += 1;
      },
      leave(_permit, call) {
        if (!call.aborted) running -= 1;
      },
    });
    expect(await failures({ create })).toContain(
      'gives back permits, timers and listeners on every path',
    );
  });

  it('a wait that an abort does not end', async () => {
    const create = strategy(
      (call, next, clock) =>
        new Promise((resolve) => clock.schedule(() => resolve(next(call)), 3_600_001)),
    );
    const found = await failures({
      create: strategy((call, next) => next(call)),
      waits: [{ create, wait: { name: 'deaf' } }],
    });
    expect(found).toEqual([
      'deaf: an abort ends the wait at once, and the call never starts',
      'deaf: a deadline ends the wait',
    ]);
  });
});
