// One budget over three adapters: axios, gRPC and pg, each with a server that is gone.

import { createServer } from 'node:net';
import { type Client, credentials } from '@grpc/grpc-js';
import { resilient as resilientHttp } from '@resil/axios';
import {
  type AttemptBudget,
  concurrencyBudget,
  observe,
  type ResilienceEvent,
  retryBudget,
} from '@resil/core';
import { resilient as resilientGrpc } from '@resil/grpc';
import { resilient as resilientPool } from '@resil/pg';
import { InventoryClient, type InventoryMethods } from '@resil/testbed';
import axios from 'axios';
import { Pool } from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';

/** A port of loopback where nobody listens. */
function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });
}

/** One call by each adapter, all of them in vain, and what happened. */
async function callAll(budget: AttemptBudget): Promise<readonly ResilienceEvent[]> {
  const port = await closedPort();
  const retry = { maxAttempts: 5, baseDelay: 1, maxDelay: 1, budget } as const;
  const http = resilientHttp(axios.create({ baseURL: `http://127.0.0.1:${port}` }), { retry });
  const pool = new Pool({ host: '127.0.0.1', port, user: 'nobody', database: 'nothing' });
  const bare = new InventoryClient(`127.0.0.1:${port}`, credentials.createInsecure());
  const grpc = resilientGrpc(bare as unknown as Client & InventoryMethods, {
    retry,
    idempotent: true,
  });
  const db = resilientPool(pool, { retry });
  const events: ResilienceEvent[] = [];
  const end = observe((event) => events.push(event));
  onTestFinished(async () => {
    end();
    grpc.close();
    await pool.end();
  });
  const ended = await Promise.allSettled([
    http.get('/x'),
    db.query('select 1'),
    new Promise((resolve, reject) => {
      grpc.getStock({ sku: 'a' }, (error, stock) => (error ? reject(error) : resolve(stock)));
    }),
  ]);
  expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  return events;
}

const of = (events: readonly ResilienceEvent[], type: string): ResilienceEvent[] =>
  events.filter((event) => event.type === type);

describe('one budget over axios, gRPC and pg', () => {
  it('allows all of them together what it allows, and says why no more', async () => {
    // Four retries in ten minutes, where each call would make four.
    const window = { duration: 600_000 };
    const budget = retryBudget({ ratio: 0, minPerSecond: 4 / 600, window, name: 'ours' });
    const events = await callAll(budget);
    expect(of(events, 'retry.scheduled')).toHaveLength(4);
    expect(budget.balance).toBe(0);
    const refusals = of(events, 'budget.exhausted');
    expect(refusals.length).toBeGreaterThanOrEqual(2);
    for (const refusal of refusals)
      expect(refusal).toMatchObject({
        strategy: 'ours',
        wanted: 'retry',
        reason: 'window',
        used: 4,
      });
    expect(of(events, 'retry.exhausted').filter((event) => 'reason' in event)).toHaveLength(3);
  });

  it('by what is in flight, it never allows more, and gets all of it back', async () => {
    let most = 0;
    const budget = concurrencyBudget({ ratio: 0, minConcurrentAttempts: 1 });
    onTestFinished(
      observe(() => {
        most = Math.max(most, budget.attempts);
      }),
    );
    const events = await callAll(budget);
    expect(most).toBe(1);
    expect(of(events, 'retry.scheduled').length).toBeGreaterThan(0);
    await expect.poll(() => [budget.calls, budget.attempts]).toEqual([0, 0]);
  });
});
