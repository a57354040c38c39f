/**
 * A transaction with kafkajs' own type. kafkajs never sends the end of a transaction twice, and its
 * producer object can't begin another one when no answer came; the object is replaced then. What has
 * happened to the transaction is told apart: not ended, or not known.
 */
import {
  Fallback,
  isResilienceError,
  OutcomeUnknownError,
  type Pipeline,
  ResilienceError,
  Retry,
} from '@resil/core';
import type { Message, Producer, Transaction } from 'kafkajs';
import { meaningOf, rootOf } from './classify.js';
import { guardedSender } from './guarded-sender.js';
import type { SendSettings } from './lane.js';
import { type ProducerContext, recordOf } from './producer.js';
import { isFatal } from './renewable.js';
import { Router } from './router.js';

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
  const { renewable, pipelines } = context;
  const pipeline = narrowed(pipelines.of(undefined));
  return pipeline.execute(
    async () => {
      try {
        return await begin(context, pipeline);
      } catch (error) {
        if (!isFatal(error)) throw error;
        renewable.retire(renewable.producer);
        return begin(context, pipeline);
      }
    },
    { name: 'transaction', attributes: { kafkajs: { operation: 'transaction', sent: false } } },
  );
}

/** A part of a transaction can't be repeated or replaced by itself. */
function narrowed(pipeline: Pipeline): Pipeline {
  return pipeline.narrow((layer) => !(layer instanceof Retry) && !(layer instanceof Fallback));
}

async function begin(context: ProducerContext, pipeline: Pipeline): Promise<Transaction> {
  const { renewable } = context;
  let producer!: Producer;
  const transaction = await renewable.use((current) => {
    producer = current;
    return current.transaction();
  }, isFatal);
  return wrapTransaction(context, pipeline, producer, transaction);
}

function wrapTransaction(
  { renewable, partitions, options }: ProducerContext,
  pipeline: Pipeline,
  producer: Producer,
  transaction: Transaction,
): Transaction {
  let failed: { readonly error: unknown } | undefined;
  const fail = (error: unknown): never => {
    failed ??= { error };
    if (isFatal(error)) renewable.retire(producer);
    throw error;
  };
  const router = new Router(partitions, (topic: string, messages: Message[], how: SendSettings) =>
    transaction.send(recordOf(topic, messages, how)),
  );
  const sender = guardedSender({
    pipeline: () => pipeline,
    sendContext: options.sendContext,
    begin: ({ topicMessages, settings }) => router.send(topicMessages, settings),
  });
  const end = (work: () => Promise<void>): Promise<void> =>
    pipeline.execute(work, {
      name: 'transaction',
      attributes: { kafkajs: { operation: 'transaction', sent: true } },
    });
  const abort = async (): Promise<void> => {
    try {
      await end(() => transaction.abort());
    } catch (error) {
      // The next one to begin with this transactional id aborts it.
      renewable.retire(producer);
      throw error;
    }
  };
  return {
    ...transaction,
    send: (record) => sender.send(record).catch(fail),
    sendBatch: (batch) => sender.sendBatch(batch).catch(fail),
    sendOffsets: (offsets) => transaction.sendOffsets(offsets).catch(fail),
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
        renewable.retire(producer);
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
