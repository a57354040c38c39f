/**
 * Using the pool while holding a transaction on it: the inner query is not part of the transaction,
 * and it waits for a second client. With as many transactions as the pool has clients, all wait for
 * one another. It works until the day with load, so it is told early.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

const inside = new AsyncLocalStorage<object>();
const warned = new WeakSet<object>();

/** Runs the work of a transaction on `pool`. */
export function insideTransaction<T>(pool: object, work: () => T): T {
  return inside.run(pool, work);
}

/** Warns, once per pool, when it is used from within a transaction on it. */
export function warnIfNested(pool: object): void {
  if (inside.getStore() !== pool || warned.has(pool)) return;
  warned.add(pool);
  process.emitWarning(
    'the pool was used inside a transaction on it: that query is not part of the transaction, and waits for another client; use the client that the transaction gives',
    { code: 'RESIL_PG_NESTED_POOL_USE' },
  );
}
