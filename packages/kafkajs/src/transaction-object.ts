/**
 * A transaction with kafkajs' own type. kafkajs never sends the end of a transaction twice, and its
 * producer object can't begin another one when no answer came; the object is replaced then. What has
 * happened to the transaction is told apart: not ended, or not known.
 */
import { isResilienceError, OutcomeUnknownError, ResilienceError } from '@resil/core';
import type { Producer, Transaction } from 'kafkajs';
import { meaningOf, rootOf } from './classify.js';
import { guardedSender } from './guarded-sender.js';
import type { ProducerContext } from './producer.js';
import { isFatal, spoilsIdempotent } from './renewable.js';

/** A transaction can't be committed because one of its sends failed; it was aborted. Code `RESIL_TRANSACTION_FAILED`. */
export class TransactionFailedError extends ResilienceError {
  constructor(cause: unknown) {
    super(
      'RESIL_TRANSACTION_FAILED',
      'the transaction was aborted and not committed: one of its sends failed',
      { strategy: 'transaction', cause },
    );
  }
}

/** Begins a transaction; with another producer object if this one can't. */
export async function beginTransaction(context: ProducerContext): Promise<Transaction> {
  const { renewable } = context;
  return coordinated(context, false, async () => {
    try {
      return await begin(context);
    } catch (error) {
      if (!isFatal(error)) throw error;
      renewable.retire(renewable.producer, error);
      return begin(context);
    }
  });
}

/** What a transaction's coordinator does concerns the cluster and no topic, whatever `keyBy` says. */
function coordinated<T>(
  { pipelines }: ProducerContext,
  sent: boolean,
  work: () => Promise<T>,
): Promise<T> {
  return pipelines.once(pipelines.of(undefined)).execute(work, {
    name: 'transaction',
    attributes: { kafkajs: { operation: 'transaction', sent } },
  });
}

async function begin(context: ProducerContext): Promise<Transaction> {
  let producer!: Producer;
  const transaction = await context.renewable.use((current) => {
    producer = current;
    return current.transaction();
  }, isFatal);
  return wrapTransaction(context, producer, transaction);
}

function wrapTransaction(
  context: ProducerContext,
  producer: Producer,
  transaction: Transaction,
): Transaction {
  const { renewable, pipelines, options } = context;
  let failed: { readonly error: unknown } | undefined;
  /** Why the producer object can't be used when the transaction is over. */
  let spoilt: { readonly error: unknown } | undefined;
  const fail = (error: unknown): never => {
    failed ??= { error };
    if (isFatal(error)) renewable.retire(producer, error);
    if (spoilsIdempotent(error)) spoilt ??= { error };
    throw error;
  };
  const sender = guardedSender({
    pipeline: (topics, key) => pipelines.once(pipelines.for(topics, key)),
    sendContext: options.sendContext,
    begin: context.sendsOf(transaction),
  });
  const end = (work: () => Promise<void>): Promise<void> => coordinated(context, true, work);
  const abort = async (): Promise<void> => {
    try {
      await end(() => transaction.abort());
    } catch (error) {
      // The next one to begin with this transactional id aborts it.
      renewable.retire(producer, error);
      throw error;
    }
    // Not sooner: another with this transactional id would end the transaction itself.
    if (spoilt !== undefined) renewable.retire(producer, spoilt.error);
  };
  return {
    ...transaction,
    send: (record) => sender.send(record).catch(fail),
    sendBatch: (batch) => sender.sendBatch(batch).catch(fail),
    sendOffsets: (offsets) => end(() => transaction.sendOffsets(offsets)).catch(fail),
    abort,
    commit: async () => {
      if (failed !== undefined) {
        await abort().catch(() => {});
        throw new TransactionFailedError(failed.error);
      }
      // `end` may refuse before anything is done, and the transaction is still there then.
      let asked = false;
      try {
        await end(() => {
          asked = true;
          return transaction.commit();
        });
      } catch (error) {
        if (!asked) throw error;
        renewable.retire(producer, error);
        if (notEnded(error)) throw error;
        throw new OutcomeUnknownError(
          'transaction',
          'the commit was not answered; the transaction may have been committed',
          error,
        );
      }
    },
  };
}

/**
 * Whether a commit that failed has certainly not happened: its end was not sent, because the
 * coordinator could not be found, or the coordinator said no. kafkajs repeats the search for the
 * coordinator and nothing else, so an error of repeated attempts is one of the search.
 */
export function notEnded(error: unknown): boolean {
  if (isResilienceError(error)) return error.refusal;
  if ((error as Error).name === 'KafkaJSNumberOfRetriesExceeded') return true;
  const { type, name, code } = rootOf(error) as { type?: unknown; name?: string; code?: unknown };
  if (name === 'KafkaJSGroupCoordinatorNotFound' || code === 'ECONNREFUSED') return true;
  return typeof type === 'string' && meaningOf(error)?.effect === 'none';
}
