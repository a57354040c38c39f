/** What the tests on a real server share: one server per file, pools that are closed, and looks at the server from outside. */

import { type PostgresOptions, type PostgresServer, startPostgres } from '@resil/testbed';
import { type FaultProxy, faultProxy } from '@resil/testing';
import pg from 'pg';
import { afterAll, afterEach, beforeAll } from 'vitest';

/** A server behind a fault proxy, for the tests of one file. */
export class TestServer {
  server!: PostgresServer;
  proxy!: FaultProxy;
  /** Not through the proxy, not wrapped: for looking at the server. */
  admin!: pg.Pool;
  readonly #pools: pg.Pool[] = [];

  constructor(options: PostgresOptions = {}) {
    beforeAll(async () => {
      this.server = await startPostgres(options);
      this.proxy = await faultProxy({ target: { host: this.server.host, port: this.server.port } });
      this.admin = new pg.Pool({ ...this.server.connection, max: 2 });
      this.admin.on('error', () => {});
    });
    afterEach(async () => {
      await this.proxy.clear();
      for (const pool of this.#pools.splice(0)) await this.#end(pool);
    });
    afterAll(async () => {
      await this.admin?.end();
      await this.proxy?.close();
      await this.server?.close();
    });
  }

  /** A bare pool straight to the server; ended after the test. */
  pool(config: pg.PoolConfig = {}): pg.Pool {
    const pool = new pg.Pool({ ...this.server.connection, max: 4, ...config });
    this.#pools.push(pool);
    return pool;
  }

  /** A bare pool through the fault proxy; ended after the test. */
  proxied(config: pg.PoolConfig = {}): pg.Pool {
    return this.pool({ host: this.proxy.host, port: this.proxy.port, ...config });
  }

  /** Backends that run something with this text. */
  async active(text: string): Promise<number> {
    const { rows } = await this.admin.query(
      "select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%' || $1 || '%' and pid <> pg_backend_pid()",
      [text],
    );
    return rows[0].n;
  }

  async count(sql: string): Promise<number> {
    return Number((await this.admin.query(`select count(*) as n from ${sql}`)).rows[0].n);
  }

  async terminate(pid: number): Promise<void> {
    await this.admin.query('select pg_terminate_backend($1)', [pid]);
  }

  async #end(pool: pg.Pool): Promise<void> {
    if (!pool.ending) void pool.end();
    this.proxy.resetConnections();
    await until(() => pool.ended || pool.totalCount === 0);
  }
}

/** Waits until something has come true. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if (await condition()) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`it did not come true: ${condition}`);
}

/** What a promise is rejected with. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; cause?: unknown }> {
  const failed = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  if ('error' in failed) return failed.error;
  throw new Error(`it was fulfilled with ${JSON.stringify(failed.value)}`);
}

/** Process id of the backend behind a client. */
export function pidOf(client: pg.PoolClient): number {
  return (client as unknown as { processID: number }).processID;
}

/** Everything off but what a test is about. */
export const OFF = {
  totalTimeout: false,
  attemptTimeout: false,
  retry: false,
  circuitBreaker: false,
} as const;
