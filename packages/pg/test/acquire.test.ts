import { describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { OFF, rejection, TestServer, until } from './server.js';

describe('getting a client', () => {
  const bench = new TestServer({ maxConnections: 12 });

  it('lets maxWaiting calls wait and refuses the rest', async () => {
    const pool = resilient(bench.pool({ max: 1 }), { ...OFF, maxWaiting: 2 });
    const client = await pool.connect();
    const waiting = [pool.query('select 1 as n'), pool.query('select 2 as n')];
    expect(pool.waitingCount).toBe(2);
    expect(await rejection(pool.query('select 3'))).toMatchObject({
      code: 'RESIL_BULKHEAD_FULL',
      running: 1,
      waiting: 2,
    });
    client.release();
    expect((await Promise.all(waiting)).map(({ rows }) => rows[0].n)).toEqual([1, 2]);
  });

  it('waits acquireTimeout at most, and a full pool never opens the circuit', async () => {
    const pool = resilient(bench.pool({ max: 1 }), {
      retry: false,
      acquireTimeout: 300,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    const client = await pool.connect();
    const full = [pool.query('select 1'), pool.query('select 2'), pool.connect()].map(rejection);
    for (const error of await Promise.all(full)) {
      expect(error).toMatchObject({ code: 'RESIL_QUEUE_TIMEOUT', queueTimeout: 300 });
    }
    const deadline = performance.now() + 10;
    const cut = rejection(pool.query({ text: 'select 1', resilience: { deadline } }));
    expect((await cut).code).toMatch(/RESIL_(TIMEOUT|QUEUE_TIMEOUT)/);
    client.release();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    expect(pool.waitingCount).toBe(0);
  });

  it('raises a pool that others keep full as a refusal too', async () => {
    const bare = bench.pool({ max: 1, connectionTimeoutMillis: 300 });
    const pool = resilient(bare, {
      ...OFF,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    const others = await bare.connect();
    for (let round = 0; round < 3; round += 1) {
      expect(await rejection(pool.query('select 1'))).toMatchObject({
        code: 'RESIL_QUEUE_TIMEOUT',
        queueTimeout: 300,
      });
    }
    others.release();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('ends a wait at once when it is aborted, and loses no slot', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const client = await pool.connect();
    const controller = new AbortController();
    const reason = new Error('gone');
    const waiting = rejection(
      pool.query({ text: 'select 1', resilience: { signal: controller.signal } }),
    );
    expect(pool.waitingCount).toBe(1);
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    expect(pool.waitingCount).toBe(0);
    client.release();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 1]);
  });

  it('gives a client that comes too late to the pool', async () => {
    const pool = resilient(bench.proxied({ max: 1 }), OFF);
    await bench.proxy.set({ delay: 50 });
    const controller = new AbortController();
    const query = rejection(
      pool.query({ text: 'select 1', resilience: { signal: controller.signal } }),
    );
    setTimeout(() => controller.abort(new Error('gone')), 20);
    expect((await query).message).toBe('gone');
    await until(() => pool.idleCount === 1);
    await bench.proxy.clear();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    expect(pool.totalCount).toBe(1);
  });

  it('gives the slot back of a connect that nobody answers, and counts it against the server', async () => {
    const bare = bench.proxied({ max: 1 });
    const pool = resilient(bare, {
      ...OFF,
      acquireTimeout: 60,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    await bench.proxy.set({ mode: 'black-hole' });
    const error = await rejection(pool.query('select 1'));
    expect(error.code === 'RESIL_TIMEOUT' || /timeout/.test(error.message)).toBe(true);
    expect((await rejection(pool.query('select 1'))).code).toBe('RESIL_CIRCUIT_OPEN');
    await until(() => pool.totalCount === 0);
    expect(bare.options.connectionTimeoutMillis).toBeUndefined();
  });

  it('opens no more connections than the pool may have, under a rush', async () => {
    const pool = resilient(bench.proxied({ max: 3 }), OFF);
    const before = bench.proxy.opened;
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, n) => pool.query('select $1::int as n', [n])),
    );
    expect(all).toHaveLength(100);
    expect(bench.proxy.opened - before).toBe(3);
  });
});
