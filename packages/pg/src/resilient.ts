/**
 * The seam: a proxy over an existing pool. A query of the pool is one guarded call; a client that the
 * pool gives is wrapped too, and each of its queries is one.
 *
 * A proxy and not a subclass, whose `query` would call its own `connect` and be guarded twice; and
 * not an object of one's own, which drizzle and Prisma do not take for a pool: they would run each
 * statement of a transaction on another connection.
 */
import { InvalidOptionError, report } from '@resil/core';
import type { Pool } from 'pg';
import { PoolContext } from './context.js';
import { warnIfNested } from './nested-use.js';
import { type PgOptions, resolveOptions } from './options.js';
import { listening, type Overlay, overlay } from './overlay.js';
import type { RawClient } from './raw-client.js';
import { deliver, type QueryCallback, readRequest } from './request.js';
import type { PgServer } from './server.js';
import type { Session } from './session.js';

/** Answered by every wrapped pool, also to a second copy of this package. */
const WRAPPED = '@resil/pg/wrapped';

/**
 * Keeps a pool's callers alive when PostgreSQL is slow, fails or disappears. Gives the pool back,
 * with its own type: use it wherever the pool was used.
 *
 * Several pools, each to one server of a cluster, are one pool to their users: calls go to the server
 * that `targetSessionAttrs` asks for, by default the one that takes writes. When that changes, because
 * it died and a standby was promoted, they go there. The first pool lends type and options.
 *
 * What it rejects with is pg's own error, or a `ResilienceError`: `RESIL_TIMEOUT`,
 * `RESIL_CIRCUIT_OPEN`, `RESIL_BULKHEAD_FULL` and `RESIL_QUEUE_TIMEOUT` (the pool is full),
 * `RESIL_OUTCOME_UNKNOWN` (a COMMIT whose answer was lost), `RESIL_NO_SERVER` (no server is what the
 * call may run on).
 *
 * @throws InvalidOptionError for what is not a pool, a pool that is wrapped already, and bad options.
 * @example
 * ```ts
 * import { resilient } from '@resil/pg';
 * import pg from 'pg';
 *
 * const pool = resilient(new pg.Pool({ max: 10 }), { attemptTimeout: 2_000 });
 * await pool.end();
 *
 * const hosts = ['db1.example', 'db2.example'];
 * const cluster = resilient(hosts.map((host) => new pg.Pool({ host })));
 * await cluster.end();
 * ```
 */
export function resilient<P extends Pool>(pool: P | readonly P[], options: PgOptions = {}): P {
  const pools = Array.isArray(pool) ? (pool as readonly P[]) : [pool as P];
  if (pools.length === 0)
    throw new InvalidOptionError('resilient: pools', pool, 'must be at least one pool');
  for (const one of pools) checkPool(one);
  if (new Set(pools).size < pools.length)
    throw new InvalidOptionError('resilient: pools', pool, 'must not hold the same pool twice');
  const names = namesOf(pools);
  const context = new PoolContext(
    pools,
    resolveOptions(options, pools.length),
    names,
    options.key ?? names.join(','),
  );
  const proxy: P = overlay(
    pools[0] as P,
    overlayOf(context, () => proxy),
  );
  contexts.set(proxy, context);
  for (const server of context.servers.all) keepAlive(context, server);
  return proxy;
}

/** Where the pools connect to; told apart where several connect to the same. */
function namesOf(pools: readonly Pool[]): string[] {
  const names = pools.map(destinationOf);
  return names.map((name, index) =>
    names.indexOf(name) === index ? name : `${name}#${index + 1}`,
  );
}

const contexts = new WeakMap<object, PoolContext>();

/** What stands behind a wrapped pool. @throws InvalidOptionError for any other. */
export function contextOf(pool: Pool): PoolContext {
  const context = typeof pool === 'object' && pool !== null ? contexts.get(pool) : undefined;
  if (context === undefined) {
    throw new InvalidOptionError('transaction: pool', pool, 'must be a pool that resilient() gave');
  }
  return context;
}

function overlayOf(context: PoolContext, self: () => object): Overlay {
  const { first, all } = context.servers;
  const { pool } = first;
  const sum = (count: (server: PgServer) => number): number =>
    all.reduce((total, server) => total + count(server), 0);
  const own: Overlay = {
    [WRAPPED]: true,
    query(...args: unknown[]): unknown {
      const request = readRequest(args[0], args[1], args[2]);
      if (request === undefined) return (pool.query as (...args: unknown[]) => unknown)(...args);
      warnIfNested(context);
      const promise = context.query(request);
      if (request.callback === undefined) return promise;
      deliver(promise, request.callback);
      return undefined;
    },
    connect(callback?: (error: unknown, client?: unknown, release?: unknown) => void): unknown {
      warnIfNested(context);
      const promise = context
        .checkOut((set) => set.connect, {})
        .then((session) => context.wrap(session));
      if (callback === undefined) return promise;
      promise.then(
        (client) => process.nextTick(callback, undefined, client, client.release),
        (error) => process.nextTick(callback as QueryCallback, error, undefined, () => {}),
      );
      return undefined;
    },
    end(...args: unknown[]): unknown {
      context.pipelines.close();
      return (endOf(all) as (...args: unknown[]) => unknown)(...args);
    },
    get waitingCount(): number {
      return sum((server) => server.pool.waitingCount + server.source.waiting);
    },
    ...listening(
      all.map((server) => server.pool),
      self,
      (arg) => (isClient(arg) ? context.wrap(sessionOf(arg, all)) : arg),
    ),
  };
  // Not spread, which would read the counters once and for all.
  if (all.length > 1) Object.defineProperties(own, Object.getOwnPropertyDescriptors(asOne(sum)));
  return own;
}

/** Ends all pools, as pg's `end` does with one. */
function endOf(all: readonly PgServer[]): (callback?: (error?: unknown) => void) => unknown {
  const [{ pool }] = all as [PgServer];
  if (all.length === 1) return pool.end.bind(pool);
  return (callback) => {
    const ended = Promise.all(all.map((server) => server.pool.end())).then(() => undefined);
    if (callback === undefined) return ended;
    ended.then(
      () => process.nextTick(callback),
      (error) => process.nextTick(callback, error),
    );
    return undefined;
  };
}

/** What several pools are together. */
function asOne(sum: (count: (server: PgServer) => number) => number): Overlay {
  return {
    get totalCount(): number {
      return sum(({ pool }) => pool.totalCount);
    },
    get idleCount(): number {
      return sum(({ pool }) => pool.idleCount);
    },
  };
}

/** The session of a client that an event of one of the pools carries. */
function sessionOf(client: RawClient, all: readonly PgServer[]): Session {
  const owner = all.find((server) => server.knows(client)) ?? (all[0] as PgServer);
  return owner.sessionOf(client);
}

/** Sees to it that the death of a connection can't end the process. */
function keepAlive({ options }: PoolContext, server: PgServer): void {
  server.pool.on('error', (error) => {
    server.learn(error, 'ready');
    try {
      options.onConnectionLost?.(error);
    } catch (thrown) {
      report(thrown, 'onConnectionLost');
    }
  });
  // A session listens to its connection's errors.
  server.pool.on('connect', (client) => {
    server.sessionOf(client as unknown as RawClient);
  });
}

function checkPool(pool: unknown): void {
  const seen = pool as Partial<Pool> & Record<typeof WRAPPED, unknown>;
  if (
    typeof pool !== 'object' ||
    pool === null ||
    typeof seen.connect !== 'function' ||
    typeof seen.query !== 'function' ||
    typeof seen.totalCount !== 'number' ||
    typeof seen.options !== 'object'
  ) {
    throw new InvalidOptionError('resilient: pool', pool, "must be a pool of the package 'pg'");
  }
  if ((seen.options as { pipeline?: boolean }).pipeline === true) {
    throw new InvalidOptionError(
      'resilient: pool',
      pool,
      "must not use pg's pipeline mode, in which a cancel request can't tell the queries apart",
    );
  }
  if (seen[WRAPPED] === true) {
    throw new InvalidOptionError('resilient: pool', pool, 'must not be wrapped twice');
  }
}

/** A connection as the pool's events carry it. */
function isClient(value: unknown): value is RawClient {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as RawClient).query === 'function' &&
    typeof (value as RawClient).getTypeParser === 'function'
  );
}

/** Where a pool connects to, without user and password. */
function destinationOf(pool: Pool): string {
  const { connectionString, host, port, database } = pool.options;
  if (connectionString !== undefined && URL.canParse(connectionString)) {
    const url = new URL(connectionString);
    return `${url.hostname}:${url.port || 5432}${url.pathname}`;
  }
  return `${host ?? process.env.PGHOST ?? 'localhost'}:${port ?? process.env.PGPORT ?? 5432}/${database ?? process.env.PGDATABASE ?? ''}`;
}
