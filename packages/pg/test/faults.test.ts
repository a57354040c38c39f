/** Each row of the table in src/classify.ts, provoked on a real server: what pg rejects with, what is made of it. */
import { TimeoutError } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { meaningOf, resilient } from '../src/index.js';
import { OFF, pidOf, rejection, TestServer, until } from './server.js';

describe('what pg rejects with', () => {
  const bench = new TestServer({
    maxConnections: 14,
    settings: { deadlock_timeout: '100ms', superuser_reserved_connections: 0 },
  });
  const ALL = {
    circuitBreaker: false,
    totalTimeout: false,
    retry: { maxAttempts: 100, baseDelay: 10, maxDelay: 20, budget: false },
  } as const;

  it('57P01: the backend was terminated; repeated only if that does no harm', async () => {
    const pool = resilient(bench.pool(), ALL);
    const terminate = async (): Promise<void> => {
      await until(async () => (await bench.active('pg_sleep(0.7)')) === 1);
      await bench.admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(0.7)%' and pid <> pg_backend_pid()",
      );
    };
    const plain = rejection(pool.query('select pg_sleep(0.7)'));
    await terminate();
    expect((await plain).code).toBe('57P01');
    const marked = pool.query({
      text: 'select pg_sleep(0.7), 1 as n',
      resilience: { idempotent: true },
    });
    await terminate();
    expect((await marked).rows[0].n).toBe(1);
  });

  it('FIN and RST in the middle of a query', async () => {
    const pool = resilient(bench.proxied(), ALL);
    for (const by of ['close', 'reset'] as const) {
      await bench.proxy.set({ cut: { afterBytes: 0, by } });
      const error = await rejection(resilient(bench.proxied(), OFF).query('select pg_sleep(0.05)'));
      expect(meaningOf(error).kind).toBe('failure');
      await bench.proxy.clear();
      await pool.query('select 1');
      await bench.proxy.set({ cut: { afterBytes: 0, by } });
      expect(meaningOf(await rejection(pool.query('select pg_sleep(0.05)')))).toMatchObject({
        effect: 'maybe',
        fatal: true,
      });
      await bench.proxy.clear();
      const query = { text: 'select 1 as n', resilience: { idempotent: true } };
      expect((await pool.query(query)).rows).toEqual([{ n: 1 }]);
    }
  });

  it('ECONNREFUSED: not sent, so repeated whatever it is', async () => {
    await bench.proxy.set({ mode: 'refuse' });
    expect((await rejection(resilient(bench.proxied(), OFF).query('select 1'))).code).toBe(
      'ECONNREFUSED',
    );
    const pool = resilient(bench.proxied(), ALL);
    const query = pool.query('create table sent_once (n int)');
    await new Promise((done) => setTimeout(done, 100));
    await bench.proxy.clear();
    expect((await query).command).toBe('CREATE');
  });

  it('ENOTFOUND', async () => {
    const error = await rejection(
      resilient(bench.pool({ host: 'nowhere.invalid' }), OFF).query('select 1'),
    );
    expect(meaningOf(error)).toMatchObject({ kind: 'failure', effect: 'no' });
  });

  it('a connect that nobody answers: our timeout, or pg’s', async () => {
    await bench.proxy.set({ mode: 'black-hole' });
    const ours = await rejection(
      resilient(bench.proxied(), { ...OFF, acquireTimeout: 50 }).query('select 1'),
    );
    expect(ours).toBeInstanceOf(TimeoutError);
    const theirs = await rejection(
      resilient(bench.proxied({ connectionTimeoutMillis: 50 }), OFF).query('select 1'),
    );
    expect(meaningOf(theirs)).toMatchObject({ kind: 'failure', effect: 'no' });
  });

  it('53300: too many connections, repeated until there is room', async () => {
    const others = await Promise.all(
      Array.from({ length: 4 }, () => bench.pool({ max: 4 })).flatMap((pool) =>
        [1, 2, 3, 4].map(() => pool.connect().catch(() => undefined)),
      ),
    );
    expect((await rejection(resilient(bench.pool(), OFF).query('select 1'))).code).toBe('53300');
    const query = resilient(bench.pool(), ALL).query('select 1 as n');
    await new Promise((done) => setTimeout(done, 50));
    for (const client of others) client?.release(true);
    expect((await query).rows).toEqual([{ n: 1 }]);
  });

  it('3D000, 28000: permanent, and the server is fine', async () => {
    for (const [config, code] of [
      [{ database: 'missing' }, '3D000'],
      [{ user: 'missing' }, '28000'],
    ] as const) {
      const pool = resilient(bench.pool(config), {
        ...ALL,
        circuitBreaker: { failureThreshold: 1 },
      });
      for (let round = 0; round < 2; round += 1)
        expect((await rejection(pool.query('select 1'))).code).toBe(code);
    }
  });

  it('57014: statement_timeout, and a cancel by an operator', async () => {
    const timed = resilient(bench.pool({ statement_timeout: 50 }), ALL);
    const error = await rejection(
      timed.query({ text: 'select pg_sleep(60)', resilience: { idempotent: true } }),
    );
    expect([error.code, meaningOf(error).kind]).toEqual(['57014', 'failure']);
    expect(timed.totalCount).toBe(1);
    const pool = resilient(bench.pool(), ALL);
    const cancelled = rejection(pool.query('select pg_sleep(60)'));
    await until(async () => (await bench.active('pg_sleep(60)')) === 1);
    await bench.admin.query(
      "select pg_cancel_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
    );
    expect([(await cancelled).code, meaningOf(await cancelled).kind]).toEqual(['57014', 'ignored']);
    expect(pool.totalCount).toBe(1);
  });

  it('pg’s own query_timeout: the connection is given up', async () => {
    const pool = resilient(bench.pool({ query_timeout: 50 }), ALL);
    const error = await rejection(pool.query('select pg_sleep(0.5)'));
    expect([error.message, meaningOf(error).effect]).toEqual(['Query read timeout', 'maybe']);
    expect(pool.totalCount).toBe(0);
  });

  it('55P03: repeated only if asked for', async () => {
    await bench.admin.query('create table locked (n int)');
    const holder = await bench.admin.connect();
    await holder.query('begin; lock table locked');
    const pool = resilient(bench.pool(), ALL);
    const text = 'lock table locked nowait';
    expect((await rejection(pool.query(`begin; ${text}; commit`))).code).toBe('55P03');
    const query = pool.query({ text: `begin; ${text}; commit`, resilience: { idempotent: true } });
    await new Promise((done) => setTimeout(done, 50));
    await holder.query('rollback');
    holder.release();
    await query;
  });

  it('40P01: a statement by itself is repeated', async () => {
    await bench.admin.query(
      'create table pair (id int primary key, n int); insert into pair values (1, 0), (2, 0)',
    );
    const pool = resilient(bench.pool(), ALL);
    const cross = (first: number, second: number) =>
      pool.query(
        `do $$ begin update pair set n = n + 1 where id = ${first}; perform pg_sleep(0.1); update pair set n = n + 1 where id = ${second}; end $$`,
      );
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect((await bench.admin.query('select n from pair')).rows).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('25006: the connection leads to a replica; another one is made and the statement repeated', async () => {
    const pool = resilient(bench.pool({ max: 1 }), ALL);
    await pool.query("set default_transaction_read_only = 'on'");
    await pool.query('create table written (n int)');
    expect(await bench.count('written')).toBe(0);
  });

  it('25P03: left idle in a transaction for too long', async () => {
    const pool = resilient(bench.pool({ idle_in_transaction_session_timeout: 50 }), ALL);
    const client = await pool.connect();
    const told: string[] = [];
    client.on('error', (error) => told.push((error as { code?: string }).code ?? error.message));
    await client.query('begin');
    await until(() => told.length === 2);
    expect(told[0]).toBe('25P03');
    expect(meaningOf(await rejection(client.query('select 1')))).toMatchObject({
      effect: 'no',
      fatal: true,
    });
    client.release();
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it.each([
    ['23505', 'create temp table u (n int unique); insert into u values (1), (1)'],
    ['42601', 'selekt 1'],
    ['22012', 'select 1 / 0'],
    ['P0001', "do $$ begin raise exception 'no'; end $$"],
  ])('%s: the server is fine, and so is the connection', async (code, text) => {
    const pool = resilient(bench.pool(), {
      ...ALL,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    await pool.query('select 1');
    const client = await pool.connect();
    const pid = pidOf(client);
    client.release();
    for (let round = 0; round < 2; round += 1)
      expect((await rejection(pool.query(text))).code).toBe(code);
    const same = await pool.connect();
    expect(pidOf(same)).toBe(pid);
    same.release();
  });

  it('an error that is not pg’s: a type parser that throws', async () => {
    const types = {
      getTypeParser: () => () => {
        throw new Error('mine');
      },
    };
    const pool = resilient(bench.pool(), {
      ...ALL,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    const query = { text: 'select 1 as n', types: types as never };
    for (let round = 0; round < 2; round += 1)
      expect((await rejection(pool.query(query))).message).toBe('mine');
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('57P03, then ECONNREFUSED, then an answer: while it restarts', async () => {
    const pool = resilient(bench.pool(), ALL);
    const query = { text: 'select 1 as n', resilience: { idempotent: true } };
    await pool.query(query);
    await bench.server.stop('fast');
    const waiting = pool.query('select 1 as n');
    await bench.server.start();
    expect((await waiting).rows).toEqual([{ n: 1 }]);
  });
});
