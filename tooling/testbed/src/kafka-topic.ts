/** Reads a topic from its first message to the last that is in it now. */
import type { Kafka, KafkaMessage } from 'kafkajs';

/** The committed messages of a topic whose partitions all have their leader, by partition and in order. */
export async function readTopic(kafka: Kafka, topic: string): Promise<Map<number, KafkaMessage[]>> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const ends = new Map(
    offsets
      .filter(({ low, high }) => BigInt(high) > BigInt(low))
      .map(({ partition, high }) => [partition, BigInt(high)]),
  );
  // By offset: after a rebalance kafkajs may begin again.
  const found = new Map<number, Map<string, KafkaMessage>>();
  if (ends.size > 0) await readTo(ends, kafka, topic, found);
  return new Map([...found].map(([partition, messages]) => [partition, [...messages.values()]]));
}

async function readTo(
  ends: Map<number, bigint>,
  kafka: Kafka,
  topic: string,
  found: Map<number, Map<string, KafkaMessage>>,
): Promise<void> {
  const groupId = `reader-${process.pid}-${Math.random()}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) reject(payload.error);
      });
      // Also told of a batch in which there is nothing but the mark of a transaction's end.
      consumer.on('consumer.end_batch_process', ({ payload: { partition, lastOffset } }) => {
        const end = ends.get(partition);
        if (end !== undefined && BigInt(lastOffset) >= end - 1n) ends.delete(partition);
        if (ends.size === 0) resolve();
      });
      const run = consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          const messages = found.get(partition) ?? new Map<string, KafkaMessage>();
          found.set(partition, messages.set(message.offset, message));
        },
      });
      run.catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
}
