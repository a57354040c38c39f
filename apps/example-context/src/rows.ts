/** What is compared: retries by themselves, with a budget, and as part of the standard pipeline. */
import type { ResilientOptions } from '@resil/axios';
import { retryBudget } from '@resil/core';

/** One way to protect the clients of all services. */
export interface Row {
  readonly name: string;
  readonly calls: number;
  /** Options of a client, made for each: a budget is its own. */
  readonly client: () => ResilientOptions;
}

const nothingElse = {
  totalTimeout: false,
  attemptTimeout: false,
  circuitBreaker: false,
  bulkhead: false,
} as const satisfies ResilientOptions;
const delays = { baseDelay: 1, maxDelay: 5 };

/** The rows. */
export const rows: readonly Row[] = [
  {
    name: 'three attempts, nothing else',
    calls: 40,
    client: () => ({ ...nothingElse, retry: { ...delays, budget: false } }),
  },
  {
    name: 'three attempts, a budget of 0.1',
    calls: 200,
    client: () => ({
      ...nothingElse,
      retry: { ...delays, budget: retryBudget({ ratio: 0.1, minPerSecond: 0 }) },
    }),
  },
  { name: 'the standard pipeline', calls: 200, client: () => ({ retry: delays }) },
];
