import { observe } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, sql as kyselySql, PostgresDialect } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NoServerError, resilient, type TargetSessionAttrs, transaction } from '../src/index.js';
import { Cluster } from './cluster.js';
import { drill } from './failover-drill.js';
import { rejection, until } from './server.js';

/** Says which server answered. */
const WHERE = 'select pg_is_in_recovery() as standby';

describe('several pools as one', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
    await cluster.on(cluster.primary, 'create table items (id int primary key)');
    await cluster.caughtUp();
  });
  afterAll(() => cluster?.close());

  const where = async (pool: pg.Pool, target?: TargetSessionAttrs): Promise<string> => {
    const resilience = { targetSessionAttrs: target };
    const { rows } = await pool.query<{ standby: boolean }>({ text: WHERE, resilience });
    return rows[0]?.standby === true ? 'standby' : 'primary';
  };
  /** The standby's pool first: its place says nothing. */
  const both = () => cluster.pools().reverse();

  it('are the first one: class, options; and the sum of all', async () => {
    const [first, second] = cluster.pools();
    const pool = resilient([first, second]);
    expect(pool).toBeInstanceOf(pg.Pool);
    expect(pool.options).toBe(first.options);
    const heard: unknown[] = [];
    pool.on('connect', (client) => heard.push(client));
    await where(pool);
    await where(pool, 'standby');
    expect([first.totalCount, second.totalCount]).toEqual([1, 1]);
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([2, 2, 0]);
    expect(heard).toHaveLength(2);
    expect(heard.every((client) => client instanceof pg.Client)).toBe(true);
    await pool.end();
    expect([first.ended, second.ended]).toEqual([true, true]);
  });

  it.each<[TargetSessionAttrs, string]>([
    ['read-write', 'primary'],
    ['primary', 'primary'],
    ['read-only', 'standby'],
    ['standby', 'standby'],
  ])('find what %s asks for, by option and by call', async (target, found) => {
    const byOption = resilient(both(), { targetSessionAttrs: target });
    const byCall = resilient(cluster.pools());
    for (let times = 0; times < 3; times += 1) {
      expect(await where(byOption)).toBe(found);
      expect(await where(byCall, target)).toBe(found);
    }
  });

  it('take writes where nothing is said', async () => {
    const pool = resilient(both());
    await pool.query('insert into items values (1)');
    expect(await where(pool)).toBe('primary');
  });

  it('let a read prefer the standby, and answer without one', async () => {
    const pool = resilient(cluster.pools());
    await where(pool, 'prefer-standby');
    for (let times = 0; times < 3; times += 1)
      expect(await where(pool, 'prefer-standby')).toBe('standby');
    const alone = resilient([cluster.pool(cluster.primary)], {
      targetSessionAttrs: 'prefer-standby',
    });
    expect(await where(alone)).toBe('primary');
  });

  it('share calls for any', async () => {
    const pool = resilient(cluster.pools(), { targetSessionAttrs: 'any' });
    const seen = new Set<string>();
    await until(async () => {
      seen.add(await where(pool));
      return seen.size === 2;
    });
  });

  it('ask a server once for each connection, not for each call', async () => {
    const [first, second] = cluster.pools();
    const pool = resilient([first, second]);
    const texts: string[] = [];
    first.on('connect', (client) => {
      const query = client.query as (...args: unknown[]) => unknown;
      client.query = ((...args: unknown[]) => {
        texts.push(String(args[0]));
        return query.apply(client, args);
      }) as never;
    });
    for (let times = 0; times < 5; times += 1) await pool.query('select 1');
    expect(texts.filter((text) => text.includes('pg_is_in_recovery'))).toHaveLength(1);
    expect(texts).toHaveLength(6);
  });

  it('say why there is none', async () => {
    const pool = resilient(cluster.pool(cluster.standby), {
      name: 'shop',
      targetSessionAttrs: 'read-write',
      retry: false,
    });
    const error = await rejection(pool.query('select 1'));
    expect(error).toBeInstanceOf(NoServerError);
    const { port } = cluster.standby;
    expect(error).toMatchObject({
      code: 'RESIL_NO_SERVER',
      targetSessionAttrs: 'read-write',
      message: `no server of 'shop' is read-write: 127.0.0.1:${port}/postgres is a standby`,
    });
    const connected = await rejection(pool.connect());
    expect(connected.code).toBe('RESIL_NO_SERVER');
  });

  it('do not take a bad one', async () => {
    const pool = resilient(cluster.pools());
    const error = await rejection(where(pool, 'writable' as never));
    expect(error.message).toContain("targetSessionAttrs must be one of 'any', 'read-write'");
    expect(() => resilient([] as pg.Pool[])).toThrow('must be at least one pool');
    const one = cluster.pool(cluster.primary);
    expect(() => resilient([one, one])).toThrow('must not hold the same pool twice');
    expect(() => resilient([one, {} as never])).toThrow("must be a pool of the package 'pg'");
  });

  it('run transactions where they belong, an ORM too', async () => {
    const pool = resilient(both());
    await transaction(pool, async (client) => {
      await client.query('insert into items values (10)');
    });
    const read = await transaction(pool, (client) => client.query(WHERE), {
      readOnly: true,
      targetSessionAttrs: 'standby',
    });
    expect(read.rows).toEqual([{ standby: true }]);
    const db = drizzle(pool);
    await expect(
      db.transaction(async (tx) => {
        await tx.execute(sql`insert into items values (11)`);
        throw new Error('undo');
      }),
    ).rejects.toThrow('undo');
    const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
    await kysely
      .transaction()
      .execute((tx) => kyselySql`insert into items values (12)`.execute(tx));
    const { rows } = await pool.query('select id from items where id >= 10 order by id');
    expect(rows).toEqual([{ id: 10 }, { id: 12 }]);
  });

  it('cancel a call on the server that it runs on', async () => {
    const pool = resilient(cluster.pools());
    const controller = new AbortController();
    const slow = pool.query({
      text: 'select pg_sleep(60), 1 as slow_on_standby',
      resilience: { targetSessionAttrs: 'standby', signal: controller.signal },
    });
    const running = async (): Promise<number> =>
      (
        await cluster.on(
          cluster.standby,
          "select 1 from pg_stat_activity where query like '%slow_on_standby%' and state = 'active' and pid <> pg_backend_pid()",
        )
      ).rows.length;
    await until(async () => (await running()) === 1);
    controller.abort(new Error('enough'));
    expect((await rejection(slow)).message).toBe('enough');
    await until(async () => (await running()) === 0);
  });

  it('leave a session that refuses writes, and one that is told to', async () => {
    const refusing = cluster.pool(cluster.primary, {
      options: '-c default_transaction_read_only=on',
    });
    const pool = resilient([refusing, cluster.pool(cluster.primary)]);
    await pool.query('insert into items values (20)');
    expect([refusing.totalCount]).toEqual([1]);
    // The server tells the session of the change, and the session is asked again.
    const told = cluster.pool(cluster.primary, { max: 1 });
    const other = cluster.pool(cluster.primary);
    const two = resilient([told, other]);
    await two.query('insert into items values (21)');
    expect([told.totalCount, other.totalCount]).toEqual([1, 0]);
    await two.query('set session characteristics as transaction read only');
    await two.query('insert into items values (22)');
    expect(other.totalCount).toBe(1);
  });

  it('go by 25006 where nothing else tells', async () => {
    const first = cluster.pool(cluster.primary, { max: 1 });
    const second = cluster.pool(cluster.primary);
    const pool = resilient([first, second]);
    // A transaction that refuses writes, behind the adapter's back.
    const client = await pool.connect();
    await client.query('select 1');
    client.release();
    const recorder = recordEvents(observe);
    await pool.query('set transaction_read_only = on; insert into items values (30)').then(
      () => {
        throw new Error('it was written');
      },
      (error) => expect(error.code).toBe('25006'),
    );
    recorder.stop();
    expect(recorder.of('endpoint.skipped')[0]).toMatchObject({ errorType: '25006' });
    // The connection was closed, and writes go on.
    expect(first.totalCount).toBe(0);
    await pool.query('insert into items values (31)');
  });
});

/** Starting two servers takes its time on a busy machine. */
const PATIENCE = 180_000;

describe('a cluster whose primary', { timeout: PATIENCE }, () => {
  let cluster: Cluster | undefined;
  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
  });

  const patient = {
    retry: { maxAttempts: Number.POSITIVE_INFINITY, baseDelay: 20, maxDelay: 100, budget: false },
    totalTimeout: 60_000,
    circuitBreaker: { failureThreshold: 5, resetTimeout: 50 },
  } as const;

  it('dies goes on with the standby that is promoted, in transactions too', async () => {
    cluster = await Cluster.start(true);
    const { primary, standby } = cluster;
    await cluster.on(primary, 'create table items (id int primary key)');
    await cluster.caughtUp();
    const pool = resilient(cluster.pools(), patient);
    const recorder = recordEvents(observe);
    await pool.query('insert into items values (1)');
    // A session of the standby from before the promotion, idle in its pool.
    await pool.query({ text: WHERE, resilience: { targetSessionAttrs: 'standby' } });
    await primary.kill();
    const write = pool.query('insert into items values (2)').catch((error) => error);
    let runs = 0;
    const whole = transaction(
      pool,
      async (client) => {
        runs += 1;
        await client.query('insert into items values (3)');
        return 'committed';
      },
      { maxAttempts: 1_000, baseDelay: 20, maxDelay: 100 },
    );
    const read = pool.query({
      text: 'select count(*)::int as n from items',
      resilience: { targetSessionAttrs: 'prefer-standby' },
    });
    expect((await read).rows).toEqual([{ n: 1 }]);
    await cluster.on(standby, 'select pg_promote()');
    expect(await whole).toBe('committed');
    expect(runs).toBe(1);
    await write;
    const { rows } = await pool.query('select id from items order by id');
    expect(rows).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
    recorder.stop();
    const [a, b] = [primary, standby].map(({ port }) => `127.0.0.1:${port}/postgres`);
    expect(recorder.of('failover.moved').map(({ from, to }) => [from, to])).toEqual([
      [undefined, a],
      [a, b],
    ]);
    // The old primary comes back as one: it gets no writes beside the new one.
    await primary.start();
    for (let id = 10; id < 20; id += 1)
      await pool.query({ text: 'insert into items values ($1)', values: [id] });
    const old = await cluster.on(primary, 'select id from items where id >= 10');
    expect(old.rows).toEqual([]);
  });

  it('restarts without a promotion takes its writes again', async () => {
    cluster = await Cluster.start();
    const { primary } = cluster;
    await cluster.on(primary, 'create table items (id int primary key)');
    const pool = resilient(cluster.pools(), patient);
    await pool.query('insert into items values (1)');
    await primary.kill();
    const write = pool.query({
      text: 'insert into items values (2) on conflict do nothing',
      resilience: { idempotent: true },
    });
    await primary.start();
    await write;
    expect((await cluster.on(primary, 'select id from items')).rows).toHaveLength(2);
  });

  it.each([
    ['synchronous', true],
    ['asynchronous', false],
  ])('dies under load, with %s replication', async (_, synchronous) => {
    const result = await drill({ synchronous, writers: 4, writes: 100 });
    expect(result.duplicates).toBe(0);
    if (synchronous) expect(result.lost).toBe(0);
    expect(result.failed).toBe(0);
    // At most what was on its way when the primary died.
    expect(result.unknown).toBeLessThanOrEqual(4);
    expect(result.detection).toBeGreaterThanOrEqual(0);
    expect(result.detection).toBeLessThanOrEqual(result.recovery);
  });
});
