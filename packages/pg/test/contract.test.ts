import { hedge, pipeline, retry } from '@resil/core';
import { type PostgresServer, startPostgres } from '@resil/testbed';
import { describeAdapterContract } from '@resil/testing';
import pg from 'pg';
import { afterAll, describe, it } from 'vitest';
import { type PgOptions, resilient } from '../src/index.js';

interface Bench {
  readonly server: PostgresServer;
  readonly admin: pg.Pool;
}

/** Counts its calls, in a sequence that no rollback takes back, and behaves as the table says. */
const SCHEMA = `
  create sequence calls;
  create table fault (mode text);
  insert into fault values ('none');
  create function warm() returns int language plpgsql as $$ begin return 1; end $$;
  create function call() returns int language plpgsql as $$
  declare mode text := (select f.mode from fault f);
  begin
    perform nextval('calls');
    if mode = 'failure' then raise exception 'no answer' using errcode = '40003'; end if;
    if mode = 'hang' then perform pg_sleep(3600); end if;
    return 42;
  end $$`;

describeAdapterContract<Bench, pg.Pool>({
  runner: { describe, it, afterAll },
  name: '@resil/pg',
  async start() {
    const server = await startPostgres();
    const admin = new pg.Pool({ ...server.connection, max: 1 });
    await admin.query(SCHEMA);
    return { server, admin };
  },
  async stop({ server, admin }) {
    await admin.end();
    await server.close();
  },
  async target({ server }) {
    const pool = new pg.Pool({ ...server.connection, max: 4 });
    // What is timed is a call, not a connect, nor the loading of plpgsql.
    const clients = await Promise.all([1, 2, 3, 4].map(() => pool.connect()));
    await Promise.all(clients.map((client) => client.query('select warm()')));
    for (const client of clients) client.release();
    return pool;
  },
  release: (pool) => pool.end(),
  resilient: (pool, options) => resilient(pool, options as PgOptions),
  async call(pool, options) {
    const { rows } = await pool.query({
      text: 'select call()',
      ...(options && { resilience: options }),
    });
    return rows;
  },
  failWith: ({ admin }, fault) => admin.query('update fault set mode = $1', [fault]),
  async received({ admin }) {
    const { rows } = await admin.query('select last_value, is_called from calls');
    return rows[0].is_called ? Number(rows[0].last_value) : 0;
  },
  badOptions: [
    [{ acquireTimeout: 0 }, /resilient\.acquireTimeout.*0/],
    [{ acquireTimeout: 20_000 }, /resilient\.acquireTimeout.*attemptTimeout \(10000\).*20000/],
    [
      { acquireTimeout: 100, attemptTimeout: 50 },
      /resilient\.acquireTimeout.*attemptTimeout \(50\).*100/,
    ],
    [{ acquireTimeout: Number.NaN }, /resilient\.acquireTimeout.*NaN/],
    [{ maxWaiting: -1 }, /resilient\.maxWaiting.*-1/],
    [{ maxWaiting: 1.5 }, /resilient\.maxWaiting.*1\.5/],
    [{ maxWaiting: Number.POSITIVE_INFINITY }, /resilient\.maxWaiting.*Infinity/],
    [{ cancelGraceDuration: -1 }, /resilient\.cancelGraceDuration.*-1/],
    [{ sendDeadline: 1 }, /resilient\.sendDeadline.*1/],
    [{ onConnectionLost: {} }, /resilient\.onConnectionLost/],
    [{ pipeline: {} }, /resilient\.pipeline/],
    [{ hedge: {} }, /resilient\.hedge must be left out.*two connections/],
    [
      { pipeline: () => pipeline(retry(), pipeline('inner', hedge({ name: 'twice' }))) },
      /resilient\.pipeline: layer 'twice' must be left out.*two connections/,
    ],
    [{ pipeline: () => undefined, retry: false }, /resilient\.retry.*pipeline/],
    [{ pipeline: () => undefined }, /must be a guard|pipeline/],
  ],
  badTargets: [
    undefined,
    null,
    42,
    {},
    new pg.Client(),
    resilient(new pg.Pool()),
    new pg.Pool({ pipeline: true }),
  ],
});
