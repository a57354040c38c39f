import { credentials } from '@grpc/grpc-js';
import { type GrpcService, InventoryClient, startGrpcService } from '@resil/testbed';
import { describeAdapterContract } from '@resil/testing';
import { afterAll, describe, it } from 'vitest';
import { interceptor, type ResilientOptions, resilient } from '../src/index.js';
import { connect, endOf, getStock, type Inventory, type StreamEnd } from './inventory.js';

const badOptions: (readonly [object, RegExp])[] = [
  [{ key: 'shard' }, /\.key must be one of 'service', 'method', 'target'.*'shard'/],
  [{ idempotent: 'GetStock' }, /\.idempotent must be an array of paths.*'GetStock'/],
  [{ idempotent: ['GetStock'] }, /\.idempotent must be an array of paths/],
  [{ streamTimeout: 0 }, /\.streamTimeout .*above 0.*got 0/],
  [{ sendContext: 'yes' }, /\.sendContext must be true or false.*'yes'/],
  [{ pipeline: 1 }, /\.pipeline must be a function/],
  [{ pipeline: () => undefined, retry: false }, /\.retry must be left out/],
  [{ maxKeys: 0 }, /\.maxKeys .*at least 1/],
  [{ idleTimeout: -1 }, /\.idleTimeout .*above 0/],
  [{ retries: 3 }, /\.retries is not an option/],
  [{ failover: { endpoints: ['a'] } }, /\.failover is not an option/],
];

const common = {
  runner: { describe, it, afterAll },
  start: () => startGrpcService(),
  stop: (service: GrpcService) => service.stop(),
  failWith: (service: GrpcService, fault: string) =>
    service.set(
      fault === 'failure' ? { statusRatio: 1 } : fault === 'hang' ? { hangRatio: 1 } : {},
    ),
  received: (service: GrpcService) => service.counters().hits,
  // gRPC's error has gRPC's code; ours is its cause.
  resilienceError: (error: unknown) => (error as Error).cause,
};

const target = (service: GrpcService): Inventory => connect(service);
const release = (client: Inventory): void => client.close();

describeAdapterContract<GrpcService, Inventory>({
  ...common,
  name: '@resil/grpc, unary calls of a client that exists',
  target,
  release,
  resilient: (client, options) => resilient(client, options as ResilientOptions),
  call: (client, options) => getStock(client, { resilience: options }),
  badOptions: [
    ...badOptions,
    [{ health: 1 }, /resilient\.health must be true or false, or a string/],
    [{ health: true, circuitBreaker: false }, /resilient\.health needs the circuit breaker/],
  ],
  badTargets: [undefined, null, 42, {}, () => {}, InventoryClient, credentials.createInsecure()],
});

describeAdapterContract<GrpcService, Inventory>({
  ...common,
  name: '@resil/grpc, server streams before their first message',
  target,
  release,
  resilient: (client, options) => resilient(client, options as ResilientOptions),
  call: async (client, options) => {
    const end: StreamEnd = await endOf(client.listStock({ count: 3 }, { resilience: options }));
    if (end.error !== undefined) throw end.error;
    return end.skus;
  },
});

// The interceptor needs a client that is being made: the target here is where it is to be made.
interface Made {
  readonly service: GrpcService;
  readonly client: Inventory;
}

describeAdapterContract<GrpcService, Made>({
  ...common,
  name: '@resil/grpc, the interceptor',
  target: (service) => ({ service, client: connect(service) }),
  release: ({ client }) => client.close(),
  resilient: (made, options) => {
    if (!(made?.client instanceof InventoryClient)) throw new TypeError('not a client');
    const guarded = interceptor(options as ResilientOptions);
    made.client.close();
    return Object.assign(made, { client: connect(made.service, { interceptors: [guarded] }) });
  },
  call: ({ client }, options) => getStock(client, { resilience: options }),
  badOptions: [...badOptions, [{ health: true }, /interceptor\.health is not an option/]],
});
