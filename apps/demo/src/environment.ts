/** The servers of one run, each in a process of its own and behind a fault proxy; and what goes wrong with them. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type HttpFaults,
  type KafkaCluster,
  type PostgresServer,
  startPostgres,
} from '@resil/testbed';
import { Child } from '@resil/testbed/child';
import { type FaultProxy, faultProxy } from '@resil/testing';
import pg from 'pg';
import type { Targets, Topics } from './clients.js';
import { InventoryServer } from './inventory-server.js';
import type { Written } from './ledger.js';
import { mainFile } from './main-file.js';
import { ORDERS_TABLE, type Order } from './place-order.js';
import type { PriceServiceQuestion } from './price-service.js';
import { type Fault, latencyFactor, priceService, topicPartitions } from './scenario.js';

/** Milliseconds that the network adds to each way between order service and database. */
const DATABASE_DELAY = 5;

/** The broker that is killed. */
const VICTIM = 2;

/** Requests that have reached the servers that count them. */
export interface Hits {
  readonly prices: number;
  readonly inventory: number;
}

/** Running servers. `close()` them at the end, whatever happened. */
export class Environment {
  readonly #cluster: KafkaCluster | undefined;
  readonly #topics: Topics = { orders: 'orders', shipments: 'shipments' };
  readonly #prices: Child<PriceServiceQuestion>;
  #priceProxy: FaultProxy | undefined;
  #inventory: InventoryServer | undefined;
  #inventoryProxy: FaultProxy | undefined;
  #database: PostgresServer | undefined;
  #databaseProxy: FaultProxy | undefined;
  #closed = false;

  /** The cluster is fresh, and stays its owner's. */
  constructor(seed: number, cluster: KafkaCluster | undefined) {
    this.#cluster = cluster;
    this.#prices = new Child({
      name: 'price service',
      main: mainFile('price-service.js'),
      options: { seed },
    });
  }

  /** Starts everything. Throws `PostgresUnavailableError` where there can be no PostgreSQL. */
  async start(onProgress: (message: string) => void): Promise<void> {
    onProgress('starting the price service and the inventory service');
    const port = await this.#prices.ask<number>({ type: 'port' });
    this.#priceProxy = await faultProxy({ target: { port } });
    const inventory = await InventoryServer.start();
    this.#inventory = inventory;
    this.#inventoryProxy = await faultProxy({ target: { port: inventory.port } });
    onProgress('starting PostgreSQL');
    const database = await startPostgres({ onProgress });
    this.#database = database;
    // Somebody may have lost patience meanwhile.
    if (this.#closed) return this.close();
    this.#databaseProxy = await faultProxy({
      target: { port: database.port },
      faults: { delay: DATABASE_DELAY },
    });
    await this.query(ORDERS_TABLE);
    for (const topic of Object.values(this.#topics))
      await this.#cluster?.createTopic(topic, topicPartitions);
  }

  /** Where clients find the servers: behind the proxies. */
  get targets(): Targets {
    const { user, database } = started(this.#database);
    const proxy = started(this.#databaseProxy);
    return {
      prices: `http://127.0.0.1:${started(this.#priceProxy).port}`,
      inventory: `127.0.0.1:${started(this.#inventoryProxy).port}`,
      database: { host: proxy.host, port: proxy.port, user, database },
      kafka: this.#cluster && { brokers: this.#cluster.brokers, topics: this.#topics },
    };
  }

  /** Connections that the clients hold open. */
  get sockets(): number {
    const proxies = [this.#priceProxy, this.#inventoryProxy, this.#databaseProxy].map(started);
    const brokers = this.#cluster?.nodes.map(({ proxy }) => proxy) ?? [];
    return [...proxies, ...brokers].reduce((sum, { open }) => sum + open, 0);
  }

  async hits(): Promise<Hits> {
    const [prices, inventory] = await Promise.all([
      this.#prices.ask<number>({ type: 'hits' }),
      started(this.#inventory).hits(),
    ]);
    return { prices, inventory };
  }

  /** Asks the database itself, past its proxy. */
  async query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]> {
    const client = new pg.Client(started(this.#database).connection);
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Everything that the servers have written down. Waits until the brokers are whole. */
  async written(): Promise<Written> {
    const topics = this.#topics;
    const cluster = this.#cluster;
    const messages = async (topic: string): Promise<Order[]> =>
      [...((await cluster?.read(topic)) ?? new Map()).values()]
        .flat()
        .map(({ value }) => JSON.parse(String(value)) as Order);
    const reserved = await started(this.#inventory).reservations();
    return {
      orders: await this.query<Order>('select id, item, quantity from orders'),
      reservations: reserved.map(({ order, ...rest }) => ({ id: order, ...rest })),
      events: cluster && {
        orders: await messages(topics.orders),
        shipments: await messages(topics.shipments),
      },
    };
  }

  /** Makes something go wrong. Resolves when it does. */
  async inflict(fault: Fault): Promise<void> {
    switch (fault) {
      case 'latency':
        // All that is more than the service's own time comes from the way back.
        return started(this.#priceProxy).set({
          response: { delay: priceService.serviceTime * (latencyFactor - 1) },
        });
      case 'errors':
        return this.#setPriceFaults({ statusRatio: 0.5, status: 503 });
      case 'black-hole':
        return started(this.#priceProxy).set({ mode: 'black-hole' });
      case 'inventory-killed':
        return died(this.#inventoryProxy, started(this.#inventory));
      case 'database-killed':
        return died(this.#databaseProxy, started(this.#database));
      case 'broker-killed': {
        const victim = started(this.#cluster).node(VICTIM);
        return died(victim.proxy, victim);
      }
      case 'kafka-unreachable':
        for (const { proxy } of started(this.#cluster).nodes) {
          await proxy.set({ mode: 'refuse' });
          proxy.resetConnections();
        }
        return;
      case 'overload':
        return;
    }
  }

  /** Makes it right again. Resolves when it is. */
  async lift(fault: Fault): Promise<void> {
    switch (fault) {
      case 'latency':
      case 'black-hole':
        return started(this.#priceProxy).clear();
      case 'errors':
        return this.#setPriceFaults({});
      case 'inventory-killed':
        return started(this.#inventory).start();
      case 'database-killed':
        return started(this.#database).start();
      case 'broker-killed':
      case 'kafka-unreachable':
        return started(this.#cluster).heal(Object.values(this.#topics));
      case 'overload':
        return;
    }
  }

  /** Ends all servers but the brokers. Nothing is left of them. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([
      this.#priceProxy?.close(),
      this.#inventoryProxy?.close(),
      this.#databaseProxy?.close(),
      this.#prices.kill(),
      this.#inventory?.close(),
      this.#database?.close(),
    ]);
  }

  async #setPriceFaults(faults: HttpFaults): Promise<void> {
    await this.#prices.ask({ type: 'faults', faults });
  }
}

/** As when its machine dies: what is on its way back gets lost too. */
function died(proxy: FaultProxy | undefined, server: { kill(): Promise<void> }): Promise<void> {
  started(proxy).resetConnections();
  return server.kill();
}

/** Waits; rejects with the signal's reason when it is aborted. */
export async function wait(duration: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (duration > 0) await sleep(duration, undefined, { signal });
}

function started<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error('the servers are not started');
  return part;
}
