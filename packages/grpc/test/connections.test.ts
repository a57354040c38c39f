import { type Client, status as codes } from '@grpc/grpc-js';
import { type CircuitBreaker, circuitBreaker, pipeline } from '@resil/core';
import { type GrpcService, startGrpcProcess, startGrpcService } from '@resil/testbed';
import { faultProxy } from '@resil/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { channelOptions, resilient } from '../src/index.js';
import { connect, failureOf, getStock, off, thrice, until } from './inventory.js';

let service: GrpcService;
const open: Client[] = [];

beforeAll(async () => {
  service = await startGrpcService();
});
afterEach(() => {
  service.set();
  service.setHealth('SERVING');
  for (const client of open.splice(0)) client.close();
});
afterAll(() => service.stop());

describe('a connection whose peer is silent', () => {
  it('is found and replaced with the keepalive of channelOptions, and not without', async () => {
    const proxy = await faultProxy({ target: { port: service.port } });
    const address = `127.0.0.1:${proxy.port}`;
    const attempt = { ...off, attemptTimeout: 150, idempotent: true };
    const silent = { 'grpc.keepalive_time_ms': -1 };
    const keepalive = channelOptions({ keepaliveInterval: 300, keepaliveTimeout: 300 });
    const without = resilient(connect({ address }, silent), attempt);
    const client = resilient(connect({ address }, keepalive), attempt);
    open.push(without, client);
    const works = (view: typeof client): Promise<boolean> =>
      getStock(view).then(
        () => true,
        () => false,
      );
    await until('both are connected', async () => (await works(without)) && (await works(client)));
    // What is open stays open and says nothing; what is new works.
    for (const connection of proxy.connections) connection.set({ mode: 'half-open' });
    await until('the dead connection is replaced', () => works(client));
    expect((await failureOf(getStock(without))).code).toBe(codes.DEADLINE_EXCEEDED);
    await proxy.close();
  });
});

describe('a server that is killed and comes back', () => {
  it('is met again by the calls that were made meanwhile', async () => {
    const first = await startGrpcProcess();
    const client = resilient(connect(first), {
      ...off,
      attemptTimeout: 15_000,
      totalTimeout: 20_000,
      retry: { maxAttempts: 3, baseDelay: 20, budget: false },
      idempotent: true,
    });
    open.push(client);
    await getStock(client);
    await first.kill();
    const meanwhile = Array.from({ length: 20 }, () => getStock(client));
    const second = await startGrpcProcess({ port: first.port });
    const settled = await Promise.allSettled(meanwhile);
    expect(settled.map(({ status }) => status)).toEqual(settled.map(() => 'fulfilled'));
    await second.kill();
  });
});

describe('health', () => {
  const ofBreaker = (): { breaker: CircuitBreaker; options: object } => {
    const breaker = circuitBreaker({ failureThreshold: 5 });
    return { breaker, options: { pipeline: () => pipeline(breaker), health: true } };
  };

  it('isolates the breakers while the server is not serving', async () => {
    const { breaker, options } = ofBreaker();
    const client = resilient(connect(service), options);
    open.push(client);
    await getStock(client);
    await until('the health is watched', () => service.watchers === 1);
    service.setHealth('NOT_SERVING');
    await until('the breaker is isolated', () => breaker.state === 'isolated');
    expect(await failureOf(getStock(client))).toMatchObject({
      code: codes.UNAVAILABLE,
      cause: { code: 'RESIL_CIRCUIT_ISOLATED' },
    });
    service.setHealth('SERVING');
    await until('the breaker is closed', () => breaker.state === 'closed');
    await getStock(client);
  });

  it('holds for pipelines that are made later, and ends with close()', async () => {
    const { breaker, options } = ofBreaker();
    service.setHealth('NOT_SERVING');
    const client = resilient(connect(service), options);
    await until('the health is watched', () => service.watchers > 0);
    await until('the call is refused', async () => {
      await getStock(client).catch(() => {});
      return breaker.state === 'isolated';
    });
    client.close();
    expect(breaker.state).toBe('closed');
    await until('nobody watches', () => service.watchers === 0);
  });

  it('closes its pipelines with close()', async () => {
    const made = pipeline();
    const closed = vi.spyOn(made, 'close');
    const client = resilient(connect(service), { pipeline: () => made });
    await getStock(client);
    expect(closed).not.toHaveBeenCalled();
    client.close();
    expect(closed).toHaveBeenCalled();
  });

  it('leaves a breaker alone that somebody isolated by hand', async () => {
    const { breaker, options } = ofBreaker();
    const client = resilient(connect(service), options);
    open.push(client);
    await getStock(client);
    await until('the health is watched', () => service.watchers === 1);
    breaker.isolate();
    service.setHealth('NOT_SERVING');
    service.setHealth('SERVING');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(breaker.state).toBe('isolated');
  });

  it('knows nothing of a server that does not tell, and goes by outcomes', async () => {
    const view = resilient(connect({ address: '127.0.0.1:1' }), {
      ...thrice,
      circuitBreaker: { failureThreshold: 100 },
      health: 'shop.v1.Inventory',
    });
    expect((await failureOf(getStock(view))).details).toMatch(/^No connection established/);
    view.close();
  });
});
