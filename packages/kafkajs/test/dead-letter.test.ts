import { expect, it } from 'vitest';
import { redrive, resilient, type UndeliverableMessage } from '../src/index.js';
import { describeKafka, QUICK, type TestCluster, until } from './cluster.js';
import { committed, consume } from './consume.js';

/** A topic of two partitions, whose first holds a poison message without a key, and its dead-letter topic. */
async function poisoned(
  lab: TestCluster,
  config: { name: string; value: string },
  poison = 'poison',
): Promise<{ topic: string; dead: string }> {
  const topic = await lab.topic(2);
  const dead = `${topic}.dlq`;
  await lab.cluster.createTopic(dead, 1, [config]);
  const producer = await lab.producer();
  const messages = [
    { partition: 0, value: poison },
    { partition: 0, value: 'behind it' },
    { partition: 1, value: 'elsewhere' },
  ];
  await producer.send({ topic, messages });
  return { topic, dead };
}
/** A topic that is compacted takes no message without a key. */
const COMPACTED = { name: 'cleanup.policy', value: 'compact' };

describeKafka('dead letters', { nodes: 1 }, (lab) => {
  it('go without their value where their topic takes nothing so large', async () => {
    const small = { name: 'max.message.bytes', value: '2000' };
    const { topic, dead } = await poisoned(lab, small, 'p'.repeat(5_000));
    const seen: string[] = [];
    const { consumer, groupId, givenUp, crashes } = await consume(lab, topic, async (payload) => {
      const value = String(payload.message.value);
      if (value.startsWith('p')) throw new Error('poison');
      seen.push(value);
    });
    await until(() => seen.length === 2);
    await consumer.disconnect();
    expect(crashes).toEqual([]);
    expect(givenUp).toMatchObject([{ to: dead, offset: '0', omitted: ['value'] }]);
    expect(await committed(lab, groupId, topic)).toEqual(['2', '1']);
    const [letter] = [...(await lab.read(dead)).values()].flat();
    expect(letter?.value?.length).toBe(0);
    expect(String(letter?.headers?.['x-resil-omitted'])).toBe('value');
    expect(String(letter?.headers?.['x-resil-offset'])).toBe('0');
    // What lacks its value must not come back as an empty message.
    const kafka = resilient(lab.cluster.client(QUICK));
    expect(await redrive(kafka, { from: dead })).toEqual({ sent: 0, skipped: 1, done: true });
  });

  it('hold their partition alone when they are refused for good, until it is resumed', async () => {
    const { topic, dead } = await poisoned(lab, COMPACTED);
    const seen: string[] = [];
    let runs = 0;
    const told: UndeliverableMessage[] = [];
    const { consumer, groupId, crashes } = await consume(
      lab,
      topic,
      async ({ message }) => {
        if (String(message.value) === 'poison') {
          runs += 1;
          throw new TypeError('poison');
        }
        seen.push(String(message.value));
      },
      { onUndeliverable: (one) => told.push(one), holdDelay: 10 },
    );
    await until(() => told.length === 1 && seen.length === 1);
    expect(seen).toEqual(['elsewhere']);
    expect(told).toMatchObject([
      { topic, partition: 0, offset: '0', to: dead, attempts: 3, skipped: false },
    ]);
    expect(told[0]?.refusal).toMatchObject({ type: 'INVALID_RECORD' });
    expect(consumer.paused()).toEqual([{ topic, partitions: [0] }]);
    await lab.cluster.withAdmin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          { type: 2, name: dead, configEntries: [{ name: 'cleanup.policy', value: 'delete' }] },
        ],
      }),
    );
    // It is refused again as long as the broker has not heard of the change.
    await until(() => {
      if (consumer.paused().length > 0) consumer.resume([{ topic, partitions: [0] }]);
      return seen.length === 2;
    });
    await consumer.disconnect();
    expect([seen.at(-1), runs, crashes]).toEqual(['behind it', 3, []]);
    expect(await committed(lab, groupId, topic)).toEqual(['2', '1']);
    expect(await lab.values(dead)).toEqual(['poison']);
  });

  it('are passed over when they are refused for good, where that is wanted', async () => {
    const { topic, dead } = await poisoned(lab, COMPACTED);
    const seen: string[] = [];
    const told: UndeliverableMessage[] = [];
    const { consumer, groupId } = await consume(
      lab,
      topic,
      {
        eachBatch: async ({ batch, resolveOffset }) => {
          for (const { value, offset } of batch.messages) {
            if (String(value) === 'poison') throw new Error('poison');
            seen.push(String(value));
            resolveOffset(offset);
          }
        },
      },
      { whenUndeliverable: 'skip', onUndeliverable: (one) => told.push(one) },
    );
    await until(() => seen.length === 2);
    await consumer.disconnect();
    expect(told).toMatchObject([{ topic, partition: 0, offset: '0', to: dead, skipped: true }]);
    expect(await committed(lab, groupId, topic)).toEqual(['2', '1']);
    expect(await lab.values(dead)).toEqual([]);
  });
});
