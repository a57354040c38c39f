/**
 * A producer that was made by somebody else. Its partitioner, its retries and the means to replace it
 * are out of reach: records go as they are, one after the other if it is idempotent, and it is not used
 * any more when it could lose the next one.
 */
import type { Producer, RecordMetadata } from 'kafkajs';
import { guardedSender } from './guarded-sender.js';
import type { ResolvedKafkaOptions } from './options.js';
import type { Pipelines } from './pipelines.js';
import { given, type ProducerContext, withContext } from './producer.js';
import type { Outgoing } from './record.js';
import { isFatal, Renewable, spoilsIdempotent } from './renewable.js';
import type { Parts } from './router.js';
import { beginTransaction } from './transaction-object.js';

/** Guards a producer that exists. */
export function wrapReadyProducer(
  producer: Producer,
  options: ResolvedKafkaOptions,
  pipelines: Pipelines,
): Producer {
  const renewable = new Renewable(producer);
  const idempotent = producer.isIdempotent();
  const spoils = idempotent ? spoilsIdempotent : isFatal;
  const begin = turns(idempotent, (request) =>
    renewable.use((current) => current.sendBatch(batchOf(request)), spoils),
  );
  const context: ProducerContext = {
    options,
    pipelines,
    renewable,
    sendsOf: (transaction) => turns(true, (request) => transaction.sendBatch(batchOf(request))),
  };
  const { outbox, sendContext } = options;
  const sender = guardedSender({
    pipeline: (topics, key) => pipelines.for(topics, key),
    begin,
    sendContext,
    outbox,
  });
  outbox?.attach(
    (topicMessages, settings) => begin({ topicMessages, settings }).done,
    options.clock,
  );
  const wrapped: Producer = {
    ...producer,
    ...sender,
    transaction: () => beginTransaction(context),
    ...(outbox && {
      connect: async (): Promise<void> => {
        await outbox.start();
        await producer.connect();
      },
      disconnect: async (): Promise<void> => {
        await outbox.stop();
        await producer.disconnect();
      },
    }),
  };
  return withContext(wrapped, context);
}

function batchOf({ topicMessages, settings }: Outgoing): Parameters<Producer['sendBatch']>[0] {
  // kafkajs writes into what it is given.
  return { topicMessages: topicMessages.map((part) => ({ ...part })), ...given(settings) };
}

/**
 * Begins sends as they come, or one after the other if `ordered`: an idempotent producer loses messages
 * otherwise. What waits for its turn can be withdrawn, and is never sent then.
 */
function turns(
  ordered: boolean,
  send: (request: Outgoing) => Promise<RecordMetadata[]>,
): (request: Outgoing) => Parts {
  let last: Promise<unknown> = Promise.resolve();
  return (request) => {
    if (!ordered) return { done: send(request), withdraw: () => {}, sent: true };
    let sent = false;
    let withdrawn: { readonly reason: unknown } | undefined;
    const done = last.then(() => {
      if (withdrawn !== undefined) throw withdrawn.reason;
      sent = true;
      return send(request);
    });
    last = done.catch(() => {});
    return {
      done,
      withdraw: (reason) => {
        withdrawn = { reason };
      },
      get sent(): boolean {
        return sent;
      },
    };
  };
}
