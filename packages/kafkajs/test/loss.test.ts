import { expect, it } from 'vitest';
import { compare, describeKafka, QUICK, rejection, type TestCluster } from './cluster.js';

const PARTITIONS = 6;
const SENDS = 200;

/** 200 sends of one message for each partition, in flight when the leader of a third of them dies. */
async function stallAndKill(
  lab: TestCluster,
  topic: string,
  send: (index: number) => Promise<unknown>,
): Promise<{ resolved: number[]; rejected: unknown[] }> {
  const victim = lab.cluster.node(2);
  await send(-1);
  await victim.pause();
  const sends = Array.from({ length: SENDS }, (_, index) => send(index));
  const settled = Promise.allSettled(sends);
  await new Promise((done) => setTimeout(done, 800));
  await victim.kill();
  const outcomes = await settled;
  await victim.start();
  await lab.cluster.ready([topic]);
  return {
    resolved: outcomes.flatMap((one, index) => (one.status === 'fulfilled' ? [index] : [])),
    rejected: outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])),
  };
}

const messagesOf = (index: number) =>
  Array.from({ length: PARTITIONS }, (_, i) => ({ value: `${index}/${i}` }));
const valuesOf = (indices: readonly number[]) =>
  [-1, ...indices].flatMap((index) => messagesOf(index).map(({ value }) => value));
/** Others wait for the stalled broker as a follower: that is no reason to send again. */
const STEADY = { ...QUICK, requestTimeout: 20_000 };
const PATIENT = { totalTimeout: 60_000, attemptTimeout: 60_000 };

describeKafka('a broker stalls with 200 sends in flight and is killed', { nodes: 3 }, (lab) => {
  it('bare kafkajs resolves sends that were never written', async () => {
    const topic = await lab.topic(PARTITIONS);
    const producer = lab.use(
      lab.cluster.client(QUICK).producer({
        createPartitioner:
          () =>
          ({ message }) =>
            message.partition as number,
      }),
    );
    await producer.connect();
    const { resolved } = await stallAndKill(lab, topic, (index) =>
      producer.send({
        topic,
        messages: messagesOf(index).map((m, partition) => ({ ...m, partition })),
      }),
    );
    const { missing } = compare(valuesOf(resolved), await lab.values(topic));
    console.log(
      `bare: ${resolved.length} of ${SENDS} sends resolved, ${missing} of their messages missing`,
    );
    expect(missing).toBeGreaterThan(0);
  });

  it.each([
    ['un-keyed', false],
    ['un-keyed', true],
    ['keyed', true],
  ] as const)(
    'loses nothing: %s, idempotent: %s',
    { timeout: 120_000 },
    async (kind, idempotent) => {
      const topic = await lab.topic(PARTITIONS);
      const producer = await lab.producer(PATIENT, { idempotent }, STEADY);
      const { resolved, rejected } = await stallAndKill(lab, topic, (index) =>
        producer.send({
          topic,
          messages: messagesOf(index).map((m, i) =>
            kind === 'keyed' ? { ...m, key: `k${index}-${i}` } : m,
          ),
        }),
      );
      expect(rejected).toEqual([]);
      const { missing, doubled } = compare(valuesOf(resolved), await lab.values(topic));
      console.log(
        `${kind}, idempotent ${idempotent}: ${resolved.length} sends resolved, ${missing} missing, ${doubled} doubled`,
      );
      expect(missing).toBe(0);
      if (idempotent) expect(doubled).toBe(0);
    },
  );

  it('loses nothing in batches over several topics', async () => {
    const topics = [await lab.topic(2), await lab.topic(2), await lab.topic(2)];
    const producer = await lab.producer(PATIENT, { idempotent: true }, STEADY);
    const { resolved } = await stallAndKill(lab, topics[0] as string, (index) =>
      producer.sendBatch({
        topicMessages: topics.map((topic) => ({
          topic,
          messages: messagesOf(index).map((m) => ({ ...m, key: 'one' })),
        })),
      }),
    );
    for (const topic of topics) {
      expect(compare(valuesOf(resolved), await lab.values(topic))).toEqual({
        missing: 0,
        doubled: 0,
      });
    }
  });

  it('refuses a partition that does not exist', async () => {
    const topic = await lab.topic(2);
    const producer = await lab.producer();
    const send = (partition: number) =>
      producer.send({
        topic,
        messages: [
          { value: 'a', partition },
          { value: 'b', partition: 0 },
        ],
      });
    const error = await rejection(send(99));
    expect(error).toMatchObject({ code: 'RESIL_UNKNOWN_PARTITION', topic, partition: 99 });
    await lab.cluster.withAdmin((admin) =>
      admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }),
    );
    const metadata = await send(2);
    expect(metadata.map(({ partition }) => partition).sort()).toEqual([0, 2]);
  });
});

describeKafka('an answer is lost', { nodes: 1 }, (lab) => {
  it.each([true, false])('nothing is, idempotent: %s', async (idempotent) => {
    const topic = await lab.topic(1);
    const producer = await lab.producer(PATIENT, { idempotent }, STEADY);
    const sent: string[] = [];
    const send = async (value: string): Promise<void> => {
      await producer.send({ topic, messages: [{ value }] });
      sent.push(value);
    };
    await send('first');
    for (let round = 0; round < 5; round += 1) {
      // Delivered, and not answered.
      await lab.cluster.node(1).proxy.set({ cut: { direction: 'response', afterBytes: 0 } });
      const sends = Array.from({ length: 8 }, (_, i) => send(`${round}/${i}`));
      await new Promise((done) => setTimeout(done, 50));
      await lab.cluster.node(1).proxy.clear();
      await Promise.all(sends);
    }
    const { missing, doubled } = compare(sent, await lab.values(topic));
    expect(sent).toHaveLength(41);
    expect(missing).toBe(0);
    if (idempotent) expect(doubled).toBe(0);
  });
});
