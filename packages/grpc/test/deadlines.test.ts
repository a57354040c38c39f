import {
  type Client,
  status as codes,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { observe } from '@resil/core';
import { type GrpcService, inventoryService, startGrpcService } from '@resil/testbed';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { connect, failureOf, getStock, off, thrice, until } from './inventory.js';

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

/** Milliseconds that the server was told it has, for the latest call. */
const told = (): number => (service.calls.at(-1)?.deadline ?? 0) - Date.now();

describe('deadlines', () => {
  it('reach the server: the earliest of ours and the caller’s', async () => {
    const view = guarded({ ...off, attemptTimeout: 20_000, totalTimeout: 50_000 });
    await getStock(view);
    expect(told()).toBeGreaterThan(10_000);
    expect(told()).toBeLessThanOrEqual(20_000);
    await getStock(view, { deadline: Date.now() + 9_000 });
    expect(told()).toBeLessThanOrEqual(9_000);
    await getStock(view, { deadline: new Date(Date.now() + 90_000) });
    expect(told()).toBeLessThanOrEqual(20_000);
    await getStock(view, { resilience: { deadline: performance.now() + 8_000 } });
    expect(told()).toBeLessThanOrEqual(8_000);
    await getStock(guarded(off));
    expect(told()).toBe(Infinity);
  });

  it('that have passed send nothing, on a connection that is there', async () => {
    const view = guarded(thrice);
    await getStock(view);
    service.resetCounters();
    for (const options of [
      { deadline: Date.now() - 1 },
      { deadline: new Date(0) },
      { resilience: { deadline: performance.now() - 1 } },
    ]) {
      const error = await failureOf(getStock(view, options));
      expect(error).toMatchObject({
        code: codes.DEADLINE_EXCEEDED,
        cause: { code: 'RESIL_TIMEOUT' },
      });
    }
    expect(service.counters().hits).toBe(0);
  });

  it('that pass in flight cancel the call at the server', async () => {
    const view = guarded({ ...off, attemptTimeout: 1_000 });
    service.set({ hangRatio: 1 });
    expect(await failureOf(getStock(view))).toMatchObject({
      code: codes.DEADLINE_EXCEEDED,
      cause: { code: 'RESIL_TIMEOUT' },
    });
    await until('the server knows', () => service.counters().cancelled === 1);
    expect(service.counters().hits).toBe(1);
  });

  it('end the retries in time', async () => {
    const retry = { maxAttempts: 1_000, baseDelay: 30, maxDelay: 30, budget: false as const };
    const view = guarded({ ...off, retry, idempotent: true });
    service.set({ statusRatio: 1 });
    const began = performance.now();
    const error = await failureOf(getStock(view, { deadline: Date.now() + 300 }));
    expect([codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED]).toContain(error.code);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(service.counters().hits).toBeGreaterThan(1);
  });

  it('of a server’s call hold for the calls that it makes, and so does its cancellation', async () => {
    const view = guarded({
      ...thrice,
      retry: { ...thrice.retry, baseDelay: 60_000, maxDelay: 60_000 },
    });
    const results: unknown[] = [];
    const front = new Server();
    const none = (): void => {};
    front.addService(inventoryService, {
      GetStock: (call: ServerUnaryCall<unknown, unknown>) => {
        view.getStock({ sku: 'a' }, { parent: call }, (error) => results.push(error));
      },
      Reserve: none,
      ListStock: none,
      Restock: none,
      Track: none,
    });
    const port = await new Promise<number>((resolve, reject) =>
      front.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const user = connect({ address: `127.0.0.1:${port}` });
    open.push(user);
    service.set({ hangRatio: 1 });
    await failureOf(getStock(user, { deadline: Date.now() + 1_000 }));
    expect(service.calls.at(-1)?.deadline).toBeLessThanOrEqual(Date.now() + 1_000);
    await until('the inner call ended', () => results.length === 1);
    await until('its server heard', () => service.counters().cancelled === 1);
    // Cancelled while it waits to try again: it doesn't wait any longer.
    service.set({ statusRatio: 1 });
    const before = service.counters().hits;
    const call = user.getStock({ sku: 'a' }, () => {});
    await until('the inner call was tried', () => service.counters().hits > before);
    call.cancel();
    await until('the inner call ended', () => results.length === 2);
    expect(results[1]).toMatchObject({
      code: codes.CANCELLED,
      details: 'Cancelled by parent call',
    });
    expect(service.counters().hits).toBe(before + 1);
    front.forceShutdown();
  });
});

describe('a call that names no parent', () => {
  it('knows nothing of the server’s call that it is made in', async () => {
    const view = guarded(off);
    const front = await startGrpcService({
      getStock: (_call, callback) => {
        view.getStock({ sku: 'a' }, (error, stock) => callback(error, stock));
      },
    });
    const user = connect(front);
    open.push(user);
    service.set({ hangRatio: 1 });
    const failed = failureOf(getStock(user, { deadline: Date.now() + 500 }));
    await until('the inner call is there', () => service.counters().hits === 1);
    expect(service.calls.at(-1)?.deadline).toBe(Infinity);
    expect((await failed).code).toBe(codes.DEADLINE_EXCEEDED);
    await until('the server in front knows', () => front.counters().cancelled === 1);
    expect(service.counters().cancelled).toBe(0);
    await front.stop();
  });
});

describe('cancelling', () => {
  it('during the wait for a retry ends the call at once, and nothing is sent any more', async () => {
    const retry = { ...thrice.retry, baseDelay: 60_000, maxDelay: 60_000 };
    const types: string[] = [];
    const stop = observe((event) => {
      if (event.pipeline === 'cancelling') types.push(event.type);
    });
    const view = guarded({ ...thrice, name: 'cancelling', retry });
    service.set({ statusRatio: 1 });
    const error = await new Promise<unknown>((resolve) => {
      const call = view.getStock({ sku: 'a' }, resolve);
      void until('it waits', () => types.includes('retry.scheduled')).then(() => {
        call.cancel();
        call.cancel();
      });
    });
    stop();
    expect(error).toMatchObject({ message: '1 CANCELLED: Cancelled on client' });
    expect(service.counters().hits).toBe(1);
    expect(types).toEqual(['call.started', 'retry.scheduled', 'call.aborted']);
  });

  it('in flight reaches the server once', async () => {
    const view = guarded(thrice);
    service.set({ hangRatio: 1 });
    const failed = new Promise((resolve) => {
      const call = view.getStock({ sku: 'a' }, resolve);
      void until('the call is there', () => service.counters().hits === 1).then(() =>
        call.cancel(),
      );
    });
    expect(await failed).toMatchObject({ code: codes.CANCELLED });
    await until('the server knows', () => service.counters().cancelled === 1);
    expect(service.counters().hits).toBe(1);
  });
});
