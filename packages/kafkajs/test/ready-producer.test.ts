import type { Producer, ProducerConfig } from 'kafkajs';
import { expect, it } from 'vitest';
import { type KafkaOptions, resilient, transaction } from '../src/index.js';
import { describeKafka, QUICK, rejection, type TestCluster, until } from './cluster.js';

const TINY = { retries: 1, initialRetryTime: 50, maxRetryTime: 100 };
let ids = 0;
const transactional = (): ProducerConfig => {
  ids += 1;
  const transactionalId = `ready-${process.pid}-${ids}`;
  return { idempotent: true, transactionalId, maxInFlightRequests: 1, retry: TINY };
};

async function readyProducer(
  lab: TestCluster,
  options: KafkaOptions = {},
  config: ProducerConfig = {},
): Promise<Producer> {
  const client = lab.cluster.client({ ...QUICK, requestTimeout: 400 });
  const createPartitioner = () => () => 0;
  const producer = resilient(lab.use(client.producer({ createPartitioner, ...config })), options);
  await producer.connect();
  return producer;
}

describeKafka('a producer that was wrapped ready-made', { nodes: 1 }, (lab) => {
  it('is guarded, and tells that an outcome is unknown', async () => {
    const topic = await lab.topic(1);
    const producer = await readyProducer(lab, { attemptTimeout: 300 });
    await producer.send({ topic, messages: [{ value: 'a' }] });
    await lab.cluster.node(1).pause();
    const error = await rejection(producer.send({ topic, messages: [{ value: 'b' }] }));
    expect(error.code).toBe('RESIL_OUTCOME_UNKNOWN');
    await lab.cluster.node(1).resume();
    await until(async () => (await lab.values(topic)).includes('b'));
    expect(new Set(await lab.values(topic))).toEqual(new Set(['a', 'b']));
  });

  it('never sends what was withdrawn before its turn, if it is idempotent', async () => {
    const topic = await lab.topic(1);
    const producer = await readyProducer(lab, { attemptTimeout: 300 }, { idempotent: true });
    await producer.send({ topic, messages: [{ value: 'first' }] });
    await lab.cluster.node(1).pause();
    const [sent, waiting] = await Promise.all([
      rejection(producer.send({ topic, messages: [{ value: 'sent' }] })),
      rejection(producer.send({ topic, messages: [{ value: 'behind it' }] })),
    ]);
    expect([sent.code, waiting.code]).toEqual(['RESIL_OUTCOME_UNKNOWN', 'RESIL_TIMEOUT']);
    await lab.cluster.node(1).resume();
    // kafkajs goes on with what it has begun; its turn comes first.
    await until(() =>
      producer.send({ topic, messages: [{ value: 'last' }] }).then(
        () => true,
        () => false,
      ),
    );
    const values = await lab.values(topic);
    expect(values.slice(0, 2)).toEqual(['first', 'sent']);
    expect(values).not.toContain('behind it');
    expect(values.at(-1)).toBe('last');
  });

  it('refuses what it could lose after an outcome that is unknown, if it is idempotent', async () => {
    const topic = await lab.topic(1);
    const producer = await readyProducer(lab, {}, { idempotent: true, retry: TINY });
    const send = (value: string) => producer.send({ topic, messages: [{ value }] });
    await send('first');
    await lab.cluster.node(1).pause();
    const late = await rejection(send('unknown'));
    expect(late.name).toMatch(/^KafkaJS/);
    await lab.cluster.node(1).resume();
    const refused = await rejection(send('could be lost'));
    expect(refused).toMatchObject({ code: 'RESIL_PRODUCER_SPENT', refusal: true, cause: late });
    await until(async () => (await lab.values(topic)).includes('unknown'));
    expect(await lab.values(topic)).not.toContain('could be lost');
  });

  it('has guarded transactions, all or nothing', async () => {
    const topic = await lab.topic(1);
    const producer = await readyProducer(lab, {}, transactional());
    await transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'a' }, { value: 'b' }] });
      await tx.sendBatch({ topicMessages: [{ topic, messages: [{ value: 'c' }] }] });
    });
    const tx = await producer.transaction();
    await tx.send({ topic, messages: [{ value: 'd' }] });
    await rejection(tx.send({ topic: 'nobody-made-it', messages: [{ value: 'e' }] }));
    expect(await rejection(tx.commit())).toMatchObject({ code: 'RESIL_TRANSACTION_FAILED' });
    expect(await lab.values(topic)).toEqual(['a', 'b', 'c']);
  });

  it('says that the outcome of a commit is unknown, and refuses another transaction', async () => {
    const topic = await lab.topic(1);
    const producer = await readyProducer(lab, {}, transactional());
    let runs = 0;
    const failed = transaction(producer, async (tx) => {
      runs += 1;
      await tx.send({ topic, messages: [{ value: 'a' }] });
      // The coordinator is found (its address is told), then nothing is answered any more.
      const cut = { direction: 'response', afterPattern: '127.0.0.1', afterBytes: 4 } as const;
      await lab.cluster.node(1).proxy.set({ cut: { ...cut, by: 'black-hole' } });
    });
    expect(await rejection(failed)).toMatchObject({ code: 'RESIL_OUTCOME_UNKNOWN' });
    await lab.cluster.node(1).proxy.clear();
    lab.cluster.node(1).proxy.resetConnections();
    expect(runs).toBe(1);
    expect(await rejection(producer.transaction())).toMatchObject({ code: 'RESIL_PRODUCER_SPENT' });
  });
});
