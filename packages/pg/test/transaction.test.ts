import { observe } from '@resil/core';
import { recordEvents } from '@resil/testing';
import type { PoolClient } from 'pg';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { resilient, transaction } from '../src/index.js';
import { OFF, pidOf, rejection, TestServer, until } from './server.js';

describe('transaction', () => {
  const bench = new TestServer({ settings: { track_commit_timestamp: true } });
  beforeAll(async () => {
    await bench.admin.query('create table counter (id int primary key, n int not null)');
    await bench.admin.query('create table orders (id int primary key)');
    await bench.admin.query('insert into counter select id, 0 from generate_series(1, 20) id');
  });
  const counter = async (id: number): Promise<number> =>
    (await bench.admin.query('select n from counter where id = $1', [id])).rows[0].n;

  it('commits, gives the result, and takes its modes', async () => {
    const pool = resilient(bench.pool());
    const modes =
      'select current_setting($1) as isolation, current_setting($2) as ro, current_setting($3) as def';
    const names = ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable'];
    const { rows } = await transaction(pool, (client) => client.query(modes, names), {
      isolation: 'serializable',
      readOnly: true,
      deferrable: true,
    });
    expect(rows).toEqual([{ isolation: 'serializable', ro: 'on', def: 'on' }]);
    await transaction(pool, (client) => client.query('insert into orders values (1)'));
    expect(await bench.count('orders where id = 1')).toBe(1);
    expect([pool.idleCount, pool.totalCount]).toEqual([1, 1]);
  });

  it('rolls back what the function throws, and throws it', async () => {
    const pool = resilient(bench.pool());
    const mine = new Error('changed my mind');
    const failed = transaction(pool, async (client) => {
      await client.query('insert into orders values (2)');
      throw mine;
    });
    expect(await rejection(failed)).toBe(mine);
    expect(await bench.count('orders where id = 2')).toBe(0);
    expect([pool.idleCount, pool.totalCount]).toEqual([1, 1]);
  });

  it('counts 80 when 8 workers add 1 ten times, serializably', async () => {
    const pool = resilient(bench.pool({ max: 8 }));
    const increment = async (client: PoolClient): Promise<void> => {
      const { rows } = await client.query('select n from counter where id = 1');
      await client.query('update counter set n = $1 where id = 1', [rows[0].n + 1]);
    };
    const options = {
      isolation: 'serializable',
      maxAttempts: 100,
      baseDelay: 2,
      maxDelay: 50,
    } as const;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let round = 0; round < 10; round += 1) await transaction(pool, increment, options);
      }),
    );
    expect(await counter(1)).toBe(80);
  });

  it('runs again after a deadlock', async () => {
    const pool = resilient(bench.pool({ max: 2 }));
    let runs = 0;
    const add = (first: number, second: number) =>
      transaction(pool, async (client) => {
        runs += 1;
        await client.query('update counter set n = n + 1 where id = $1', [first]);
        await client.query('select pg_sleep(0.1)');
        await client.query('update counter set n = n + 1 where id = $1', [second]);
      });
    await Promise.all([add(2, 3), add(3, 2)]);
    expect([await counter(2), await counter(3)]).toEqual([2, 2]);
    expect(runs).toBe(3);
  });

  it('gives up after maxAttempts with the server’s own error', async () => {
    const pool = resilient(bench.pool());
    let runs = 0;
    const failed = transaction(
      pool,
      async (client) => {
        runs += 1;
        await client.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$");
      },
      { maxAttempts: 3, baseDelay: 1 },
    );
    expect((await rejection(failed)).code).toBe('40001');
    expect(runs).toBe(3);
  });

  it('runs again when the connection is lost before COMMIT', async () => {
    const pool = resilient(bench.proxied());
    let runs = 0;
    await transaction(pool, async (client) => {
      runs += 1;
      await client.query('insert into orders values (10)');
      if (runs === 1) bench.proxy.resetConnections();
      await client.query('select 1');
    });
    expect(runs).toBe(2);
    expect(await bench.count('orders where id = 10')).toBe(1);
  });

  it('tells that the outcome is not known when the answer to COMMIT is lost, and never runs again', async () => {
    const pool = resilient(bench.proxied());
    let runs = 0;
    const failed = transaction(pool, async (client) => {
      runs += 1;
      await client.query('insert into orders values (11)');
      await bench.proxy.set({ cut: { direction: 'response', afterBytes: 0, by: 'reset' } });
    });
    const error = await rejection(failed);
    expect(error).toMatchObject({ code: 'RESIL_OUTCOME_UNKNOWN', refusal: false });
    expect(error.cause).toBeInstanceOf(Error);
    expect(runs).toBe(1);
    await bench.proxy.clear();
    await until(async () => (await bench.count('orders where id = 11')) === 1);
    expect(pool.totalCount).toBe(0);
  });

  it('tells the same to one who commits by himself', async () => {
    const pool = resilient(bench.proxied());
    const client = await pool.connect();
    await client.query('begin');
    await client.query('insert into orders values (12)');
    await bench.proxy.set({ cut: { direction: 'response', afterBytes: 0, by: 'close' } });
    expect((await rejection(client.query('/* the end */ COMMIT'))).code).toBe(
      'RESIL_OUTCOME_UNKNOWN',
    );
    client.release();
    await bench.proxy.clear();
    await until(async () => (await bench.count('orders where id = 12')) === 1);
  });

  it('does not wait for ever for an answer to COMMIT', async () => {
    const pool = resilient(bench.proxied(), { ...OFF, attemptTimeout: 1_000 });
    const failed = transaction(pool, async (client) => {
      await client.query('insert into orders values (13)');
      await bench.proxy.set({ response: { mode: 'black-hole' } });
    });
    expect(await rejection(failed)).toMatchObject({
      code: 'RESIL_OUTCOME_UNKNOWN',
      cause: { code: 'RESIL_TIMEOUT' },
    });
    await until(() => pool.totalCount === 0);
  });

  it('tells so too when its deadline passes during COMMIT', async () => {
    const pool = resilient(bench.proxied(), OFF);
    const work = async (client: PoolClient): Promise<void> => {
      await client.query('insert into orders values (17)');
      await bench.proxy.set({ response: { mode: 'black-hole' } });
    };
    const failed = transaction(pool, work, { deadline: performance.now() + 800 });
    expect((await rejection(failed)).code).toBe('RESIL_OUTCOME_UNKNOWN');
    await until(() => pool.totalCount === 0);
  });

  it('knows that a COMMIT which the server refused is not committed', async () => {
    const pool = resilient(bench.pool());
    await pool.query('create table late (id int unique deferrable initially deferred)');
    const failed = transaction(pool, (client) => client.query('insert into late values (1), (1)'));
    expect((await rejection(failed)).code).toBe('23505');
    expect([pool.idleCount, pool.totalCount]).toEqual([1, 1]);
  });

  it('tells when the server answers COMMIT with ROLLBACK', async () => {
    const pool = resilient(bench.pool());
    const failed = transaction(pool, async (client) => {
      await client.query('insert into orders values (14)');
      await client.query('select nonsense').catch(() => {});
    });
    expect(await rejection(failed)).toMatchObject({
      code: 'RESIL_TRANSACTION_ROLLED_BACK',
      cause: { code: '42703' },
    });
    expect(await bench.count('orders where id = 14')).toBe(0);
  });

  it('lets COMMIT and ROLLBACK through an open circuit, and what stands in the transaction not', async () => {
    const pool = resilient(bench.pool(), {
      retry: false,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    const client = await pool.connect();
    await client.query('begin');
    await client.query('insert into orders values (15)');
    await rejection(
      pool.query("do $$ begin raise exception 'broken' using errcode = 'XX000'; end $$"),
    );
    expect((await rejection(client.query('select 1'))).code).toBe('RESIL_CIRCUIT_OPEN');
    expect((await client.query('COMMIT')).command).toBe('COMMIT');
    client.release();
    expect(await bench.count('orders where id = 15')).toBe(1);
    expect((await rejection(transaction(pool, () => {}))).code).toBe('RESIL_CIRCUIT_OPEN');
  });

  it('never repeats a statement of an open transaction, marked or not', async () => {
    const pool = resilient(bench.pool(), { retry: { maxAttempts: 5, baseDelay: 1 } });
    await pool.query('create sequence tries');
    const text =
      "do $$ begin perform nextval('tries'); raise exception 'again' using errcode = '40001'; end $$";
    const client = await pool.connect();
    await client.query('begin');
    expect((await rejection(client.query({ text, resilience: { idempotent: true } }))).code).toBe(
      '40001',
    );
    await client.query('rollback');
    client.release();
    expect((await pool.query('select last_value from tries')).rows[0].last_value).toBe('1');
    // By itself it is a transaction of its own, which was rolled back: certainly without effect.
    expect((await rejection(pool.query(text))).code).toBe('40001');
    expect((await pool.query('select last_value from tries')).rows[0].last_value).toBe('6');
  });

  it('gives a fallback no say in a transaction or over a client', async () => {
    const pool = resilient(bench.pool({ max: 1 }), {
      ...OFF,
      acquireTimeout: 300,
      fallback: () => ({ rows: ['made up'] }),
    });
    expect((await pool.query('select pg_sleep(0) from nowhere').catch((e) => e)).code).toBe(
      '42P01',
    );
    const client = await pool.connect();
    expect(await pool.query('select 1')).toEqual({ rows: ['made up'] });
    expect((await rejection(pool.connect())).code).toBe('RESIL_QUEUE_TIMEOUT');
    await client.query('begin');
    const broken = client.query(
      "do $$ begin raise exception 'broken' using errcode = 'XX000'; end $$",
    );
    expect((await rejection(broken)).code).toBe('XX000');
    await client.query('rollback');
    client.release();
  });

  it('ends with its signal, and with its deadline, and rolls back', async () => {
    const pool = resilient(bench.pool({ max: 1 }), OFF);
    const controller = new AbortController();
    const reason = new Error('gone');
    const work = async (client: PoolClient): Promise<void> => {
      await client.query('insert into orders values (16)');
      await client.query('select pg_sleep(60)');
    };
    const aborted = rejection(transaction(pool, work, { signal: controller.signal }));
    await until(async () => (await bench.active('pg_sleep(60)')) === 1);
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    const late = rejection(transaction(pool, work, { deadline: performance.now() + 100 }));
    expect((await late).code).toBe('RESIL_TIMEOUT');
    await until(() => pool.idleCount === pool.totalCount);
    expect(await bench.active('pg_sleep')).toBe(0);
    expect(await bench.count('orders where id = 16')).toBe(0);
  });

  it('sends its deadline to the server where that is asked for', async () => {
    const pool = resilient(bench.pool({ max: 1 }), { ...OFF, sendDeadline: true });
    const show = (client: PoolClient) => client.query('show statement_timeout');
    const { rows } = await transaction(pool, show, { deadline: performance.now() + 5_000 });
    expect(rows[0].statement_timeout).toMatch(/^(?:4\d{3}ms|5s)$/);
    expect((await pool.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '0' }]);
  });

  it('warns once of the pool’s use within it', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const pool = resilient(bench.pool({ max: 2 }));
    const use = () => transaction(pool, () => pool.query('select 1'));
    await use();
    await use();
    await pool.query('select 1');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]?.[1]).toEqual({ code: 'RESIL_PG_NESTED_POOL_USE' });
  });

  it('counts one call for itself, and one for each statement', async () => {
    const pool = resilient(bench.pool(), { name: 'shop' });
    const recorder = recordEvents(observe);
    await transaction(pool, (client) => client.query('select 1'));
    recorder.stop();
    expect(
      recorder.of('call.succeeded').map(({ name, pipeline }) => `${pipeline} ${name}`),
    ).toEqual(['shop connect', 'shop query', 'shop query', 'shop query', 'shop transaction']);
  });

  it('takes no client of a function that ends the connection', async () => {
    const pool = resilient(bench.pool(), { retry: false });
    let pid = 0;
    const failed = transaction(
      pool,
      async (client) => {
        pid = pidOf(client);
        await client.query('select pg_terminate_backend(pg_backend_pid())');
      },
      { maxAttempts: 2, baseDelay: 1 },
    );
    expect((await rejection(failed)).code).toBe('57P01');
    expect(pid).toBeGreaterThan(0);
    await until(() => pool.totalCount === 0);
  });

  it.each([
    [
      'a bare pool',
      (work: () => void) => transaction(bench.pool(), work),
      /must be a pool that resilient\(\) gave/,
    ],
    [
      'no function',
      () => transaction(resilient(bench.pool()), undefined as never),
      /fn must be a function/,
    ],
    [
      'an isolation level',
      (work: () => void) =>
        transaction(resilient(bench.pool()), work, { isolation: 'snapshot' as never }),
      /isolation.*'snapshot'/,
    ],
    [
      'maxAttempts',
      (work: () => void) => transaction(resilient(bench.pool()), work, { maxAttempts: 0 }),
      /maxAttempts.*0/,
    ],
    [
      'an option',
      (work: () => void) => transaction(resilient(bench.pool()), work, { retries: 3 } as never),
      /retries.*not an option/,
    ],
    [
      'baseDelay',
      (work: () => void) => transaction(resilient(bench.pool()), work, { baseDelay: -1 }),
      /baseDelay.*-1/,
    ],
  ])('refuses %s', async (_, use, message) => {
    expect((await rejection(use(() => {}))).message).toMatch(message);
  });
});
