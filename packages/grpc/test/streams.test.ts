import { type Client, status as codes, Metadata } from '@grpc/grpc-js';
import {
  bulkhead,
  CircuitBreaker,
  circuitBreaker,
  observe,
  pipeline,
  type ResilienceEvent,
  timeout,
} from '@resil/core';
import { type GrpcService, type Stock, startGrpcProcess, startGrpcService } from '@resil/testbed';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { connect, endOf, off, thrice, until } from './inventory.js';

let service: GrpcService;
const open: Client[] = [];

beforeAll(async () => {
  service = await startGrpcService();
});
afterEach(() => {
  service.set();
  service.resetCounters();
  for (const client of open.splice(0)) client.close();
});
afterAll(() => service.stop());

function guarded(options: object) {
  const client = connect(service);
  open.push(client);
  return resilient(client, options);
}

describe('a server stream', () => {
  it('is repeated until its first message, with one metadata and one status event', async () => {
    const view = guarded(thrice);
    service.set({ statuses: [14, 14] });
    const end = await endOf(view.listStock({ count: 3 }));
    expect(end.skus).toEqual(['sku-0', 'sku-1', 'sku-2']);
    expect(end.events).toEqual(['metadata', 'status']);
    expect(service.counters().hits).toBe(3);
  });

  it('is never repeated after its first message', async () => {
    const view = guarded(thrice);
    service.set({ statuses: [14], failAfterMessages: 2 });
    const end = await endOf(view.listStock({ count: 5 }));
    expect(end.skus).toEqual(['sku-0', 'sku-1']);
    expect(end.error?.code).toBe(codes.UNAVAILABLE);
    expect(service.counters().hits).toBe(1);
  });

  it('may be empty', async () => {
    const end = await endOf(guarded(thrice).listStock({ count: 0 }));
    expect([end.skus, end.error]).toEqual([[], undefined]);
  });

  it('of 100,000 messages goes at the pace of its reader, in bounded memory', async () => {
    const far = await startGrpcProcess();
    const client = connect(far);
    open.push(client);
    const view = resilient(client, { ...thrice, attemptTimeout: 30_000 });
    const stream = view.listStock({ count: 100_000, padding: 256 });
    const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().external;
    const before = used();
    let mostBuffered = 0;
    let read = 0;
    const end = new Promise((resolve, reject) => {
      stream.on('end', resolve);
      stream.on('error', reject);
    });
    await new Promise<void>((resolve) => {
      stream.on('data', () => {
        read++;
        mostBuffered = Math.max(mostBuffered, stream.readableLength);
        if (read !== 100) return;
        stream.pause();
        resolve();
      });
    });
    // Its reader has stopped: what is on its way fills the buffers, and no more is sent.
    let seen = -1;
    await until('the server waits', async () => {
      const { written } = await far.counters();
      const same = written === seen;
      seen = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return same;
    });
    expect(seen).toBeLessThan(50_000);
    expect(used() - before).toBeLessThan(100_000_000);
    stream.resume();
    await end;
    expect(read).toBe(100_000);
    expect(mostBuffered).toBeLessThanOrEqual(stream.readableHighWaterMark + 1);
    await far.kill();
  }, 120_000);

  it('holds its permit until it ends, and timeouts only until it begins', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const own = pipeline(limit, timeout({ duration: 1_000 }));
    const view = guarded({ pipeline: () => own });
    const stream = view.listStock({ count: 1_000, padding: 10_000 });
    stream.pause();
    await new Promise((resolve) => stream.once('readable', resolve));
    expect(limit.running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect((await endOf(view.listStock({ count: 1 }))).error?.cause).toMatchObject({
      code: 'RESIL_BULKHEAD_FULL',
    });
    const { skus, error } = await endOf(stream);
    expect([skus.length, error]).toEqual([1_000, undefined]);
    expect(limit.running).toBe(0);
  });

  it('that fails half-way counts for the breaker', async () => {
    const breaker = new CircuitBreaker({ failureThreshold: 2 });
    const view = guarded({ pipeline: () => pipeline(breaker) });
    service.set({ statuses: [14, 14], failAfterMessages: 2 });
    await endOf(view.listStock({ count: 5 }));
    expect(breaker.state).toBe('closed');
    await endOf(view.listStock({ count: 5 }));
    expect(breaker.state).toBe('open');
  });

  it('that its reader leaves is cancelled at the server, and no failure', async () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1 });
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const view = guarded({ pipeline: () => pipeline(breaker, limit) });
    const controller = new AbortController();
    const { signal } = controller;
    const stream = view.listStock({ count: 100_000 }, { resilience: { signal } });
    stream.once('data', () => controller.abort(new Error('seen enough')));
    const { error } = await endOf(stream);
    expect(error).toMatchObject({ code: codes.CANCELLED, cause: { message: 'seen enough' } });
    await until('the server knows', () => service.counters().cancelled > 0);
    expect([breaker.state, limit.running]).toEqual(['closed', 0]);
  });

  it('as a probe closes the circuit with its first message', async () => {
    const breaker = circuitBreaker({ failureThreshold: 1, resetTimeout: 0, halfOpenCalls: 1 });
    const view = guarded({ pipeline: () => pipeline(breaker) });
    service.set({ statuses: [14] });
    await endOf(view.listStock({ count: 1 }));
    expect(breaker.state).toBe('half-open');
    const stream = view.listStock({ count: 1_000, padding: 10_000 });
    stream.pause();
    await new Promise((resolve) => stream.once('readable', resolve));
    expect(breaker.state).toBe('closed');
    stream.on('error', () => {});
    stream.cancel();
  });

  it('is cut at streamTimeout and at its own deadline, whatever it brought', async () => {
    const view = guarded({ ...off, streamTimeout: 150 });
    const cut = async (options: object): Promise<number | undefined> => {
      const stream = view.listStock({ count: 100_000, padding: 1_000 }, options);
      stream.once('data', () => stream.pause());
      const { error } = await new Promise<{ error: { code?: number } }>((resolve) =>
        stream.on('error', (failure) => resolve({ error: failure as { code?: number } })),
      );
      return error.code;
    };
    expect(await cut({})).toBe(codes.DEADLINE_EXCEEDED);
    expect(await cut({ deadline: Date.now() + 100 })).toBe(codes.DEADLINE_EXCEEDED);
  });

  it('can be answered by a fallback: with a message, or with many', async () => {
    const open = { failureThreshold: 1, resetTimeout: 3_600_000 };
    const answers: unknown[] = [
      { sku: 'kept', available: 0 },
      [{ sku: 'one' }, { sku: 'two' }],
      (async function* () {
        for (let index = 0; index < 100; index++) yield { sku: `made-${index}` };
      })(),
    ];
    const view = guarded({ ...off, circuitBreaker: open, fallback: () => answers.shift() });
    service.set({ statusRatio: 1 });
    expect((await endOf(view.listStock({ count: 1 }))).skus).toEqual(['kept']);
    const many = await endOf(view.listStock({ count: 1 }));
    expect([many.skus, many.events]).toEqual([
      ['one', 'two'],
      ['metadata', 'status'],
    ]);
    expect((await endOf(view.listStock({ count: 1 }))).skus).toHaveLength(100);
    expect(service.counters().hits).toBe(1);
  });
});

describe('a refusal', () => {
  it('comes as a status, on a later tick, to calls of every kind', async () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1 });
    breaker.isolate();
    const view = guarded({ pipeline: () => pipeline(breaker) });
    const errors: unknown[] = [];
    const listen = async (stream: {
      on(event: 'error', listener: (e: unknown) => void): unknown;
    }) => {
      // Whoever gets the stream out of an async function listens only now.
      await Promise.resolve();
      await Promise.resolve();
      await new Promise((resolve) => stream.on('error', (error) => resolve(errors.push(error))));
    };
    view.getStock({ sku: 'a' }, (error) => errors.push(error));
    await listen(view.listStock({ count: 1 }));
    await listen(view.track());
    await new Promise<void>((resolve) => {
      const writing = view.restock((error) => {
        errors.push(error);
        resolve();
      });
      writing.write({ sku: 'a', quantity: 1 });
      writing.end();
    });
    expect(errors).toHaveLength(4);
    for (const error of errors) {
      expect(error).toMatchObject({
        code: codes.UNAVAILABLE,
        cause: { code: 'RESIL_CIRCUIT_ISOLATED' },
      });
    }
    expect(service.counters().hits).toBe(0);
  });
});

describe('streams of the client', () => {
  it('pass whole and in order, and are never repeated', async () => {
    const view = guarded({ ...thrice });
    const receipt = await new Promise<{ deliveries: number } | undefined>((resolve, reject) => {
      const writing = view.restock((error, answer) => (error ? reject(error) : resolve(answer)));
      for (let index = 0; index < 1_000; index++) writing.write({ sku: 'a', quantity: index });
      writing.end();
    });
    expect(receipt).toEqual({ deliveries: 1_000 });
    service.set({ statuses: [14] });
    const failed = await new Promise<unknown>((resolve) => view.restock(resolve).end());
    expect(failed).toMatchObject({ code: codes.UNAVAILABLE });
    expect(service.counters().byMethod.Restock).toBe(2);
  });

  it('wait their turn in the bulkhead, and tell their outcome to the breaker', async () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1 });
    const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 });
    const view = guarded({ pipeline: () => pipeline(breaker, limit) });
    const first = view.track(new Metadata());
    const second = view.track();
    const skus: string[] = [];
    second.on('data', ({ sku }: Stock) => skus.push(sku));
    second.write({ sku: 'b' });
    first.write({ sku: 'a' });
    await new Promise((resolve) => first.once('data', resolve));
    expect([limit.running, limit.waiting, skus]).toEqual([1, 1, []]);
    first.end();
    await until('the second has its answer', () => skus.length === 1);
    second.end();
    await until('the permit is back', () => limit.running === 0);
    service.set({ statuses: [13] });
    const third = view.track();
    const error = await new Promise((resolve) => third.on('error', resolve));
    expect(error).toMatchObject({ code: codes.INTERNAL });
    await until('the breaker knows', () => breaker.state === 'open');
  });

  it('leave the queue at once when they are cancelled', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 60_000 });
    const view = guarded({ pipeline: () => pipeline(limit) });
    const first = view.track();
    first.on('error', () => {});
    await until('the first is in', () => limit.running === 1);
    const second = view.track();
    await until('the second waits', () => limit.waiting === 1);
    const failed = new Promise((resolve) => second.on('error', resolve));
    second.cancel();
    expect(await failed).toMatchObject({ message: '1 CANCELLED: Cancelled on client' });
    expect(limit.waiting).toBe(0);
    first.cancel();
  });
});

describe('events', () => {
  it('carry no message and no metadata of a call', async () => {
    const events: ResilienceEvent[] = [];
    const stop = observe((event) => events.push(event));
    const view = guarded({ ...thrice, name: 'secrets' });
    service.set({ statusRatio: 1, trailers: { 'set-cookie': 'hush-1' } });
    const metadata = new Metadata();
    metadata.set('authorization', 'hush-2');
    await new Promise((resolve) => view.getStock({ sku: 'hush-3' }, metadata, {}, resolve));
    await endOf(view.listStock({ count: 1 }, metadata));
    stop();
    expect(events.length).toBeGreaterThan(4);
    const { inspect } = await import('node:util');
    expect(inspect(events, { depth: 10 })).not.toContain('hush');
    expect(JSON.stringify(events)).not.toContain('hush');
  });
});
