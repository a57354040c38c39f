/** What `@resil/grpc` adds on loopback to a unary call, and to a server stream of 1,000 messages. */
import { type Client, type ClientOptions, credentials, InterceptingCall } from '@grpc/grpc-js';
import { channelOptions, resilient } from '@resil/grpc';
import { InventoryClient, type InventoryMethods, startGrpcProcess } from '@resil/testbed';
import { type AdapterLoad, adapterCost } from '../adapter-cost.js';
import type { Part } from '../part.js';
import type { PartReport } from '../report.js';

type Inventory = Client & InventoryMethods;

/** One call of a client, to its end. */
type Use = (client: Inventory) => Promise<unknown>;

const MESSAGES = 1_000;

const getStock: Use = (client) =>
  new Promise((resolve, reject) => {
    client.getStock({ sku: 'a' }, (error, stock) => (error ? reject(error) : resolve(stock)));
  });

/** With the deadline that the standard pipeline's attempts have: a timer, and a header to the server. */
const getStockInTime: Use = (client) =>
  new Promise((resolve, reject) => {
    client.getStock({ sku: 'a' }, { deadline: Date.now() + 3_000 }, (error, stock) =>
      error ? reject(error) : resolve(stock),
    );
  });

const listStock: Use = (client) =>
  new Promise((resolve, reject) => {
    let read = 0;
    client
      .listStock({ count: MESSAGES })
      .on('data', () => read++)
      .on('error', reject)
      .on('end', () => (read === MESSAGES ? resolve(read) : reject(new Error(`${read} messages`))));
  });

/** grpc-js' own retries, with the numbers of the standard pipeline as far as it has them. */
const retryPolicy = {
  'grpc.service_config': JSON.stringify({
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 3,
          initialBackoff: '0.1s',
          maxBackoff: '5s',
          backoffMultiplier: 2,
          retryableStatusCodes: ['UNAVAILABLE'],
        },
      },
    ],
    retryThrottling: { maxTokens: 100, tokenRatio: 0.2 },
  }),
};

/** An interceptor as grpc-js wants it, that does nothing. */
const passThrough: ClientOptions = {
  interceptors: [(options, nextCall) => new InterceptingCall(nextCall(options))],
};

const allOff = {
  totalTimeout: false,
  attemptTimeout: false,
  retry: false,
  circuitBreaker: false,
  bulkhead: false,
} as const;

async function cost(
  host: string,
  use: Use,
  { inTime, ...load }: AdapterLoad & { readonly inTime?: Use } = {},
): Promise<PartReport> {
  const server = await startGrpcProcess();
  const clients: Inventory[] = [];
  const contender = (
    name: string,
    options: ClientOptions = {},
    protect = (client: Inventory): Inventory => client,
    call = use,
  ) => {
    // Clients of one target would share their connection otherwise.
    const all = { 'grpc.use_local_subchannel_pool': 1, ...options };
    const made: unknown = new InventoryClient(server.address, credentials.createInsecure(), all);
    clients.push(made as Inventory);
    const client = protect(made as Inventory);
    return { name, call: () => call(client) };
  };
  try {
    const contenders = {
      bare: contender('grpc-js, bare'),
      control: contender('grpc-js, bare again (A/A)'),
      wrapped: contender('@resil/grpc', channelOptions(), (client) => resilient(client)),
      others: [
        contender('grpc-js, its own retries', retryPolicy),
        ...(inTime === undefined
          ? []
          : [
              contender('grpc-js, an interceptor that does nothing', passThrough),
              contender('grpc-js, a deadline', {}, undefined, inTime),
              contender('@resil/grpc, every part off', channelOptions(), (client) =>
                resilient(client, allOff),
              ),
            ]),
      ],
    };
    return await adapterCost(host, contenders, load);
  } finally {
    for (const client of clients) client.close();
    await server.kill();
  }
}

export const grpcUnaryAdapter: Part = (progress) => {
  progress('bare, bare again, @resil/grpc, own retries, and what its cost is made of');
  return cost('gRPC unary', getStock, { inTime: getStockInTime });
};

export const grpcStreamAdapter: Part = (progress) => {
  progress('bare, bare again, @resil/grpc, own retries');
  return cost(`gRPC server stream of ${MESSAGES.toLocaleString('en')} messages`, listStock, {
    inFlight: 4,
    rounds: 61,
    roundTime: 100,
  });
};
