/** Reads a topic from its first message to the last that is in it now. */
import type { Kafka } from 'kafkajs';

/** The values of all messages of a topic whose partitions all have their leader. */
export async function readTopic(kafka: Kafka, topic: string): Promise<string[]> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const ends = new Map(
    offsets
      .filter(({ low, high }) => BigInt(high) > BigInt(low))
      .map(({ partition, high }) => [partition, BigInt(high)]),
  );
  // By place: after a rebalance kafkajs may begin again.
  const values = new Map<string, string>();
  if (ends.size === 0) return [];
  const groupId = `ledger-${topic}-${process.pid}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) reject(payload.error);
      });
      const run = consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          for (const { value, offset } of batch.messages) {
            values.set(`${batch.partition}/${offset}`, String(value));
          }
          const end = ends.get(batch.partition);
          if (end !== undefined && BigInt(batch.lastOffset()) >= end - 1n)
            ends.delete(batch.partition);
          if (ends.size === 0) resolve();
        },
      });
      run.catch(reject);
    });
    return [...values.values()];
  } finally {
    await consumer.disconnect();
  }
}
