/** Events are made for those who hear them: where nobody listens, none is made. */
import { VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallState } from '../src/call-state.js';
import {
  adaptiveLimiter,
  bulkhead,
  type Call,
  cache,
  circuitBreaker,
  coalesce,
  failover,
  fallback,
  hedge,
  type Layer,
  memoryStore,
  observe,
  pipeline,
  rateLimiter,
  retry,
  retryBudget,
  throttle,
  timeout,
} from '../src/index.js';

const down = new Error('down');
let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});
afterEach(() => {
  vi.restoreAllMocks();
});

type Operation = (call: Call) => unknown;
const fails: Operation = () => Promise.reject(down);
const works: Operation = async () => 'done';
const takes = (duration: number): Operation => {
  return () => new Promise((resolve) => clock.schedule(() => resolve('done'), duration));
};
const slowAtFirst: Operation = (call) => (call.attempt === 1 ? takes(50)(call) : 'done');

/** What happens, as the events that it makes where somebody listens. */
const scenarios: [string, () => Layer[], Operation[]][] = [
  [
    'bulkhead.queued',
    () => [bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 })],
    [takes(5), works],
  ],
  [
    'bulkhead.dequeued',
    () => [bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 })],
    [takes(5), works],
  ],
  ['bulkhead.rejected', () => [bulkhead({ maxConcurrentCalls: 1 })], [takes(5), works]],
  [
    'bulkhead.rejected',
    () => [bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 1 })],
    [takes(5), works],
  ],
  [
    'bulkhead.queued',
    () => [bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, mode: 'observe' })],
    [takes(5), works],
  ],
  [
    'bulkhead.rejected',
    () => [bulkhead({ maxConcurrentCalls: 1, mode: 'observe' })],
    [takes(5), works],
  ],
  [
    'limiter.queued',
    () => [adaptiveLimiter({ initialLimit: 1, maxQueueSize: 1, clock })],
    [takes(5), works],
  ],
  [
    'limiter.dequeued',
    () => [adaptiveLimiter({ initialLimit: 1, maxQueueSize: 1, clock })],
    [takes(5), works],
  ],
  ['limiter.rejected', () => [adaptiveLimiter({ initialLimit: 1, clock })], [takes(5), works]],
  [
    'limiter.queued',
    () => [adaptiveLimiter({ initialLimit: 1, maxQueueSize: 1, clock, mode: 'observe' })],
    [takes(5), works],
  ],
  ['limiter.limit-changed', () => [adaptiveLimiter({ initialLimit: 9, clock })], [fails]],
  ['rate-limit.queued', () => [rateLimiter({ maxCalls: 1, interval: 100, clock })], [works, works]],
  [
    'rate-limit.rejected',
    () => [rateLimiter({ maxCalls: 1, interval: 100, maxQueueSize: 0, clock })],
    [works, works],
  ],
  [
    'throttle.rejected',
    () => [throttle({ random: () => 0, minimumCalls: 1, clock })],
    [fails, fails, works],
  ],
  [
    'circuit.rejected',
    () => [circuitBreaker({ failureThreshold: 1, clock, mode: 'observe' })],
    [fails, works],
  ],
  ['timeout.expired', () => [timeout({ duration: 5 })], [takes(50)]],
  ['timeout.expired', () => [timeout({ duration: 5 }), bulkhead()], [takes(50)]],
  ['retry.scheduled', () => [retry({ maxAttempts: 2, baseDelay: 1 })], [fails]],
  ['retry.exhausted', () => [retry({ maxAttempts: 2, baseDelay: 1 })], [fails]],
  [
    'budget.exhausted',
    () => [retry({ baseDelay: 1, budget: retryBudget({ ratio: 0, minPerSecond: 0, clock }) })],
    [fails],
  ],
  ['fallback.used', () => [fallback(() => 'instead')], [fails]],
  ['hedge.started', () => [hedge({ delay: 1, idempotent: true, budget: false })], [takes(5)]],
  ['hedge.won', () => [hedge({ delay: 1, idempotent: true, budget: false })], [slowAtFirst]],
  ['cache.hit', () => [cache({ key: () => 'a', store: memoryStore({ clock }) })], [works, works]],
  ['cache.miss', () => [cache({ key: () => 'a', store: memoryStore({ clock }) })], [works]],
  ['cache.stored', () => [cache({ key: () => 'a', store: memoryStore({ clock }) })], [works]],
  [
    'cache.stale',
    () => [
      cache({
        key: () => 'a',
        freshDuration: 0,
        staleDuration: 100,
        store: memoryStore({ clock }),
      }),
    ],
    [works, works],
  ],
  [
    'cache.revalidation-failed',
    () => [
      cache({
        key: () => 'a',
        freshDuration: 0,
        staleDuration: 100,
        store: memoryStore({ clock }),
      }),
    ],
    [works, fails],
  ],
  ['coalesce.joined', () => [coalesce({ key: () => 'a' })], [takes(5), works]],
  [
    'endpoint.skipped',
    () => [failover({ endpoints: ['a', { target: 'b', priority: 1 }], moveOn: () => true })],
    [fails],
  ],
];

/** Runs the operations, the second while the first still runs; gives the events that were made. */
async function run(layers: Layer[], operations: Operation[], listens: boolean): Promise<string[]> {
  const emit = vi.spyOn(CallState.prototype, 'emit');
  const calls = pipeline({ clock }, ...layers);
  const end = listens ? observe(() => {}) : () => {};
  const running: Promise<unknown>[] = [];
  for (const operation of operations) {
    running.push(calls.execute(operation).catch(() => {}));
    await clock.flush();
  }
  await clock.advance(1_000);
  await Promise.all(running);
  end();
  return emit.mock.calls.map(([{ type }]) => type);
}

describe('where nobody listens', () => {
  it.each(scenarios)('no %s is made', async (type, layers, operations) => {
    expect(await run(layers(), operations, true)).toContain(type);
    vi.restoreAllMocks();
    expect(await run(layers(), operations, false)).toEqual([]);
  });
});
