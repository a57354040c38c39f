/** The two clients of the order service: as anybody would write them, and with one line for each. */
import { resilient as resilientAxios } from '@resil/axios';
import { isRefusal, retryBudget } from '@resil/core';
import { resilient as resilientPool } from '@resil/pg';
import axios, { type AxiosInstance } from 'axios';
import pg from 'pg';
import { poolSize } from './scenario.js';

/** Where the servers are; both behind a fault proxy. */
export interface Targets {
  readonly prices: string;
  readonly database: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
}

/** What the order service works with. */
export interface Clients {
  readonly prices: AxiosInstance;
  readonly orders: pg.Pool;
  /** Takes note of a price, for when there will be none. */
  remember(item: string, price: number): void;
}

/** A price as the price service tells it. */
export interface Price {
  readonly price: number;
  /** Whether it is the last known price, not the one of this moment. */
  readonly stale?: boolean;
}

/** Limits of the protected clients, in ms. A customer waits at most for the two totals. */
export const limits: { readonly prices: number; readonly orders: number } = Object.freeze({
  prices: 1_000,
  orders: 3_000,
});

/** Both clients with their own defaults. */
export function plainClients(targets: Targets): Clients {
  const prices = axios.create({ baseURL: targets.prices });
  const orders = new pg.Pool({ ...targets.database, max: poolSize });
  // As the documentation of pg asks for: without it the loss of an idle connection ends the process.
  orders.on('error', () => {});
  return { prices, orders, remember() {} };
}

/** The same clients, protected. */
export function protectedClients(targets: Targets): Clients {
  const plain = plainClients(targets);
  const lastKnown = new Map<string, number>();

  const prices = resilientAxios(plain.prices, {
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

  const orders = resilientPool(plain.orders, {
    name: 'orders',
    totalTimeout: limits.orders,
    attemptTimeout: 1_000,
    // A database is there or it isn't: a few failures in a row say which.
    circuitBreaker: { failureThreshold: 5, resetTimeout: 250 },
    // An order waits for a database that is away, as long as the customer does. The breaker further in
    // sees to it that this waiting costs the database nothing, so no budget is needed. A full pool is
    // another thing: there, trying again would only add to the load.
    retry: {
      maxAttempts: Infinity,
      baseDelay: 50,
      maxDelay: 250,
      budget: false,
      shouldRetry: (error) => !isRefusal(error) || error.code === 'RESIL_CIRCUIT_OPEN',
    },
  });

  return {
    prices,
    orders,
    remember: (item, price) => lastKnown.set(item, price),
  };
}
