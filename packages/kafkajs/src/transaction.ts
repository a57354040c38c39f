/**
 * A function in a transaction: begun, committed, aborted and, where that is safe, run again. Safe is
 * what ended before the commit was asked for, or whose commit certainly did not happen: what such a
 * run has written is aborted, and nobody who reads committed messages sees it.
 */
import {
  checkOptions,
  countRule,
  durationRule,
  InvalidOptionError,
  isResilienceError,
  type OptionRules,
  pipeline,
  retry,
  retryDefaults,
  unregister,
} from '@resil/core';
import type { Producer, Transaction } from 'kafkajs';
import { meaningOf } from './classify.js';
import { contextOf } from './producer.js';

/** Options of {@link transaction}. */
export interface TransactionOptions {
  /**
   * Most runs of the function, the first included.
   *
   * At least 1.
   *
   * @defaultValue `transactionDefaults.maxAttempts` (3)
   */
  readonly maxAttempts?: number | undefined;
  /** Milliseconds before the first repetition; they double. Default: that of `retry` in @resil/core. */
  readonly baseDelay?: number | undefined;
  /** Longest wait before a repetition, in milliseconds. Default: that of `retry` in @resil/core. */
  readonly maxDelay?: number | undefined;
}

/** Defaults of {@link transaction}. */
export const transactionDefaults: { readonly maxAttempts: number } = Object.freeze({
  maxAttempts: 3,
});

const rules: OptionRules<TransactionOptions> = {
  maxAttempts: countRule(1),
  baseDelay: durationRule(),
  maxDelay: durationRule(),
};

/**
 * Runs `fn` in a transaction of a resilient producer, commits, and gives what `fn` gave. If `fn`
 * throws, the transaction is aborted.
 *
 * It is run again when the cluster failed before the commit, or the commit certainly did not happen.
 * Rejects with `RESIL_OUTCOME_UNKNOWN` when no answer to the commit came: it may have happened, so
 * that it is never run again.
 *
 * @throws InvalidOptionError for a producer that is not resilient, and bad options.
 * @example
 * ```ts no-run (needs a broker)
 * import { resilient, transaction } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = resilient(new Kafka({ brokers: ['localhost:9092'] }));
 * const producer = kafka.producer({ transactionalId: 'billing-1', idempotent: true });
 * await producer.connect();
 * await transaction(producer, async (tx) => {
 *   await tx.send({ topic: 'invoices', messages: [{ key: '7', value: 'paid' }] });
 * });
 * ```
 */
export async function transaction<T>(
  producer: Producer,
  fn: (transaction: Transaction) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const context = contextOf(producer);
  if (context === undefined) {
    throw new InvalidOptionError('transaction: producer', producer, 'must be a resilient producer');
  }
  if (typeof fn !== 'function') {
    throw new InvalidOptionError('transaction: fn', fn, 'must be a function');
  }
  checkOptions('transaction', options, rules);
  const { clock, random, name } = context.options;
  const {
    maxAttempts = transactionDefaults.maxAttempts,
    baseDelay = retryDefaults.baseDelay,
    maxDelay = Math.max(baseDelay, retryDefaults.maxDelay),
  } = options;
  const repeated = unregister(
    pipeline(
      {
        name,
        ...(clock && { clock }),
        classify: (outcome) =>
          outcome.ok ? 'success' : { kind: 'failure', repeat: mayRunAgain(outcome.error) },
      },
      retry({ maxAttempts, baseDelay, maxDelay, random }),
    ),
  );
  return repeated
    .execute(() => runOnce(producer, fn))
    .catch((error: unknown) => {
      throw error instanceof Ended ? error.error : error;
    });
}

async function runOnce<T>(
  producer: Producer,
  fn: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const tx = await producer.transaction();
  let result: T;
  try {
    result = await fn(tx);
  } catch (error) {
    if (tx.isActive()) await tx.abort().catch(() => {});
    throw new Ended(error);
  }
  if (tx.isActive()) await tx.commit();
  return result;
}

/** What `fn` threw, after the transaction was aborted. */
class Ended {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

function mayRunAgain(error: unknown): boolean {
  const aborted = error instanceof Ended;
  const inner = aborted ? error.error : error;
  // A send whose outcome is unknown was aborted with the rest; a commit was not.
  if (isResilienceError(inner)) {
    if (inner.code === 'RESIL_TRANSACTION_FAILED') return mayRunAgain(new Ended(inner.cause));
    return aborted && (inner.code === 'RESIL_OUTCOME_UNKNOWN' || inner.code === 'RESIL_TIMEOUT');
  }
  return meaningOf(inner)?.fault === 'cluster';
}
