/** SIGKILL and restart of one of three brokers under load, round after round: bare kafkajs beside the wrapped one. */
import type { Message, Producer } from 'kafkajs';
import { expect, it } from 'vitest';
import { compare, describeKafka, QUICK, type TestCluster } from '../cluster.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 14);
const SENDERS = 12;
const BATCH = 7;
const CLIENT = { ...QUICK, requestTimeout: 20_000 };
const PATIENT = { totalTimeout: 60_000, attemptTimeout: 60_000 };

async function soak(lab: TestCluster, make: () => Promise<Producer>, keyed: boolean) {
  const topic = await lab.topic(6);
  const producer = await make();
  const resolved: string[] = [];
  let sends = 0;
  let rejected = 0;
  let stop = false;
  const sender = async (id: number): Promise<void> => {
    for (let i = 0; !stop; i += 1) {
      const values = Array.from({ length: BATCH }, (_, part) => `${id}/${i}/${part}`);
      const messages = values.map((value): Message => (keyed ? { key: value, value } : { value }));
      sends += 1;
      await producer.send({ topic, messages }).then(
        () => resolved.push(...values),
        () => {
          rejected += 1;
        },
      );
    }
  };
  const senders = Array.from({ length: SENDERS }, (_, id) => sender(id));
  for (let round = 0; round < ROUNDS; round += 1) {
    const node = lab.cluster.node((round % 3) + 1);
    await new Promise((done) => setTimeout(done, 1_000));
    await node.kill();
    await new Promise((done) => setTimeout(done, 5_000));
    await node.start();
    await lab.cluster.ready([topic]);
  }
  stop = true;
  await Promise.all(senders);
  const outcome = compare(resolved, await lab.values(topic));
  return { sends, rejected, messages: resolved.length, ...outcome };
}

describeKafka(`${ROUNDS} rounds of SIGKILL and restart`, { nodes: 3 }, (lab) => {
  const rows: Record<string, object> = {};

  it.each([
    ['un-keyed', false, false],
    ['keyed', true, false],
    ['un-keyed, idempotent', false, true],
    ['keyed, idempotent', true, true],
  ] as const)('%s', async (name, keyed, idempotent) => {
    rows[`bare ${name}`] = await soak(
      lab,
      async () => {
        const { Partitioners } = await import('kafkajs');
        const createPartitioner = Partitioners.DefaultPartitioner;
        const config = {
          idempotent,
          createPartitioner,
          ...(idempotent && { maxInFlightRequests: 1 }),
        };
        const producer = lab.use(lab.cluster.client(CLIENT).producer(config));
        await producer.connect();
        return producer;
      },
      keyed,
    );
    const wrapped = await soak(lab, () => lab.producer(PATIENT, { idempotent }, CLIENT), keyed);
    rows[`wrapped ${name}`] = wrapped;
    console.table(rows);
    expect(wrapped.missing).toBe(0);
    if (idempotent) expect(wrapped.doubled).toBe(0);
  });
});
