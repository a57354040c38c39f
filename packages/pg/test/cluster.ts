/** A primary with a streaming standby, both real, and pools to them. */
import { type PostgresServer, startPostgres } from '@resil/testbed';
import pg from 'pg';

export class Cluster {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly #pools: pg.Pool[] = [];

  private constructor(primary: PostgresServer, standby: PostgresServer) {
    this.primary = primary;
    this.standby = standby;
  }

  /** Starts both; `synchronous` makes the primary wait for the standby before it acknowledges a commit. */
  static async start(synchronous = false): Promise<Cluster> {
    const primary = await startPostgres();
    const standby = await startPostgres({ standbyOf: primary }).catch(async (error) => {
      await primary.close();
      throw error;
    });
    const cluster = new Cluster(primary, standby);
    await cluster.#streaming();
    if (synchronous) {
      await cluster.on(primary, "alter system set synchronous_standby_names = '*'");
      await cluster.on(primary, 'select pg_reload_conf()');
      await cluster.#until("select sync_state = 'sync' as ok from pg_stat_replication");
    }
    return cluster;
  }

  /** A bare pool to one of the two; ended by `close`. */
  pool(server: PostgresServer, config: pg.PoolConfig = {}): pg.Pool {
    const pool = new pg.Pool({ ...server.connection, max: 4, ...config });
    pool.on('error', () => {});
    this.#pools.push(pool);
    return pool;
  }

  /** Bare pools to both, the primary's first. */
  pools(config: pg.PoolConfig = {}): [pg.Pool, pg.Pool] {
    return [this.pool(this.primary, config), this.pool(this.standby, config)];
  }

  /** Runs a statement on a connection of its own. */
  async on(server: PostgresServer, text: string): Promise<pg.QueryResult> {
    const client = new pg.Client(server.connection);
    client.on('error', () => {});
    await client.connect();
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  }

  /** Waits until the standby has all that the primary has now. */
  async caughtUp(): Promise<void> {
    const { rows } = await this.on(this.primary, 'select pg_current_wal_lsn() as lsn');
    await this.#until(`select replay_lsn >= '${rows[0].lsn}' as ok from pg_stat_replication`);
  }

  async close(): Promise<void> {
    // Pools to a server that is down end all the same.
    await Promise.all(this.#pools.map((pool) => pool.ending || pool.end()));
    await this.standby.close();
    await this.primary.close();
  }

  async #streaming(): Promise<void> {
    await this.#until("select state = 'streaming' as ok from pg_stat_replication");
  }

  async #until(text: string): Promise<void> {
    for (let tries = 0; tries < 3_000; tries += 1) {
      const { rows } = await this.on(this.primary, text);
      if (rows[0]?.ok === true) return;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error(`it did not come true: ${text}`);
  }
}
