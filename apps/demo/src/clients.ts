/** The clients of the order service: as anybody would write them, and with one line for each. */
import { credentials } from '@grpc/grpc-js';
import { resilient as resilientAxios } from '@resil/axios';
import { isRefusal, type RetryOptions, retryBudget } from '@resil/core';
import { channelOptions, resilient as resilientGrpc } from '@resil/grpc';
import { fileStore, outbox, resilient as resilientKafka } from '@resil/kafkajs';
import { resilient as resilientPool } from '@resil/pg';
import axios, { type AxiosInstance } from 'axios';
import { Kafka, type KafkaConfig, logLevel, Partitioners, type Producer } from 'kafkajs';
import pg from 'pg';
import { Inventory, type InventoryClient } from './inventory.js';
import { poolSize } from './scenario.js';

/** Where the servers are; all behind fault proxies. */
export interface Targets {
  readonly prices: string;
  /** `host:port`. */
  readonly inventory: string;
  readonly database: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
  /** `undefined` where no broker can be had. */
  readonly kafka: { readonly brokers: readonly string[]; readonly topics: Topics } | undefined;
}

/** Names of the topics. */
export interface Topics {
  readonly orders: string;
  readonly shipments: string;
}

/** What the order service works with. */
export interface Clients {
  readonly prices: AxiosInstance;
  readonly inventory: InventoryClient;
  readonly orders: pg.Pool;
  readonly events: Events | undefined;
  /** Takes note of a price, for when there will be none. */
  remember(item: string, price: number): void;
}

/** Where events go. */
export interface Events {
  readonly producer: Producer;
  readonly topics: Topics;
  /** Events that wait in the outbox; always 0 where there is none. */
  readonly kept: number;
  /** Resolves when the outbox is empty. */
  drained(): Promise<void>;
}

/** A price as the price service tells it. */
export interface Price {
  readonly price: number;
  /** Whether it is the last known price, not the one of this moment. */
  readonly stale?: boolean;
}

/**
 * Limits of the protected clients, in ms. Price, stock and row have `order` together, handed down as a
 * deadline; the events, which can't be called back, have a time of their own.
 */
export const limits: {
  readonly prices: number;
  readonly inventory: number;
  readonly orders: number;
  readonly events: number;
  readonly order: number;
} = Object.freeze({
  prices: 1_000,
  inventory: 3_000,
  orders: 3_000,
  events: 1_000,
  order: 4_000,
});

/** All clients with their own defaults. */
export function plainClients(targets: Targets): Clients {
  const producer =
    targets.kafka &&
    new Kafka(kafkaConfig(targets.kafka.brokers)).producer({
      idempotent: true,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
  return {
    prices: axios.create({ baseURL: targets.prices }),
    inventory: inventoryClient(targets.inventory),
    orders: pool(targets),
    events: targets.kafka &&
      producer && {
        producer,
        topics: targets.kafka.topics,
        kept: 0,
        drained: async () => {},
      },
    remember() {},
  };
}

/** The same clients, protected. What could not be sent is kept in the file `outboxPath`. */
export function protectedClients(targets: Targets, outboxPath: string): Clients {
  const lastKnown = new Map<string, number>();
  return {
    prices: protectedPrices(targets, lastKnown),
    inventory: resilientGrpc(inventoryClient(targets.inventory, channelOptions()), {
      name: 'inventory',
      totalTimeout: limits.inventory,
      attemptTimeout: 1_000,
      circuitBreaker: { failureThreshold: 5, resetTimeout: 250 },
      retry: waiting,
    }),
    orders: resilientPool(pool(targets), {
      name: 'orders',
      totalTimeout: limits.orders,
      attemptTimeout: 1_000,
      // A database is there or it isn't: a few failures in a row say which.
      circuitBreaker: { failureThreshold: 5, resetTimeout: 250 },
      retry: waiting,
    }),
    events: targets.kafka && protectedEvents(targets.kafka, outboxPath),
    remember: (item, price) => lastKnown.set(item, price),
  };
}

/**
 * An order waits for a server that is away, as long as the customer does. The breaker further in sees
 * to it that this waiting costs the server nothing, so no budget is needed. A full pool is another
 * thing: there, trying again would only add to the load.
 */
const waiting: RetryOptions = {
  maxAttempts: Infinity,
  baseDelay: 50,
  maxDelay: 250,
  budget: false,
  shouldRetry: (error) => !isRefusal(error) || error.code === 'RESIL_CIRCUIT_OPEN',
};

function protectedPrices(targets: Targets, lastKnown: ReadonlyMap<string, number>): AxiosInstance {
  return resilientAxios(axios.create({ baseURL: targets.prices }), {
    name: 'prices',
    totalTimeout: limits.prices,
    attemptTimeout: 500,
    // Half of the answers are still worth having; when seven of ten fail, it is time to leave it alone.
    circuitBreaker: { failureRatio: 0.7, window: { duration: 2_000 }, resetTimeout: 500 },
    retry: { baseDelay: 50, budget: retryBudget({ ratio: 0.1, minPerSecond: 0 }) },
    // A few more than the service has workers: enough to keep it busy, too few to make it late.
    bulkhead: { maxConcurrentCalls: 6, maxQueueSize: 12, queueTimeout: 300 },
    // No price now: an order at the last known price is better than no order.
    fallback: (error, call): Price => {
      const price = lastKnown.get(call.name ?? '');
      if (price === undefined) throw error;
      return { price, stale: true };
    },
  });
}

function protectedEvents(kafka: NonNullable<Targets['kafka']>, outboxPath: string): Events {
  // What Kafka doesn't take in time is kept on disk, and sent when it is back.
  const box = outbox({ store: fileStore({ path: outboxPath }), retryDelay: 250 });
  const client = new Kafka({
    ...kafkaConfig(kafka.brokers),
    // kafkajs goes on by itself with what it has begun; half a minute between two tries is too long.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000 },
  });
  const producer = resilientKafka(client, {
    name: 'events',
    totalTimeout: limits.events,
    attemptTimeout: limits.events,
    circuitBreaker: { failureThreshold: 5, resetTimeout: 500 },
    fallback: box,
  }).producer({ idempotent: true });
  return {
    producer,
    topics: kafka.topics,
    get kept() {
      return box.size;
    },
    drained: () => box.drained(),
  };
}

function inventoryClient(target: string, options: object = {}): InventoryClient {
  return new Inventory(target, credentials.createInsecure(), options) as unknown as InventoryClient;
}

function pool(targets: Targets): pg.Pool {
  const orders = new pg.Pool({ ...targets.database, max: poolSize });
  // As the documentation of pg asks for: without it the loss of an idle connection ends the process.
  orders.on('error', () => {});
  return orders;
}

function kafkaConfig(brokers: readonly string[]): KafkaConfig {
  return { clientId: 'orders', brokers: [...brokers], logLevel: logLevel.NOTHING };
}
