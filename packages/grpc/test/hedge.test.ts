/** A hedge on a real server: two calls at a time for one. */
import { observe } from '@resil/core';
import { startGrpcService } from '@resil/testbed';
import { describe, expect, it, onTestFinished } from 'vitest';
import { resilient } from '../src/index.js';
import { connect, getStock, off } from './inventory.js';

describe('hedge', () => {
  it('takes the answer of the second call, and cancels the first on the server', async () => {
    let calls = 0;
    const cancelled: number[] = [];
    const previous: unknown[] = [];
    const service = await startGrpcService({
      getStock: (call, callback) => {
        const order = ++calls;
        previous.push(call.metadata.get('grpc-previous-rpc-attempts')[0]);
        call.on('cancelled', () => cancelled.push(order));
        if (order > 1) callback(null, { sku: call.request.sku, available: order });
      },
    });
    const client = resilient(connect(service), {
      ...off,
      idempotent: true,
      hedge: { delay: 20, budget: false },
    });
    const events: string[] = [];
    const end = observe(({ type }) => events.push(type));
    onTestFinished(async () => {
      end();
      client.close();
      await service.stop();
    });
    expect(await getStock(client)).toMatchObject({ available: 2 });
    expect(events).toEqual([
      'call.started',
      'hedge.started',
      'hedge.lost',
      'hedge.won',
      'call.succeeded',
    ]);
    expect(previous).toEqual([undefined, '1']);
    // grpc-js tells of the end of every call in this way; the first ends by being cancelled only.
    await expect.poll(() => cancelled.includes(1), { timeout: 15_000 }).toBe(true);
  });

  it('does not start for a method that may not run twice', async () => {
    let calls = 0;
    const service = await startGrpcService({
      getStock: (call, callback) => {
        calls++;
        setTimeout(() => callback(null, { sku: call.request.sku, available: calls }), 200);
      },
    });
    const client = resilient(connect(service), {
      ...off,
      idempotent: false,
      hedge: { delay: 20, budget: false },
    });
    onTestFinished(async () => {
      client.close();
      await service.stop();
    });
    expect(await getStock(client)).toMatchObject({ available: 1 });
  });
});
