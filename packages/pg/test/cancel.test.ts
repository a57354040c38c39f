import { getEventListeners } from 'node:events';
import { seededRandom } from '@resil/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { OFF, rejection, TestServer, until } from './server.js';

describe('cancelling', () => {
  const bench = new TestServer({ maxConnections: 12 });
  beforeAll(() => bench.admin.query('create table abandoned (n int)'));

  it('leaves nothing running, and the pool at work, when 20 queries time out', async () => {
    const pool = resilient(bench.proxied({ max: 4 }), OFF);
    await Promise.all(Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.01)')));
    const deadline = performance.now() + 100;
    const text = 'select pg_sleep(20)';
    const slow = Array.from({ length: 20 }, () =>
      rejection(pool.query({ text, resilience: { deadline } })),
    );
    for (const error of await Promise.all(slow)) expect(error.code).toBe('RESIL_TIMEOUT');
    await until(() => pool.idleCount === pool.totalCount);
    expect(await bench.active('pg_sleep')).toBe(0);
    const fast = await Promise.all(
      Array.from({ length: 50 }, (_, n) => pool.query('select $1::int as n', [n])),
    );
    expect(fast.map(({ rows }) => rows[0].n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(pool.totalCount).toBe(4);
    // Each timed-out query that ran had a cancel request on a connection of its own.
    expect(bench.proxy.opened).toBeLessThanOrEqual(4 + 20);
  });

  it('never hits the next query: 200 cancels that come when the query is over', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    let late = 0;
    for (let round = 0; round < 200; round += 1) {
      const controller = new AbortController();
      const query = pool.query({
        text: 'select pg_sleep(0.002)',
        resilience: { signal: controller.signal },
      });
      const settled = query.then(
        () => {},
        () => {
          late += 1;
        },
      );
      setTimeout(() => controller.abort(new Error('enough')), 1 + (round % 3));
      const next = pool.query('select pg_sleep(0.001), 1 as n');
      await settled;
      expect((await next).rows[0].n).toBe(1);
    }
    expect(late).toBeGreaterThan(20);
    expect(pool.totalCount).toBe(1);
  });

  it('never hits the next statement on a client that is held', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const client = await pool.connect();
    for (let round = 0; round < 100; round += 1) {
      const controller = new AbortController();
      const query = client.query({
        text: 'select pg_sleep(0.002)',
        resilience: { signal: controller.signal },
      });
      setTimeout(() => controller.abort(new Error('enough')), 1 + (round % 3));
      await query.catch(() => {});
      expect((await client.query('select 1 as n')).rows[0].n).toBe(1);
    }
    client.release();
  });

  it('loses no slot, leaves nothing running and no listener, in 1,000 aborts at random moments', async () => {
    const random = seededRandom(7);
    const pool = resilient(bench.pool({ max: 4 }), { ...OFF, maxWaiting: 1_000 });
    const { signal } = new AbortController();
    let aborted = 0;
    for (let batch = 0; batch < 20; batch += 1) {
      const calls = Array.from({ length: 50 }, async () => {
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error('enough')), random() * 30);
        const text = random() < 0.5 ? 'select pg_sleep(0.02)' : 'select 1';
        try {
          if (random() < 0.3) {
            const client = await pool.connect();
            try {
              await client.query({ text, resilience: { signal: controller.signal } });
            } finally {
              client.release();
            }
          } else await pool.query({ text, resilience: { signal: controller.signal } });
          await pool.query({ text: 'select 1', resilience: { signal } });
        } catch (error) {
          aborted += 1;
          expect((error as Error).message).toBe('enough');
        }
      });
      await Promise.all(calls);
    }
    expect(aborted).toBeGreaterThan(100);
    await until(() => pool.idleCount === pool.totalCount);
    expect(pool.totalCount).toBeLessThanOrEqual(4);
    expect(pool.waitingCount).toBe(0);
    expect(await bench.active('pg_sleep')).toBe(0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
    for (const client of clients) {
      expect(client.listenerCount('error')).toBeLessThanOrEqual(2);
      client.release();
    }
  });

  it('stops an INSERT whose caller has gone', async () => {
    const pool = resilient(bench.pool(), OFF);
    await pool.query('select 1');
    const text = 'insert into abandoned select 1 from pg_sleep(0.5)';
    const deadline = performance.now() + 100;
    const error = await rejection(pool.query({ text, resilience: { deadline } }));
    expect(error.code).toBe('RESIL_TIMEOUT');
    await until(() => pool.idleCount === pool.totalCount);
    await new Promise((done) => setTimeout(done, 600));
    expect(await bench.count('abandoned')).toBe(0);
  });

  it('needs no slot of a pool that is full', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const controller = new AbortController();
    const reason = new Error('the caller has gone');
    const query = rejection(
      pool.query({ text: 'select pg_sleep(60)', resilience: { signal: controller.signal } }),
    );
    await until(async () => (await bench.active('pg_sleep(60)')) === 1);
    const next = pool.query('select 1 as n');
    controller.abort(reason);
    expect(await query).toBe(reason);
    expect((await next).rows).toEqual([{ n: 1 }]);
    expect(pool.totalCount).toBe(1);
  });

  it('takes back a query that waits on its client behind another', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const client = await pool.connect();
    const controller = new AbortController();
    const first = client.query('select pg_sleep(0.1), 1 as n');
    const second = rejection(
      client.query({
        text: 'insert into abandoned values (2)',
        resilience: { signal: controller.signal },
      }),
    );
    controller.abort(new Error('enough'));
    expect((await second).message).toBe('enough');
    expect((await first).rows[0].n).toBe(1);
    expect((await client.query('select 2 as n')).rows[0].n).toBe(2);
    client.release();
    expect(await bench.count('abandoned')).toBe(0);
  });

  it('closes a connection whose server has gone silent, after the grace time', async () => {
    const pool = resilient(bench.proxied({ max: 2 }), {
      ...OFF,
      attemptTimeout: 1_000,
      cancelGraceDuration: 100,
    });
    await pool.query('select 1');
    await bench.proxy.set({ mode: 'black-hole' });
    expect((await rejection(pool.query('select 1'))).code).toBe('RESIL_TIMEOUT');
    await until(() => pool.totalCount === 0);
    await bench.proxy.clear();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('closes a half-open connection that was held, and gives its slot back', async () => {
    const pool = resilient(bench.proxied({ max: 1 }), {
      ...OFF,
      attemptTimeout: 1_000,
      cancelGraceDuration: 100,
    });
    const client = await pool.connect();
    await bench.proxy.set({ mode: 'half-open' });
    expect((await rejection(client.query('select 1'))).code).toBe('RESIL_TIMEOUT');
    client.release();
    await bench.proxy.clear();
    await until(() => pool.totalCount === 0);
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('sends nothing when the signal is aborted already', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const reason = new Error('gone before');
    const signal = AbortSignal.abort(reason);
    expect(
      await rejection(
        pool.query({ text: 'insert into abandoned values (3)', resilience: { signal } }),
      ),
    ).toBe(reason);
    expect(await bench.count('abandoned')).toBe(0);
  });
});

describe('sendDeadline', () => {
  const bench = new TestServer();

  it('lets the server stop by itself where no cancel reaches it, and does not shorten the next query', async () => {
    const pool = resilient(bench.proxied({ max: 1 }), {
      ...OFF,
      sendDeadline: true,
      cancelGraceDuration: 50,
    });
    await pool.query('select 1');
    const deadline = performance.now() + 2_000;
    const query = rejection(pool.query({ text: 'select pg_sleep(60)', resilience: { deadline } }));
    await until(async () => (await bench.active('pg_sleep')) === 1);
    await bench.proxy.set({ mode: 'black-hole' });
    expect((await query).code).toBe('RESIL_TIMEOUT');
    await until(async () => (await bench.active('pg_sleep')) === 0);
    await bench.proxy.clear();
    const limit = (text: string, left: number) =>
      pool.query({ text, resilience: { deadline: performance.now() + left } });
    expect((await limit('show statement_timeout', 900)).rows).toEqual([
      { statement_timeout: '1024ms' },
    ]);
    expect((await pool.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '0' }]);
  });

  it("never lengthens the session's own statement_timeout", async () => {
    const pool = resilient(bench.pool({ max: 1, statement_timeout: 700 }), {
      ...OFF,
      sendDeadline: true,
    });
    const text = 'show statement_timeout';
    const query = (left: number) =>
      pool.query({ text, resilience: { deadline: performance.now() + left } });
    expect((await query(60_000)).rows).toEqual([{ statement_timeout: '700ms' }]);
    expect((await query(250)).rows).toEqual([{ statement_timeout: '256ms' }]);
    expect((await pool.query(text)).rows).toEqual([{ statement_timeout: '700ms' }]);
  });
});
