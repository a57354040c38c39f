import type { Client } from '@grpc/grpc-js';
import { type AmbientContext, provideAmbient } from '@resil/core';
import { type GrpcService, startGrpcService } from '@resil/testbed';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { connect, endOf, failureOf, getStock, type Inventory, thrice } from './inventory.js';

let service: GrpcService;
let ambient: AmbientContext | undefined;
const open: Client[] = [];

beforeAll(async () => {
  service = await startGrpcService();
});
beforeEach(() => {
  ambient = undefined;
  return provideAmbient({
    current: () => ambient,
    run: (_context, work) => work(),
    headers: ({ deadline, priority, idempotent, retried }) => ({
      'resil-context': JSON.stringify({ deadline, priority, idempotent, retried }),
    }),
  });
});
afterEach(() => {
  service.set();
  service.resetCounters();
  for (const client of open.splice(0)) client.close();
});
afterAll(() => service.stop());

function guarded(options: object = thrice): Inventory {
  const client = connect(service);
  open.push(client);
  return resilient(client, options);
}

/** What the server was told, by attempt. */
const told = (): unknown[] =>
  service.calls.map(({ metadata }) => {
    const [text] = metadata.get('resil-context');
    return text === undefined ? undefined : JSON.parse(String(text));
  });
/** Milliseconds that the server was told it has, for the latest call. */
const left = (): number => (service.calls.at(-1)?.deadline ?? 0) - Date.now();

/** A call of each kind, to its end. */
const calls: Record<string, (view: Inventory) => Promise<unknown>> = {
  unary: (view) => getStock(view),
  'server stream': (view) => endOf(view.listStock({ count: 1 })),
  'client stream': (view) =>
    new Promise((resolve) => {
      const stream = view.restock((error, value) => resolve(error ?? value));
      stream.end({ sku: 'a', quantity: 1 });
    }),
  bidi: (view) => {
    const stream = view.track();
    stream.end({ sku: 'a' });
    return endOf(stream);
  },
};

describe('with an ambient context', () => {
  it.each(Object.keys(calls))('a call (%s) tells the server what it works for', async (kind) => {
    ambient = { priority: 3, deadline: performance.now() + 60_000, retried: true };
    await calls[kind]?.(guarded());
    expect(told()).toEqual([{ priority: 3, idempotent: true, retried: true }]);
    expect(left()).toBeGreaterThan(30_000);
    expect(left()).toBeLessThanOrEqual(60_100);
  });

  it('each attempt says that it is repeated', async () => {
    service.set({ statusRatio: 1 });
    await failureOf(getStock(guarded()));
    const attempt = { idempotent: true, retried: true };
    expect(told()).toEqual([attempt, attempt, attempt]);
  });

  it('a call that somebody further out repeats is made once', async () => {
    ambient = { retried: true };
    service.set({ statusRatio: 1 });
    await failureOf(getStock(guarded()));
    expect(told()).toHaveLength(1);
  });

  it('a call that is not repeated does not say that it is', async () => {
    await getStock(guarded({ ...thrice, idempotent: false }));
    expect(told()).toEqual([{ retried: false }]);
  });

  it('nothing is told to servers of others', async () => {
    const view = guarded({ ...thrice, sendContext: false });
    for (const call of Object.values(calls)) await call(view);
    expect(told()).toEqual([undefined, undefined, undefined, undefined]);
  });
});
