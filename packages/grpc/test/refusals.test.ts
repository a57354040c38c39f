/** Each refusal and timeout of the core's layers, as the caller of a real server's method hears of it. */
import { status as codes } from '@grpc/grpc-js';
import {
  adaptiveLimiter,
  bulkhead,
  circuitBreaker,
  failover,
  fallback,
  type Layer,
  pipeline,
  rateLimiter,
  throttle,
  timeout,
} from '@resil/core';
import { type GrpcService, startGrpcService } from '@resil/testbed';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { resilient } from '../src/index.js';
import { connect, endOf, failureOf, getStock, type Inventory } from './inventory.js';

let service: GrpcService;

beforeAll(async () => {
  service = await startGrpcService();
});
afterAll(() => service.stop());

/** Something that holds what it was given until the test is over. */
function holding(): Promise<void> {
  return new Promise((resolve) => onTestFinished(() => resolve()));
}

function isolated(): Layer {
  const breaker = circuitBreaker();
  breaker.isolate();
  return breaker;
}

async function opened(): Promise<Layer> {
  const breaker = circuitBreaker({ failureThreshold: 1, resetTimeout: 60_000 });
  await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => {});
  return breaker;
}

function full(): Layer {
  const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 0 });
  void limit.execute(holding);
  return limit;
}

function crowded(): Layer {
  const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 5 });
  void limit.execute(holding);
  return limit;
}

function atItsLimit(): Layer {
  const limiter = adaptiveLimiter({ initialLimit: 1, minLimit: 1, maxLimit: 1, maxQueueSize: 0 });
  void limiter.execute(holding);
  return limiter;
}

async function used(): Promise<Layer> {
  const limiter = rateLimiter({ maxCalls: 1, interval: 60_000, maxQueueSize: 0 });
  await limiter.execute(async () => {});
  return limiter;
}

async function discouraged(): Promise<Layer> {
  const throttled = throttle({ minimumCalls: 1, maxRejectionRatio: 1, random: () => 0 });
  await throttled.execute(() => Promise.reject(new Error('down'))).catch(() => {});
  return throttled;
}

const nowhere = (): Layer => failover({ endpoints: ['a', 'b'], rank: () => Infinity });

const refusals: readonly [string, number, string, () => Layer | Promise<Layer>][] = [
  ['an isolated circuit', codes.UNAVAILABLE, 'RESIL_CIRCUIT_ISOLATED', isolated],
  ['an open circuit', codes.UNAVAILABLE, 'RESIL_CIRCUIT_OPEN', opened],
  ['a full bulkhead', codes.RESOURCE_EXHAUSTED, 'RESIL_BULKHEAD_FULL', full],
  ['a long wait for a permit', codes.RESOURCE_EXHAUSTED, 'RESIL_QUEUE_TIMEOUT', crowded],
  ['a limit that was found out', codes.RESOURCE_EXHAUSTED, 'RESIL_LIMIT_EXCEEDED', atItsLimit],
  ['a rate limiter without a turn', codes.RESOURCE_EXHAUSTED, 'RESIL_RATE_LIMITED', used],
  ['a throttle', codes.UNAVAILABLE, 'RESIL_THROTTLED', discouraged],
  ['no endpoint', codes.UNAVAILABLE, 'RESIL_NO_ENDPOINT', nowhere],
];

function guardedBy(layer: Layer): Inventory {
  const client = resilient(connect(service), { pipeline: () => pipeline(layer) });
  onTestFinished(() => client.close());
  return client;
}

describe('a refusal', () => {
  it.each(refusals)('by %s has the status %i and the cause %s', async (_, code, cause, make) => {
    service.resetCounters();
    const client = guardedBy(await make());
    expect(await failureOf(getStock(client))).toMatchObject({ code, cause: { code: cause } });
    const { error } = await endOf(client.listStock({ count: 1 }));
    expect(error).toMatchObject({ code, cause: { code: cause } });
    expect(service.counters().hits).toBe(0);
  });
});

describe('a timeout', () => {
  it('has the status DEADLINE_EXCEEDED and the cause RESIL_TIMEOUT', async () => {
    service.set({ hangRatio: 1 });
    onTestFinished(() => service.set());
    const client = guardedBy(timeout({ duration: 50 }));
    expect(await failureOf(getStock(client))).toMatchObject({
      code: codes.DEADLINE_EXCEEDED,
      cause: { code: 'RESIL_TIMEOUT' },
    });
  });
});

describe('a fallback', () => {
  it.each([undefined, null, 'nothing left'])(
    'that throws %s ends the call with UNKNOWN',
    async (thrown) => {
      const client = guardedBy(
        pipeline(
          fallback(() => {
            throw thrown;
          }),
          isolated(),
        ),
      );
      const failed = { code: codes.UNKNOWN, details: String(thrown) };
      expect(await failureOf(getStock(client))).toMatchObject(failed);
      expect((await endOf(client.listStock({ count: 1 }))).error).toMatchObject(failed);
    },
  );
});
