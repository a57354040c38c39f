/** Handlers for consumers that were made by somebody else: a message that has to wait is held in place, with heartbeats. */
import { InvalidOptionError } from '@resil/core';
import type { EachMessageHandler, EachMessagePayload } from 'kafkajs';
import { type ConsumerOptions, checkConsumerOptions } from './consumer-options.js';
import { pastOf } from './dead-letter.js';
import { Handling } from './handling.js';

/**
 * A handler for `eachMessage` that repeats in place, sends on what can't be handled, and holds
 * messages while what it calls is down. Never rejects but with the error of a rebalance, as kafkajs
 * wants to see it.
 *
 * Heartbeats go on meanwhile. The handler is not told to stop when its consumer is: use a consumer of
 * a resilient Kafka for that, which also pauses partitions rather than hold them.
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
): EachMessageHandler {
  if (typeof handler !== 'function') {
    throw new InvalidOptionError('resilientHandler: handler', handler, 'must be a function');
  }
  checkConsumerOptions(options);
  const { producer } = options;
  if (producer === undefined && options.deadLetterTopic !== false) {
    throw new InvalidOptionError(
      'consumer.producer',
      producer,
      'must be given, or deadLetterTopic must be false',
    );
  }
  const handling = new Handling(options, () => producer as NonNullable<typeof producer>);
  return async (payload) => {
    const { topic, partition, message, heartbeat } = payload;
    const place = { topic, partition, message };
    await handling.wait(handling.delayOf(place), heartbeat);
    for (;;) {
      const handled = await handling.handle(
        () => [place],
        heartbeat,
        (resilience) => handler(payloadFor(payload, { resilience })),
      );
      if (handled.done) return;
      await handling.wait(handled.delay, heartbeat);
    }
  };
}

/** The payload with what we add; a message of a retry topic looks as in its first topic. */
export function payloadFor(
  payload: EachMessagePayload,
  added: Pick<EachMessagePayload, 'resilience'>,
): EachMessagePayload {
  const { topic } = pastOf(payload.topic, payload.message);
  return { ...payload, topic, ...added };
}
