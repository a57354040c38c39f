/** Handlers for consumers that were made by somebody else: a message that has to wait is held in place, with heartbeats. */
import { booleanRule, checkOptions, InvalidOptionError } from '@resil/core';
import type { EachBatchHandler, EachMessageHandler } from 'kafkajs';
import { handleBatch } from './batch-handling.js';
import { forKafkajs } from './consumer.js';
import { type ConsumerOptions, resolveConsumerOptions } from './consumer-options.js';
import { type Handled, Handling } from './handling.js';

/** What the handlers of this package have beside what kafkajs calls. */
export interface Drainable {
  /**
   * Says that the consumer is about to stop: what runs may finish, what waits rejects, so that
   * its message is left to the next consumer. Call it right before `consumer.stop()` or
   * `consumer.disconnect()`, which wait for the handler. It stays so.
   */
  drain(): void;
}

/** Options of {@link resilientBatchHandler}. */
export interface BatchHandlerOptions extends ConsumerOptions {
  /** The same as `run` has it. Default: true, as there. */
  readonly eachBatchAutoResolve?: boolean | undefined;
}

/**
 * A handler for `eachMessage` that repeats in place, sends on what can't be handled, and holds
 * messages while what it calls is down. Never rejects but with the error of a rebalance, as kafkajs
 * wants to see it, and after `drain()`.
 *
 * Heartbeats go on meanwhile. A consumer of a resilient Kafka does this by itself, pauses partitions
 * rather than hold them, and needs no `drain()`. Retry topics have to be subscribed to by you.
 *
 * @throws InvalidOptionError for a handler that is no function, bad options, and a missing producer.
 * @example
 * ```ts no-run (needs a broker)
 * import { resilientHandler } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = new Kafka({ brokers: ['localhost:9092'] });
 * const producer = kafka.producer();
 * const consumer = kafka.consumer({ groupId: 'billing' });
 * await consumer.run({
 *   eachMessage: resilientHandler(async ({ message }) => console.log(message.offset), { producer }),
 * });
 * ```
 */
export function resilientHandler(
  handler: EachMessageHandler,
  options: ConsumerOptions = {},
): EachMessageHandler & Drainable {
  const handling = newHandling('resilientHandler', handler, options);
  const handle = forKafkajs<Parameters<EachMessageHandler>[0]>((payload) => {
    const { topic, partition, message, heartbeat } = payload;
    return untilDone(handling, payload, () =>
      handling.message({ topic, partition, message }, heartbeat, (resilience) =>
        handler({ ...payload, resilience }),
      ),
    );
  });
  return Object.assign(handle, { drain: () => handling.drain() });
}

/**
 * A handler for `eachBatch` that does what {@link resilientHandler} does: it runs the handler again
 * with the messages that it has not resolved, and finds the one that can't be handled.
 *
 * @throws InvalidOptionError for a handler that is no function, bad options, and a missing producer.
 * @example
 * ```ts no-run (needs a broker)
 * import { resilientBatchHandler } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = new Kafka({ brokers: ['localhost:9092'] });
 * const producer = kafka.producer();
 * const consumer = kafka.consumer({ groupId: 'billing' });
 * const eachBatch = resilientBatchHandler(
 *   async ({ batch, resolveOffset }) => {
 *     for (const { offset } of batch.messages) resolveOffset(offset);
 *   },
 *   { producer, eachBatchAutoResolve: false },
 * );
 * await consumer.run({ eachBatchAutoResolve: false, eachBatch });
 * ```
 */
export function resilientBatchHandler(
  handler: EachBatchHandler,
  options: BatchHandlerOptions = {},
): EachBatchHandler & Drainable {
  const { eachBatchAutoResolve = true, ...rest } = options;
  checkOptions(
    'resilientBatchHandler',
    { eachBatchAutoResolve },
    { eachBatchAutoResolve: booleanRule },
  );
  const handling = newHandling('resilientBatchHandler', handler, rest);
  const handle = forKafkajs<Parameters<EachBatchHandler>[0]>(async (payload) => {
    const { topic, partition } = payload.batch;
    // What is resolved is not handled again when it comes to another round.
    let resolved = -1n;
    const resolveOffset = (offset: string): void => {
      resolved = BigInt(offset);
      payload.resolveOffset(offset);
    };
    const own = { ...payload, resolveOffset };
    await untilDone(handling, { topic, partition, heartbeat: payload.heartbeat }, () =>
      handleBatch(handling, { payload: own, handler, eachBatchAutoResolve, resolved }),
    );
    // kafkajs would resolve what is left, and skip it.
    const left = payload.batch.messages.some(({ offset }) => BigInt(offset) > resolved);
    if (eachBatchAutoResolve && left && !payload.isStale()) throw stopping();
  });
  return Object.assign(handle, { drain: () => handling.drain() });
}

function newHandling(owner: string, handler: unknown, options: ConsumerOptions): Handling {
  if (typeof handler !== 'function') {
    throw new InvalidOptionError(`${owner}: handler`, handler, 'must be a function');
  }
  const { producer, deadLetterTopic } = options;
  const resolved = resolveConsumerOptions(options);
  if (producer === undefined && deadLetterTopic !== false) {
    throw new InvalidOptionError(
      'consumer.producer',
      producer,
      'must be given, or deadLetterTopic must be false',
    );
  }
  return new Handling(resolved, () => producer as NonNullable<typeof producer>);
}

interface HeldPartition {
  readonly topic: string;
  readonly partition: number;
  heartbeat(): Promise<void>;
}

async function untilDone(
  handling: Handling,
  { topic, partition, heartbeat }: HeldPartition,
  handle: () => Promise<Handled>,
): Promise<void> {
  for (;;) {
    const handled = await handle();
    if (handled.kind === 'done') return;
    if (handling.draining) throw stopping();
    const tellResumed = handling.tellPaused(topic, partition, handled);
    await handling.wait(handled.delay, heartbeat);
    tellResumed();
  }
}

function stopping(): Error {
  return new Error('the consumer stops; what was not handled is left to the next');
}
