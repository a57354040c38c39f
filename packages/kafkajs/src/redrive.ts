/** Sends the messages of a dead-letter topic back to where they came from. */
import {
  checkOptions,
  countRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
} from '@resil/core';
import type { Kafka, KafkaMessage, Message } from 'kafkajs';
import { beneath } from './beneath.js';
import { resilienceHeaders, textOf, withoutPast } from './dead-letter.js';

/** Options of {@link redrive}. */
export interface RedriveOptions {
  /** The dead-letter topic. */
  readonly from: string;
  /** Where its messages go. Default: each to the topic that it was first read from. */
  readonly to?: string | undefined;
  /** Which messages go; the others are passed over, and not looked at again. Default: all. */
  readonly filter?: ((message: KafkaMessage) => boolean) | undefined;
  /** Most messages that are sent, at least 1. Default: all that are there when it begins. */
  readonly maxMessages?: number | undefined;
  /** Consumer group that remembers how far it came. Default: `<from>.redrive` */
  readonly groupId?: string | undefined;
}

/** What {@link redrive} has done. */
export interface Redriven {
  readonly sent: number;
  readonly skipped: number;
}

const rules: OptionRules<RedriveOptions> = {
  from: nameRule,
  to: nameRule,
  filter: functionRule,
  maxMessages: countRule(1),
  groupId: nameRule,
};

/**
 * Sends the messages of a dead-letter topic back, without the headers that tell of their past, and
 * remembers how far it came: what was sent back is not sent again. Ends when it has reached what was
 * there when it began.
 *
 * @throws InvalidOptionError
 * @example
 * ```ts no-run (needs a broker)
 * import { redrive, resilient } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = resilient(new Kafka({ brokers: ['localhost:9092'] }));
 * const { sent } = await redrive(kafka, { from: 'orders.dlq' });
 * console.log(`${sent} orders sent back`);
 * ```
 */
export async function redrive(kafka: Kafka, options: RedriveOptions): Promise<Redriven> {
  checkOptions('redrive', options, rules);
  const { from, to, filter, maxMessages = Infinity, groupId = `${from}.redrive` } = options;
  if (from === undefined) throw new InvalidOptionError('redrive.from', from, 'must be given');
  const ends = await endsOf(kafka, from, groupId);
  const result = { sent: 0, skipped: 0 };
  if (ends.size === 0) return result;
  const client = beneath(kafka);
  const producer = client.producer();
  // A message that can't be sent back stays where it is, so that no dead-letter topic is made for this one.
  const consumer = client.kafka.consumer({ groupId });
  await producer.connect();
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [from], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error));
      const eachBatch: Parameters<typeof consumer.run>[0] = {
        eachBatchAutoResolve: false,
        eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) => {
          for (const message of batch.messages) {
            const end = ends.get(batch.partition);
            if (result.sent >= maxMessages || end === undefined) break;
            if (BigInt(message.offset) < end) {
              const target = to ?? textOf(message.headers?.[resilienceHeaders.topic]);
              if (target === undefined || filter?.(message) === false) result.skipped += 1;
              else {
                await producer.send({ topic: target, messages: [back(message)] });
                result.sent += 1;
              }
              resolveOffset(message.offset);
              await heartbeat();
            }
            if (BigInt(message.offset) >= end - 1n) ends.delete(batch.partition);
          }
          await commitOffsetsIfNecessary();
          if (ends.size === 0 || result.sent >= maxMessages) resolve();
        },
      };
      consumer.run(eachBatch).catch(reject);
    });
  } finally {
    await consumer.disconnect();
    await producer.disconnect();
  }
  return result;
}

/** Partitions with messages that were not sent back, and where they end. */
async function endsOf(kafka: Kafka, topic: string, groupId: string): Promise<Map<number, bigint>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = await admin.fetchTopicOffsets(topic);
    const [done] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const ends = new Map<number, bigint>();
    for (const { partition, high, low } of offsets) {
      const committed = done?.partitions.find((one) => one.partition === partition)?.offset ?? '-1';
      const next = BigInt(committed) < 0n ? BigInt(low) : BigInt(committed);
      if (next < BigInt(high)) ends.set(partition, BigInt(high));
    }
    return ends;
  } finally {
    await admin.disconnect();
  }
}

function back(message: KafkaMessage): Message {
  return { key: message.key, value: message.value, headers: withoutPast(message.headers) };
}
