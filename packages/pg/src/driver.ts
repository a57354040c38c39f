/**
 * For libraries that build their pool themselves out of a driver that they are given, such as
 * TypeORM (`driver`): pg, with pools that are resilient from birth.
 */
import type { Pool, PoolConfig } from 'pg';
import type { PgOptions } from './options.js';
import { resilient } from './resilient.js';

/** The part of pg that makes pools. */
export interface PgDriver {
  /** Class of the pools. */
  readonly Pool: new (
    config?: PoolConfig,
  ) => Pool;
}

/**
 * Gives pg with a `Pool` whose instances are wrapped. pg-native is left out: it can't cancel.
 *
 * @example
 * ```ts
 * import { resilientDriver } from '@resil/pg';
 * import pg from 'pg';
 *
 * const driver = resilientDriver(pg, { attemptTimeout: 2_000 });   // new DataSource({ type: 'postgres', driver, ... })
 * const pool = new driver.Pool({ max: 5 });
 * await pool.end();
 * ```
 */
export function resilientDriver<Driver extends PgDriver>(
  driver: Driver,
  options: PgOptions = {},
): Driver {
  class ResilientPool extends driver.Pool {
    constructor(config?: PoolConfig) {
      super(config);
      // biome-ignore lint/correctness/noConstructorReturn: `new` is to give the wrapped pool
      return resilient<Pool>(this, options) as this;
    }
  }
  return { ...driver, Pool: ResilientPool, native: undefined };
}
