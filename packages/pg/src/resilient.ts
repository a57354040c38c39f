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

/** Answered by every wrapped pool, also to a second copy of this package. */
const WRAPPED = '@resil/pg/wrapped';

/**
 * Keeps a pool's callers alive when PostgreSQL is slow, fails or disappears. Gives the pool back,
 * with its own type: use it wherever the pool was used.
 *
 * What it rejects with is pg's own error, or a `ResilienceError`: `RESIL_TIMEOUT`,
 * `RESIL_CIRCUIT_OPEN`, `RESIL_BULKHEAD_FULL` and `RESIL_QUEUE_TIMEOUT` (the pool is full),
 * `RESIL_OUTCOME_UNKNOWN` (a COMMIT whose answer was lost).
 *
 * @throws InvalidOptionError for what is not a pool, a pool that is wrapped already, and bad options.
 * @example
 * ```ts
 * import { resilient } from '@resil/pg';
 * import pg from 'pg';
 *
 * const pool = resilient(new pg.Pool({ max: 10 }), { attemptTimeout: 2_000 });
 * await pool.end();
 * ```
 */
export function resilient<P extends Pool>(pool: P, options: PgOptions = {}): P {
  checkPool(pool);
  const context = new PoolContext(
    pool,
    resolveOptions(options),
    options.key ?? destinationOf(pool),
  );
  const proxy: P = overlay(
    pool,
    overlayOf(context, () => proxy),
  );
  contexts.set(proxy, context);
  keepAlive(context);
  return proxy;
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
  const { pool, source } = context;
  return {
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
        .then(({ client }) => context.wrap(client));
      if (callback === undefined) return promise;
      promise.then(
        (client) => process.nextTick(callback, undefined, client, client.release),
        (error) => process.nextTick(callback as QueryCallback, error, undefined, () => {}),
      );
      return undefined;
    },
    get waitingCount(): number {
      return pool.waitingCount + source.waiting;
    },
    ...listening(pool, self, (arg) => (isClient(arg) ? context.wrap(arg) : arg)),
  };
}

/** Sees to it that the death of a connection can't end the process. */
function keepAlive(context: PoolContext): void {
  const { pool, options } = context;
  pool.on('error', (error) => {
    try {
      options.onConnectionLost?.(error);
    } catch (thrown) {
      report(thrown, 'onConnectionLost');
    }
  });
  // A session listens to its connection's errors.
  pool.on('connect', (client) => {
    context.sessionOf(client as unknown as RawClient);
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
