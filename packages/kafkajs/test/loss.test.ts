import type { Kafka } from 'kafkajs';
import { expect, it } from 'vitest';
import { resilient, rootOf } from '../src/index.js';
import { compare, describeKafka, QUICK, rejection, type TestCluster, until } from './cluster.js';
import { cutAnswers, messagesOf, stallAndKill, Tally } from './faults.js';
import { WatchedSockets } from './sockets.js';

const PARTITIONS = 6;

/** Others wait for the stalled broker as a follower: that is no reason to send again. */
const STEADY = { ...QUICK, requestTimeout: 20_000 };
const PATIENT = { totalTimeout: 60_000, attemptTimeout: 60_000 };

/** 200 sends in flight when the leader of a third of the partitions stalls and dies. */
async function stalled(
  lab: TestCluster,
  topic: string,
  send: (name: string) => Promise<unknown>,
): Promise<Tally> {
  const tally = new Tally();
  const counted = (name: string) =>
    tally.count(
      messagesOf(name, PARTITIONS, false).map(({ value }) => String(value)),
      send(name),
    );
  await counted('first');
  await stallAndKill(lab, [topic], () =>
    Array.from({ length: 200 }, (_, index) => counted(String(index))),
  );
  return tally;
}

describeKafka('a broker stalls with 200 sends in flight and is killed', { nodes: 3 }, (lab) => {
  it('bare kafkajs resolves sends that were never written', async () => {
    const topic = await lab.topic(PARTITIONS);
    const producer = lab.use(
      lab.cluster.client(STEADY).producer({
        createPartitioner:
          () =>
          ({ message }) =>
            message.partition as number,
      }),
    );
    await producer.connect();
    const send = (name: string) =>
      producer.send({
        topic,
        messages: messagesOf(name, PARTITIONS, false).map((m, partition) => ({ ...m, partition })),
      });
    const tally = await stalled(lab, topic, send);
    const { missing } = compare(tally.values, await lab.values(topic));
    console.log(
      `bare: ${tally.sends - tally.errors.length} of ${tally.sends} sends resolved, ${missing} of their ${tally.values.length} messages missing`,
    );
    expect(missing).toBeGreaterThan(0);
  });

  it.each([
    ['un-keyed', false],
    ['un-keyed', true],
    ['keyed', true],
  ] as const)('loses nothing: %s, idempotent: %s', async (kind, idempotent) => {
    const topic = await lab.topic(PARTITIONS);
    const producer = await lab.producer(PATIENT, { idempotent }, STEADY);
    const send = (name: string) =>
      producer.send({ topic, messages: messagesOf(name, PARTITIONS, kind === 'keyed') });
    const tally = await stalled(lab, topic, send);
    expect(tally.errors).toEqual([]);
    const { missing, doubled } = compare(tally.values, await lab.values(topic));
    console.log(
      `${kind}, idempotent ${idempotent}: ${tally.sends} sends resolved, ${missing} of their ${tally.values.length} messages missing, ${doubled} doubled`,
    );
    expect(missing).toBe(0);
    if (idempotent) expect(doubled).toBe(0);
  });

  it('loses nothing in batches over several topics', async () => {
    const topics = [await lab.topic(2), await lab.topic(2), await lab.topic(2)];
    const producer = await lab.producer(PATIENT, { idempotent: true }, STEADY);
    const send = (name: string) => {
      const messages = messagesOf(name, PARTITIONS, false).map((m) => ({ ...m, key: 'one' }));
      return producer.sendBatch({ topicMessages: topics.map((topic) => ({ topic, messages })) });
    };
    const tally = await stalled(lab, topics[0] as string, send);
    for (const topic of topics) {
      expect(compare(tally.values, await lab.values(topic))).toEqual({ missing: 0, doubled: 0 });
    }
  });

  it('does not storm the brokers that are left, when they are too few to write', async () => {
    const topic = await lab.topic(1, [{ name: 'min.insync.replicas', value: '3' }]);
    await lab.cluster.withAdmin(async (admin) => {
      const replicas = async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        return topics[0]?.partitions[0];
      };
      const leader = (await replicas())?.leader;
      await lab.cluster.node(leader === 2 ? 3 : 2).kill();
      await until(async () => (await replicas())?.isr.length === 2);
    });
    const retry = { retries: 3, initialRetryTime: 50, maxRetryTime: 100 };
    const count = async (make: (kafka: Kafka) => Kafka): Promise<number> => {
      const sockets = new WatchedSockets();
      const client = lab.cluster.client({ ...QUICK, retry, socketFactory: sockets.factory });
      const producer = lab.use(make(client).producer());
      await producer.connect();
      const send = () => rejection(producer.send({ topic, messages: [{ value: 'x' }] }));
      expect(rootOf(await send())).toMatchObject({ type: 'NOT_ENOUGH_REPLICAS' });
      const before = sockets.requests;
      await Promise.all(Array.from({ length: 100 }, send));
      return sockets.requests - before;
    };
    const storm = await count((kafka) => kafka);
    const calm = await count((kafka) => resilient(kafka));
    console.log(`100 sends, NOT_ENOUGH_REPLICAS: ${storm} requests bare, ${calm} wrapped`);
    expect(calm * 5).toBeLessThan(storm);
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
      await cutAnswers(lab, () => Array.from({ length: 8 }, (_, i) => send(`${round}/${i}`)));
    }
    const { missing, doubled } = compare(sent, await lab.values(topic));
    expect(sent).toHaveLength(41);
    expect(missing).toBe(0);
    if (idempotent) expect(doubled).toBe(0);
  });
});
