/**
 * Two ways to lose nothing, and what they cost while nothing fails: one send per partition, as the
 * wrapped producer does it, beside one send whose answer is compared, so that only what it lacks is
 * sent again. The second is written here as short as it can be; an idempotent producer needs it one
 * send at a time.
 */
import { type Message, Partitioners, type Producer, type ProducerConfig } from 'kafkajs';
import { expect, it } from 'vitest';
import { describeKafka, type TestCluster } from '../cluster.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 3);
const SENDERS = 10;
const BATCH = 60;
/** Of a round, in ms. */
const DURATION = 3_000;

type Send = (topic: string, messages: Message[]) => Promise<unknown>;

/** Partitions are assigned once, so that it is known which ones an answer lacks. */
function resending(make: (config: ProducerConfig) => Producer, idempotent: boolean) {
  const assigned = new WeakMap<Message, number>();
  const producer = make({
    idempotent,
    createPartitioner: () => {
      const partition = Partitioners.DefaultPartitioner();
      return (args) => {
        const known = assigned.get(args.message) ?? partition(args);
        assigned.set(args.message, known);
        return known;
      };
    },
  });
  let last: Promise<unknown> = Promise.resolve();
  const send: Send = async (topic, messages) => {
    let left = messages;
    while (left.length > 0) {
      const answer = await producer.send({ topic, messages: left });
      const there = new Set(answer.map(({ partition }) => partition));
      left = left.filter((message) => !there.has(assigned.get(message) as number));
    }
  };
  const inTurn: Send = (topic, messages) => {
    last = last.then(() => send(topic, messages));
    return last;
  };
  return { producer, send: idempotent ? inTurn : send };
}

async function contenders(lab: TestCluster, idempotent: boolean): Promise<Record<string, Send>> {
  const make = (config: ProducerConfig) => lab.use(lab.cluster.client().producer(config));
  const createPartitioner = Partitioners.DefaultPartitioner;
  const bare = make({ idempotent, createPartitioner });
  const again = resending(make, idempotent);
  await bare.connect();
  await again.producer.connect();
  const wrapped = await lab.producer({}, { idempotent }, {});
  return {
    bare: (topic, messages) => bare.send({ topic, messages }),
    'one send per partition (wrapped)': (topic, messages) => wrapped.send({ topic, messages }),
    'what an answer lacks is sent again': again.send,
  };
}

/** Sends per second. */
async function measure(topic: string, send: Send): Promise<number> {
  const began = performance.now();
  let sends = 0;
  const sender = async (): Promise<void> => {
    while (performance.now() - began < DURATION) {
      const messages = Array.from({ length: BATCH }, (): Message => ({ value: 'x'.repeat(200) }));
      await send(topic, messages);
      sends += 1;
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  return (sends * 1_000) / (performance.now() - began);
}

describeKafka(`${SENDERS} senders of ${BATCH} messages over 6 partitions`, { nodes: 3 }, (lab) => {
  it.each([false, true])('sends per second, idempotent: %s', async (idempotent) => {
    const topic = await lab.topic(6);
    const all = Object.entries(await contenders(lab, idempotent));
    const rates = new Map<string, number[]>(all.map(([name]) => [name, []]));
    for (const [, send] of all) await measure(topic, send);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, send] of all) rates.get(name)?.push(await measure(topic, send));
    }
    const rows = [...rates].map(([name, each]) => {
      const sorted = [...each].sort((a, b) => a - b);
      const rounded = sorted.map((rate) => Math.round(rate));
      return { name, median: rounded[Math.floor(rounded.length / 2)], each: rounded.join(' ') };
    });
    console.table(rows);
    expect(rows.every(({ median }) => (median ?? 0) > 0)).toBe(true);
  });
});
