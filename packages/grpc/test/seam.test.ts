import { createRequire } from 'node:module';
import {
  type Client,
  status as codes,
  credentials,
  InterceptingCall,
  type Interceptor,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { pipeline, retry, tokenBudget } from '@resil/core';
import { type GrpcService, inventoryService, startGrpcService } from '@resil/testbed';
import * as oldest from 'grpc-js-oldest';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { channelOptions, interceptor, resilient } from '../src/index.js';
import { InventoryClient as TsProtoClient } from './clients/ts-proto.js';
import {
  attemptsAt,
  connect,
  failureOf,
  getStock,
  type Inventory,
  off,
  thrice,
} from './inventory.js';

// CommonJS, as protoc generates it.
const load = createRequire(import.meta.url);
const generated: typeof import('./clients/grpc-tools/inventory_grpc_pb.js') = load(
  './clients/grpc-tools/inventory_grpc_pb.js',
);
const messages: typeof import('./clients/grpc-tools/inventory_pb.js') = load(
  './clients/grpc-tools/inventory_pb.js',
);

let service: GrpcService;
const open: Client[] = [];
const keep = <C extends Client>(client: C): C => {
  open.push(client);
  return client;
};

beforeAll(async () => {
  service = await startGrpcService();
});
afterEach(() => {
  service.set();
  service.resetCounters();
  for (const client of open.splice(0)) client.close();
});
afterAll(() => service.stop());

/** An interceptor that counts how often it runs. */
function counting(adds = 'authorization'): { readonly interceptor: Interceptor; calls: number } {
  const counter = {
    calls: 0,
    interceptor: ((options, nextCall) => {
      counter.calls++;
      return new InterceptingCall(nextCall(options), {
        start: (metadata, listener, next) => {
          metadata.add(adds, 'secret');
          next(metadata, listener);
        },
      });
    }) as Interceptor,
  };
  return counter;
}

describe('resilient', () => {
  it('repeats, tells the server so, and leaves the client itself alone', async () => {
    const client = keep(connect(service));
    const view = resilient(client, thrice);
    service.set({ statuses: [14, 14] });
    expect(await getStock(view)).toMatchObject({ sku: 'a', available: 7 });
    expect(attemptsAt(service)).toEqual(['0', '1', '2']);
    service.set({ statuses: [14] });
    expect((await failureOf(getStock(client))).code).toBe(codes.UNAVAILABLE);
    expect(view).toBeInstanceOf(Object.getPrototypeOf(client).constructor);
    expect(view.getChannel()).toBe(client.getChannel());
  });

  it('knows by itself which methods a proto-loader client may repeat', async () => {
    const view = resilient(keep(connect(service)), { ...thrice, idempotent: undefined });
    service.set({ statuses: [14, 14] });
    await getStock(view);
    service.set({ statuses: [14, 14] });
    const reserved = new Promise<Error | null>((resolve) =>
      view.reserve({ sku: 'a', quantity: 1 }, (error) => resolve(error)),
    );
    expect(await reserved).toMatchObject({ code: codes.UNAVAILABLE });
    expect(service.counters().byMethod).toEqual({ GetStock: 3, Reserve: 1 });
  });

  it('keeps interceptors of the client, and protection when a call brings its own', async () => {
    const ofClient = counting();
    const ofCall = counting();
    const view = resilient(
      keep(connect(service, { interceptors: [ofClient.interceptor] })),
      thrice,
    );
    service.set({ statuses: [14] });
    await getStock(view);
    // Once per attempt, on metadata that the attempt before has not touched.
    expect(ofClient.calls).toBe(2);
    expect(service.calls.map(({ metadata }) => metadata.get('authorization'))).toEqual([
      ['secret'],
      ['secret'],
    ]);
    service.set({ statuses: [14] });
    await getStock(view, { interceptors: [ofCall.interceptor] });
    expect([ofClient.calls, ofCall.calls]).toEqual([2, 2]);
    service.set({ statuses: [14] });
    await getStock(view, { interceptor_providers: [() => ofCall.interceptor] });
    expect(ofCall.calls).toBe(4);
  });

  it('gives one metadata and one status event, whatever was repeated', async () => {
    const view = resilient(keep(connect(service)), thrice);
    service.set({ statuses: [14, 14] });
    const events: string[] = [];
    await new Promise<void>((resolve) => {
      const call = view.getStock({ sku: 'a' }, () => events.push('callback'));
      expect(call.getPeer()).toBeTypeOf('string');
      call.on('metadata', () => events.push('metadata'));
      call.on('status', () => {
        events.push('status');
        resolve();
      });
    });
    expect(events).toEqual(['metadata', 'callback', 'status']);
  });

  it('throws what a closed client throws, where it throws it', () => {
    const client = connect(service);
    const view = resilient(client, thrice);
    client.close();
    expect(() => view.getStock({ sku: 'a' }, () => {})).toThrow('Channel has been shut down');
  });

  it('leaves to grpc-js what grpc-js refuses', () => {
    const view = resilient(keep(connect(service)), thrice);
    const both = {
      interceptors: [counting().interceptor],
      interceptor_providers: [() => counting().interceptor],
    };
    expect(() => view.getStock({ sku: 'a' }, both, () => {})).toThrow(/interceptor_providers/);
    const withoutCallback = view.getStock as unknown as (request: object) => unknown;
    expect(() => withoutCallback.call(view, { sku: 'a' })).toThrow('Incorrect arguments passed');
  });

  it('refuses what is guarded already', () => {
    const client = keep(connect(service));
    expect(() => resilient(resilient(client))).toThrow(/must not be guarded already/);
    const intercepted = keep(connect(service, { interceptors: [interceptor()] }));
    expect(() => resilient(intercepted)).toThrow(/must not be guarded already/);
  });

  it('refuses what a call says wrong about itself', () => {
    const view = resilient(keep(connect(service)));
    for (const [resilience, message] of [
      [{ idempotent: 'yes' }, /resilience\.idempotent must be true or false.*'yes'/],
      [{ deadline: Number.NaN }, /resilience\.deadline must be a point in time.*NaN/],
      [{ signal: {} }, /resilience\.signal must be an AbortSignal/],
      [{ key: '' }, /resilience\.key must be a string that is not empty/],
      [{ pipeline: {} }, /resilience\.pipeline must be a Pipeline/],
      [{ retry: false }, /resilience\.retry is not an option/],
    ] as const) {
      expect(() => view.getStock({ sku: 'a' }, { resilience }, () => {})).toThrow(message);
    }
    expect(() => view.getStock({ sku: 'a' }, { deadline: new Date('never') }, () => {})).toThrow(
      /deadline must be a Date or a number/,
    );
  });

  it('takes a pipeline, for a key or for one call, and a token budget', async () => {
    const keys: string[] = [];
    const budget = tokenBudget({ maxTokens: 4, tokenRatio: 0.1 });
    const again = retry({ maxAttempts: 3, baseDelay: 0, budget });
    const view = resilient(keep(connect(service)), {
      key: 'method',
      idempotent: true,
      pipeline: (key) => {
        keys.push(key);
        return pipeline({ name: 'own', key }, again);
      },
    });
    service.set({ statusRatio: 1 });
    await failureOf(getStock(view));
    await failureOf(getStock(view));
    expect(keys).toEqual(['shop.v1.Inventory/GetStock']);
    // Tokens 4, 3: one retry; 2 is half of them, so none from here on.
    expect(service.counters().hits).toBe(3);
    await failureOf(
      getStock(view, { resilience: { pipeline: pipeline(retry({ maxAttempts: 1 })) } }),
    );
    expect(service.counters().hits).toBe(4);
  });

  it('keeps apart what the key keeps apart', async () => {
    const circuitBreaker = { failureThreshold: 1, resetTimeout: 3_600_000 };
    for (const [key, refused] of [
      ['service', true],
      ['target', true],
      ['method', false],
      [({ method }: { method: string }) => method, false],
    ] as const) {
      const view = resilient(keep(connect(service)), { ...off, circuitBreaker, key });
      service.set({ statuses: [14] });
      await failureOf(getStock(view));
      const other = new Promise((resolve) => view.reserve({ sku: 'a', quantity: 1 }, resolve));
      expect((await other) !== null).toBe(refused);
    }
  });
});

describe('clients of every kind', () => {
  it('generated by grpc-tools', async () => {
    const client = new generated.InventoryClient(service.address, credentials.createInsecure());
    const view = resilient(keep(client), thrice);
    const request = new messages.StockRequest().setSku('a');
    service.set({ statuses: [14] });
    const stock = await new Promise<number | undefined>((resolve, reject) =>
      view.getStock(request, (error, found) =>
        error ? reject(error) : resolve(found.getAvailable()),
      ),
    );
    expect([stock, service.counters().hits]).toEqual([7, 2]);
  });

  it('generated by ts-proto', async () => {
    const view = resilient(
      keep(new TsProtoClient(service.address, credentials.createInsecure())),
      thrice,
    );
    service.set({ statuses: [14] });
    const stock = await new Promise<number>((resolve, reject) =>
      view.getStock({ sku: 'a' }, (error, found) =>
        error ? reject(error) : resolve(found.available),
      ),
    );
    expect([stock, service.counters().hits]).toEqual([7, 2]);
  });

  it('of the oldest grpc-js that is supported, and of another copy of it', async () => {
    const OldClient = oldest.makeGenericClientConstructor(
      inventoryService as never,
      'Inventory',
    ) as unknown as ServiceClientConstructor;
    const client = new OldClient(service.address, oldest.credentials.createInsecure() as never);
    const view = resilient(keep(client), thrice) as unknown as Inventory;
    service.set({ statuses: [14, 14] });
    expect((await getStock(view)).available).toBe(7);
    const stream = view.listStock({ count: 3 });
    const skus: string[] = [];
    for await (const { sku } of stream) skus.push(sku);
    expect(skus).toHaveLength(3);
    expect(loadPackageDefinition).toBeTypeOf('function');
  });
});

describe('interceptor', () => {
  it('protects the calls of a client that is made with it', async () => {
    const inner = counting();
    const client = keep(
      connect(service, { interceptors: [interceptor(thrice), inner.interceptor] }),
    );
    service.set({ statuses: [14, 14] });
    await getStock(client);
    expect([service.counters().hits, inner.calls]).toEqual([3, 3]);
  });

  it('lets those before it run once per call, and those after it once per attempt', async () => {
    const [before, after] = [counting('x-before'), counting('x-after')];
    const interceptors = [before.interceptor, interceptor(thrice), after.interceptor];
    const client = keep(connect(service, { interceptors }));
    service.set({ statuses: [14, 14] });
    await getStock(client);
    expect([before.calls, after.calls]).toEqual([1, 3]);
  });

  it('is replaced by interceptors that a call brings itself, as grpc-js has it', async () => {
    const client = keep(connect(service, { interceptors: [interceptor(thrice)] }));
    service.set({ statuses: [14] });
    await failureOf(getStock(client, { interceptors: [counting().interceptor] }));
    expect(service.counters().hits).toBe(1);
  });
});

describe('channelOptions', () => {
  const serviceConfig = JSON.stringify({
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: '0.001s',
          maxBackoff: '0.001s',
          backoffMultiplier: 1,
          retryableStatusCodes: ['UNAVAILABLE'],
        },
      },
    ],
  });

  it('keeps retries of gRPC from multiplying with ours: 3 attempts instead of 12', async () => {
    const attempts = async (options: object): Promise<number> => {
      const config = { 'grpc.service_config': serviceConfig, ...options };
      const client = keep(connect(service, { 'grpc.enable_retries': 1, ...config }));
      service.set({ statusRatio: 1 });
      service.resetCounters();
      await failureOf(getStock(resilient(client, thrice)));
      return service.counters().hits;
    };
    expect(await attempts({})).toBe(12);
    expect(await attempts(channelOptions())).toBe(3);
  });

  it('leaves no service config from DNS that could turn them on again, and takes its own settings', () => {
    expect(channelOptions({ keepaliveInterval: 7_000, maxReconnectDelay: 900 })).toEqual({
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.keepalive_time_ms': 7_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 900,
    });
  });

  it('refuses what makes no sense', () => {
    for (const [options, message] of [
      [{ keepaliveInterval: 0 }, /channelOptions\.keepaliveInterval .*above 0.*got 0/],
      [{ keepaliveTimeout: '5s' }, /channelOptions\.keepaliveTimeout .*'5s'/],
      [
        { baseReconnectDelay: 500, maxReconnectDelay: 100 },
        /maxReconnectDelay .*at least 500.*got 100/,
      ],
      [{ retries: 0 }, /channelOptions\.retries is not an option/],
    ] as const) {
      expect(() => channelOptions(options as object)).toThrow(message);
    }
  });
});
