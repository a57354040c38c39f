import { describeLayerContract, type LayerContract } from '@resil/testing';
import { describe, it } from 'vitest';
import {
  adaptiveLimiter,
  bulkhead,
  cache,
  circuitBreaker,
  coalesce,
  concurrencyBudget,
  failover,
  fallback,
  hedge,
  pipeline,
  rateLimiter,
  retry,
  retryBudget,
  standard,
  throttle,
  timeout,
} from '../src/index.js';

const HOUR = 3_600_000;
const runner = { describe, it };
const forEver = (): Promise<never> => new Promise(() => {});
const failing = (): never => {
  throw new Error('failed');
};
const permit: LayerContract['waits'] = [
  {
    create: () => bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: Infinity }),
    wait: { name: 'a permit', arrange: (execute) => void execute(forEver) },
  },
  {
    create: () => bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: HOUR + 1 }),
    wait: { name: 'a permit for a time', arrange: (execute) => void execute(forEver) },
  },
];

describeLayerContract({
  runner,
  name: 'bulkhead',
  create: () => bulkhead({ maxConcurrentCalls: 10 }),
  waits: permit,
  refuses: [[() => bulkhead({ maxConcurrentCalls: 0 }), /maxConcurrentCalls.*0/]],
});

describeLayerContract({
  runner,
  name: 'bulkhead with a timeout',
  create: () => bulkhead({ maxConcurrentCalls: 10, timeout: HOUR }),
});

describeLayerContract({
  runner,
  name: 'circuitBreaker by consecutive failures',
  create: ({ clock }) => circuitBreaker({ clock, failureThreshold: 1_000 }),
  refuses: [[() => circuitBreaker({ failureThreshold: 0 }), /failureThreshold.*0/]],
});

describeLayerContract({
  runner,
  name: 'circuitBreaker by ratio',
  create: ({ clock }) =>
    circuitBreaker({ clock, failureRatio: 1, slowCallDuration: HOUR, window: { calls: 1_000 } }),
});

describeLayerContract({
  runner,
  name: 'circuitBreaker with a fallback',
  create: ({ clock }) =>
    circuitBreaker({ clock, failureThreshold: 1_000, fallbackFn: () => 'instead' }),
  passesErrors: false,
});

describeLayerContract({
  runner,
  name: 'adaptiveLimiter',
  create: ({ clock, random }) =>
    adaptiveLimiter({ clock, random, initialLimit: 1_000, minLimit: 1_000, maxLimit: 1_000 }),
  waits: (['fifo', 'codel'] as const).map((queue) => ({
    create: ({ clock }) =>
      adaptiveLimiter({
        clock,
        queue,
        maxLimit: 1,
        maxQueueSize: 1,
        queueTimeout: Infinity,
        stallDuration: Infinity,
      }),
    wait: { name: `a permit (${queue})`, arrange: (execute) => void execute(forEver) },
  })),
  refuses: [[() => adaptiveLimiter({ minLimit: 0 }), /minLimit.*0/]],
});

describeLayerContract({
  runner,
  name: 'rateLimiter',
  create: ({ clock }) => rateLimiter({ clock, maxCalls: 1_000_000, burstSize: 1_000 }),
  waits: [
    {
      create: ({ clock }) =>
        rateLimiter({ clock, maxCalls: 1, interval: HOUR + 1, queueTimeout: Infinity }),
      wait: { name: 'its turn', arrange: (execute) => void execute(forEver) },
    },
  ],
  refuses: [[() => rateLimiter({ maxCalls: 0 }), /maxCalls.*0/]],
});

describeLayerContract({
  runner,
  name: 'retry',
  create: ({ random }) => retry({ maxAttempts: 3, random }),
  waits: [
    {
      create: () => retry({ baseDelay: HOUR + 1, jitter: 'none' }),
      wait: { name: 'backoff', operation: failing },
    },
  ],
  refuses: [[() => retry({ maxAttempts: 0 }), /maxAttempts.*0/]],
});

describeLayerContract({
  runner,
  name: 'retry with a budget',
  create: ({ clock, random }) => retry({ random, budget: retryBudget({ clock }) }),
});

describeLayerContract({
  runner,
  name: 'rateLimiter that observes',
  create: ({ clock }) => rateLimiter({ clock, maxCalls: 1, interval: HOUR, mode: 'observe' }),
});

describeLayerContract({
  runner,
  name: 'throttle',
  create: ({ clock, random }) => throttle({ clock, random, minimumCalls: 1_000 }),
  refuses: [[() => throttle({ minSuccessRatio: 0 }), /minSuccessRatio.*0/]],
});

describeLayerContract({
  runner,
  name: 'retry with a concurrency budget',
  create: ({ random }) => retry({ random, budget: concurrencyBudget() }),
});

describeLayerContract({
  runner,
  name: 'hedge',
  create: ({ clock }) => hedge({ clock, idempotent: true, delay: HOUR }),
  refuses: [[() => hedge({ maxHedges: 0 }), /maxHedges.*0/]],
});

describeLayerContract({
  runner,
  name: 'hedge by extra load',
  create: ({ clock }) => hedge({ clock, idempotent: true, minimumCalls: 1 }),
});

describeLayerContract({
  runner,
  name: 'hedge with a budget',
  create: ({ clock }) =>
    hedge({ clock, idempotent: true, delay: HOUR, budget: concurrencyBudget(), maxHedges: 3 }),
});

describeLayerContract({
  runner,
  name: 'hedge of what may not run twice',
  create: ({ clock }) => hedge({ clock }),
});

describeLayerContract({
  runner,
  name: 'timeout',
  create: () => timeout({ duration: HOUR }),
  refuses: [[() => timeout({ duration: 0 }), /duration.*0/]],
});

describeLayerContract({
  runner,
  name: 'fallback',
  create: () => fallback(() => 'instead'),
  passesErrors: false,
  refuses: [[() => fallback(undefined as never), /fallback: fn.*undefined/]],
});

describeLayerContract({
  runner,
  name: 'fallback that answers nothing',
  create: () =>
    fallback((error) => {
      throw error;
    }),
});

describeLayerContract({
  runner,
  name: 'cache of calls without a key',
  create: ({ clock }) => cache({ key: ({ key }) => key, clock }),
  refuses: [[() => cache({ key: () => 'a', freshDuration: -1 }), /cache\.freshDuration.*-1/]],
});

describeLayerContract({
  runner,
  name: 'cache of calls that differ',
  create: ({ clock }) => {
    let calls = 0;
    return cache({ clock, key: () => String(calls++) });
  },
  waits: [
    {
      create: () => {
        const store = { get: forEver, set: forEver, delete: forEver };
        return cache({ key: () => 'a', store, storeTimeout: 2 * HOUR });
      },
      wait: { name: 'a store that hangs' },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'coalesce of calls without a key',
  create: () => coalesce({ key: ({ key }) => key }),
  refuses: [[() => coalesce({ key: 'mine' as never }), /coalesce\.key.*'mine'/]],
});

describeLayerContract({
  runner,
  name: 'coalesce of calls that differ',
  create: () => {
    let calls = 0;
    return coalesce({ key: () => String(calls++) });
  },
  waits: [
    {
      create: () => coalesce({ key: () => 'same' }),
      wait: { name: 'the flight of another', arrange: (execute) => void execute(forEver) },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'failover',
  create: ({ random }) => failover({ endpoints: ['a', 'b', 'c'], random }),
  refuses: [[() => failover({ endpoints: [] }), /endpoints.*an array/]],
});

describeLayerContract({
  runner,
  name: 'failover with guards of each endpoint',
  create: ({ clock, random }) =>
    failover({
      endpoints: ['a', { target: 'b', priority: 1 }],
      random,
      layers: ({ name }) => [
        circuitBreaker({ name, clock, failureThreshold: 1_000 }),
        bulkhead({ name, maxConcurrentCalls: 10 }),
        timeout({ duration: HOUR }),
      ],
    }),
  waits: [
    {
      create: () =>
        failover({
          endpoints: ['a'],
          layers: () => [
            bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: Infinity }),
          ],
        }),
      wait: { name: 'a permit of an endpoint', arrange: (execute) => void execute(forEver) },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'pipeline of all of them',
  create: ({ clock, random }) =>
    pipeline(
      'inner',
      timeout({ duration: HOUR }),
      retry({ maxAttempts: 2, random }),
      hedge({ clock, idempotent: true, delay: HOUR }),
      circuitBreaker({ clock, failureThreshold: 1_000 }),
      bulkhead({ maxConcurrentCalls: 10 }),
      timeout({ duration: HOUR - 1 }),
    ),
  waits: [
    {
      create: ({ clock }) =>
        pipeline(
          retry({ maxAttempts: 2 }),
          circuitBreaker({ clock, failureThreshold: 1_000 }),
          bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: Infinity }),
        ),
      wait: { name: 'a permit', arrange: (execute) => void execute(forEver) },
    },
  ],
});

describeLayerContract({
  runner,
  name: 'standard',
  create: ({ clock, random }) =>
    standard({ clock, random, circuitBreaker: { failureThreshold: 1_000 } }),
});
