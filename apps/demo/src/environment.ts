/** The servers of one run, each in a process of its own and behind a fault proxy; and what goes wrong with them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type HttpFaults, type PostgresServer, startPostgres } from '@resil/testbed';
import { type FaultProxy, faultProxy } from '@resil/testing';
import pg from 'pg';
import { Child } from './child.js';
import type { Targets } from './clients.js';
import { ORDERS_TABLE } from './place-order.js';
import type { PriceServiceQuestion } from './price-service.js';
import { type Fault, latencyFactor, priceService } from './scenario.js';

/** Milliseconds that the network adds to each way between order service and database. */
const DATABASE_DELAY = 5;

/** Running servers. `close()` them at the end, whatever happened. */
export class Environment {
  readonly #prices: Child<PriceServiceQuestion, never>;
  #priceProxy: FaultProxy | undefined;
  #database: PostgresServer | undefined;
  #databaseProxy: FaultProxy | undefined;
  #closed = false;

  constructor(seed: number) {
    this.#prices = new Child('price service', 'price-service.js', { seed }, () => {});
  }

  /** Starts everything. Throws `PostgresUnavailableError` where there can be no PostgreSQL. */
  async start(onProgress: (message: string) => void): Promise<void> {
    onProgress('starting the price service');
    const port = await this.#prices.ask<number>({ type: 'port' });
    this.#priceProxy = await faultProxy({ target: { port } });
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
  }

  /** Version of PostgreSQL. */
  get databaseVersion(): string {
    return started(this.#database).version;
  }

  /** Where clients find the servers: behind the proxies. */
  get targets(): Targets {
    const { user, database } = started(this.#database);
    const proxy = started(this.#databaseProxy);
    return {
      prices: `http://127.0.0.1:${started(this.#priceProxy).port}`,
      database: { host: proxy.host, port: proxy.port, user, database },
    };
  }

  /** Connections that the clients hold open. */
  get sockets(): number {
    return started(this.#priceProxy).open + started(this.#databaseProxy).open;
  }

  /** Requests that have reached the price service. */
  hits(): Promise<number> {
    return this.#prices.ask<number>({ type: 'hits' });
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
      case 'database-killed':
        // As when its machine dies: what is on its way back gets lost too.
        started(this.#databaseProxy).resetConnections();
        return started(this.#database).kill();
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
      case 'database-killed':
        return started(this.#database).start();
      case 'overload':
        return;
    }
  }

  /** Ends all servers. Nothing is left of them. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([
      this.#priceProxy?.close(),
      this.#databaseProxy?.close(),
      this.#prices.kill(),
      this.#database?.close(),
    ]);
  }

  async #setPriceFaults(faults: HttpFaults): Promise<void> {
    await this.#prices.ask({ type: 'faults', faults });
  }
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
