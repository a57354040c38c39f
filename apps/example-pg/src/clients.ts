/** The pool of the shop: all that it does for its protection. */
import { resilient } from '@resil/pg';
import pg from 'pg';

/** A pool to the shop's database that waits for it while it is away. */
export function shopPool(connection: pg.PoolConfig): pg.Pool {
  return resilient(new pg.Pool({ ...connection, max: 5 }), {
    name: 'shop',
    totalTimeout: 10_000,
    attemptTimeout: 2_000,
    // An order is worth waiting for: an open circuit too is waited out, and no budget cuts it short.
    retry: {
      maxAttempts: 20,
      baseDelay: 50,
      maxDelay: 200,
      budget: false,
      shouldRetry: () => true,
    },
    circuitBreaker: { failureThreshold: 5, resetTimeout: 100 },
  });
}
