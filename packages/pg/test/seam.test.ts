import { circuitBreaker, observe, Pipeline, pipeline } from '@resil/core';
import { recordEvents } from '@resil/testing';
import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { describe, expect, it, vi } from 'vitest';
import { resilient, resilientDriver } from '../src/index.js';
import { OFF, pidOf, rejection, TestServer, until } from './server.js';

describe('a wrapped pool', () => {
  const bench = new TestServer();

  it('is the pool: class, options, counters, end', async () => {
    const bare = bench.pool({ max: 3 });
    const pool = resilient(bare);
    expect(pool).toBeInstanceOf(pg.Pool);
    expect(Object.getPrototypeOf(pool).constructor.name).toBe('BoundPool');
    expect(pool.options).toBe(bare.options);
    const client = await pool.connect();
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 0, 0]);
    client.release();
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0]);
    await pool.end();
    expect([bare.ended, pool.ended]).toEqual([true, true]);
    expect((await rejection(pool.query('select 1'))).message).toMatch(/after calling end/);
  });

  it('closes its pipelines with end()', async () => {
    const made: Pipeline[] = [];
    const closed = vi.spyOn(Pipeline.prototype, 'close');
    const pool = resilient(bench.pool(), {
      pipeline: () => {
        const own = pipeline();
        made.push(own);
        return own;
      },
    });
    await pool.query({ text: 'select 1', resilience: { key: 'other' } });
    expect(made).toHaveLength(2);
    expect(closed).not.toHaveBeenCalled();
    await pool.end();
    for (const own of made) expect(closed.mock.contexts).toContain(own);
  });

  it('answers every form of query', async () => {
    const pool = resilient(bench.pool());
    const named = { name: 'one', text: 'select $1::int as n', values: [1] };
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    expect((await pool.query('select $1::int as n', [2])).rows).toEqual([{ n: 2 }]);
    expect((await pool.query(named)).rows).toEqual([{ n: 1 }]);
    expect((await pool.query(named, [3])).rows).toEqual([{ n: 3 }]);
    expect((await pool.query({ text: 'select 1 as n', rowMode: 'array' })).rows).toEqual([[1]]);
    expect((await pool.query('select 1 as a; select 2 as b')) as unknown).toHaveLength(2);
    expect(named).toEqual({ name: 'one', text: 'select $1::int as n', values: [1] });
    class Sql {
      readonly #n: number;
      constructor(n: number) {
        this.#n = n;
      }
      get text(): string {
        return 'select $1::int as n';
      }
      get values(): number[] {
        return [this.#n];
      }
    }
    expect((await pool.query(new Sql(4))).rows).toEqual([{ n: 4 }]);
  });

  it('answers callbacks, and leaves what they throw to the process', async () => {
    const pool = resilient(bench.pool());
    const result = await new Promise<pg.QueryResult>((resolve) => {
      const returned: unknown = pool.query('select $1::int as n', [5], (_error, answer) =>
        resolve(answer),
      );
      expect(returned).toBeUndefined();
    });
    expect(result.rows).toEqual([{ n: 5 }]);
    const failed = await new Promise((resolve) => {
      pool.query('select nonsense', (error) => resolve(error));
    });
    expect(failed).toMatchObject({ code: '42703' });
    const [client, release] = await new Promise<[pg.PoolClient, () => void]>((resolve) => {
      pool.connect((_error, given, done) => resolve([given as pg.PoolClient, done]));
    });
    const inner = await new Promise<pg.QueryResult>((resolve) => {
      client.query({
        text: 'select 6 as n',
        callback: (_: Error, answer: pg.QueryResult) => resolve(answer),
      } as never);
    });
    expect(inner.rows).toEqual([{ n: 6 }]);
    release();
    expect(() => release()).toThrow('already been released');
    expect(pool.idleCount).toBe(pool.totalCount);
  });

  it('rejects as pg does what is no query', async () => {
    const pool = resilient(bench.pool());
    expect((await rejection(pool.query(null as never))).message).toMatch(/null or undefined query/);
    const client = await pool.connect();
    expect(() => client.query(null as never)).toThrow(/null or undefined query/);
    client.release();
    const bad = pool.query({ text: 'select 1', resilience: { idempotent: 'yes' as never } });
    expect((await rejection(bad)).message).toMatch(/resilience\.idempotent.*'yes'/);
  });

  it('counts a query of the pool once, and each query of a client once', async () => {
    const pool = resilient(bench.pool(), { name: 'counted' });
    const recorder = recordEvents(observe);
    await pool.query({ name: 'prices', text: 'select $1::text as secret', values: ['hunter2'] });
    expect(recorder.types).toEqual(['call.started', 'call.succeeded']);
    expect(recorder.events[0]).toMatchObject({
      pipeline: 'counted',
      name: 'prices',
      key: `127.0.0.1:${bench.server.port}/postgres`,
    });
    recorder.clear();
    const client = await pool.connect();
    await client.query('select 1');
    await client.query('select 2');
    client.release();
    recorder.stop();
    expect(recorder.of('call.succeeded').map(({ name }) => name)).toEqual([
      'connect',
      'query',
      'query',
    ]);
    expect(JSON.stringify(recorder.events)).not.toMatch(/hunter2|select/);
  });

  it('gives one and the same object for a client, in events too', async () => {
    const pool = resilient(bench.pool({ max: 1 }));
    const seen: unknown[] = [];
    const note = (...args: unknown[]): void => {
      seen.push(args.at(-1));
    };
    pool
      .on('connect', note)
      .on('acquire', note)
      .once('release', note as never);
    pool.addListener('remove', note);
    const client = await pool.connect();
    client.release();
    const again = await pool.connect();
    again.release(true);
    await until(() => seen.length === 5);
    expect(again).toBe(client);
    expect(new Set(seen)).toEqual(new Set([client]));
    expect(pool.listeners('acquire')).toEqual([note]);
    pool.off('acquire', note).removeListener('connect', note);
    expect(pool.listenerCount('acquire')).toBe(0);
  });

  it('lets a connect listener prepare the connection, whatever the circuit says', async () => {
    const pool = resilient(bench.pool({ max: 1 }), {
      retry: false,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000, halfOpenCalls: 1 },
    });
    pool.on('connect', (client) => {
      void client.query("set application_name = 'prepared'");
    });
    const { rows } = await pool.query('show application_name');
    expect(rows).toEqual([{ application_name: 'prepared' }]);
  });

  it('passes cursors and streams through', async () => {
    const pool = resilient(bench.pool());
    const client = await pool.connect();
    const cursor = new Cursor('select generate_series(1, 5) as n');
    expect(client.query(cursor)).toBe(cursor);
    expect(await cursor.read(2)).toEqual([{ n: 1 }, { n: 2 }]);
    await cursor.close();
    const stream = client.query(new QueryStream('select generate_series(1, 1000) as n'));
    let sum = 0;
    for await (const row of stream) sum += row.n;
    expect(sum).toBe(500_500);
    expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    client.release();
    await pool.end();
  });

  it('keeps the connection after an error of a statement', async () => {
    const pool = resilient(bench.proxied());
    await pool.query('create temp table once (id int primary key); insert into once values (1)');
    const before = bench.proxy.opened;
    for (let round = 0; round < 20; round += 1) {
      expect((await rejection(pool.query('insert into once values (1)'))).code).toBe('23505');
    }
    expect(bench.proxy.opened).toBe(before);
    expect(pool.totalCount).toBe(1);
  });

  it('does not give a client that is inside a transaction to the next one', async () => {
    const pool = resilient(bench.pool({ max: 2 }));
    const client = await pool.connect();
    await client.query('begin');
    const pid = pidOf(client);
    client.release();
    const next = await pool.connect();
    expect(pidOf(next)).not.toBe(pid);
    next.release();
  });

  it('survives the death of idle, held and busy connections, and tells who listens', async () => {
    const lost: string[] = [];
    const pool = resilient(bench.pool(), {
      retry: false,
      onConnectionLost: (error) => lost.push(error.message),
    });
    const client = await pool.connect();
    await pool.query('select 1');
    const told: string[] = [];
    client.on('error', (error) => told.push(error.message));
    await client.query('begin');
    const { rows } = await bench.admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    );
    expect(rows).toHaveLength(2);
    await until(() => lost.length === 1 && told.length === 2);
    expect((await rejection(client.query('select 1'))).message).toMatch(/not queryable/);
    client.release();
    const busy = rejection(pool.query('select pg_sleep(60)'));
    await until(async () => (await bench.active('pg_sleep')) === 1);
    await bench.admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
    );
    expect((await busy).code).toBe('57P01');
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('keeps a breaker for each key, of a pipeline of one’s own too', async () => {
    const made: string[] = [];
    const pool = resilient(bench.pool(), {
      name: 'own',
      pipeline(key) {
        made.push(key);
        return pipeline(circuitBreaker({ failureThreshold: 1, resetTimeout: 60_000 }));
      },
    });
    const recorder = recordEvents(observe);
    const broken = "do $$ begin raise exception 'broken' using errcode = 'XX000'; end $$";
    const on = (key: string, text: string) => pool.query({ text, resilience: { key } });
    expect((await rejection(on('a', 'selekt'))).code).toBe('42601');
    expect((await rejection(on('a', broken))).code).toBe('XX000');
    expect((await rejection(on('a', 'select 1'))).code).toBe('RESIL_CIRCUIT_OPEN');
    expect((await on('b', 'select 1 as n')).rows).toEqual([{ n: 1 }]);
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    recorder.stop();
    expect(made).toEqual([`127.0.0.1:${bench.server.port}/postgres`, 'a', 'b']);
    expect(recorder.of('circuit.opened')).toMatchObject([{ pipeline: 'own', key: 'a' }]);
  });

  it('is what resilientDriver makes', async () => {
    const driver = resilientDriver(pg, OFF);
    const pool = new driver.Pool({ ...bench.server.connection });
    expect(pool).toBeInstanceOf(pg.Pool);
    expect(pool).toBeInstanceOf(driver.Pool);
    expect(() => resilient(pool)).toThrow('must not be wrapped twice');
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    await pool.end();
  });
});
