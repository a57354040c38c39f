/**
 * A shop sends its orders to Kafka while the broker freezes and comes back, and a billing service
 * handles them, one of which it can't handle. By plain kafkajs and by a resilient client, side by
 * side.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startKafka } from '@resil/testbed';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import { shopKafka } from './clients.js';

const ORDERS = 40;
/** Milliseconds that a customer waits for an order to be taken. */
const PATIENCE = 1_000;

/** Customers come one after the other, whether those before them were served or not. */
async function sell(producer: Producer, topic: string, phase: string): Promise<string> {
  let taken = 0;
  let slowest = 0;
  const customer = async (number: number): Promise<void> => {
    const since = performance.now();
    const value = number === 7 ? 'not an order' : `order ${number}`;
    const sent = producer
      .send({ topic, messages: [{ key: `${phase} ${number}`, value }] })
      .then(() => 'taken');
    const outcome = await Promise.race([sent.catch(() => 'failed'), pause(PATIENCE, 'waiting')]);
    if (outcome === 'taken') taken += 1;
    slowest = Math.max(slowest, performance.now() - since);
  };
  const customers: Promise<void>[] = [];
  for (let number = 0; number < ORDERS; number += 1) {
    customers.push(customer(number));
    await pause(5);
  }
  await Promise.all(customers);
  const time = `${Math.ceil(slowest / 500) * 500} ms at most`;
  return `${taken} of ${ORDERS} orders taken (${time})`;
}

function row(...cells: readonly string[]): string {
  const [name = '', left = '', right = ''] = cells;
  return `${name.padEnd(20)}${left.padEnd(44)}${right}`.trimEnd();
}

/** Tells the story, line by line; gives whether every order of the protected shop was billed. */
export async function story(
  print: (lines: string) => void,
  progress: (message: string) => void = () => {},
): Promise<boolean> {
  const cluster = await startKafka({ onProgress: progress });
  const folder = await mkdtemp(join(tmpdir(), 'resil-example-'));
  const config = { brokers: cluster.brokers, logLevel: logLevel.NOTHING };
  const node = cluster.nodes[0];

  const { kafka, box } = shopKafka(config, join(folder, 'outbox.log'));

  const plain = new Kafka(config).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  const guarded = kafka.producer({ idempotent: true });
  for (const topic of ['plain', 'guarded']) await cluster.createTopic(topic, 3);
  for (const producer of [plain, guarded]) await producer.connect();

  print(row('', 'plain kafkajs', 'resilient(kafka)'));
  for (const phase of ['all is well', 'the broker hangs', 'all is well again']) {
    const shown: string[] = [];
    for (const [producer, topic] of [
      [plain, 'plain'],
      [guarded, 'guarded'],
    ] as const) {
      if (phase === 'the broker hangs') await node?.pause();
      shown.push(await sell(producer, topic, phase));
      await node?.resume();
      if (topic === 'guarded') await box.drained();
    }
    print(row(phase, ...shown));
  }

  const billed = new Set<string>();
  const consumer = kafka.consumer({ groupId: 'billing', maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: ['guarded'], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      // A bare consumer would stop for good at this.
      if (!String(message.value).startsWith('order')) throw new TypeError('this is no order');
      billed.add(String(message.key));
    },
  });
  const expected = 3 * (ORDERS - 1);
  for (let tries = 0; billed.size < expected && tries < 600; tries += 1) await pause(50);
  const dead = await cluster.withAdmin((admin) => admin.fetchTopicOffsets('guarded.dlq'));
  const letters = dead.reduce((sum, { high }) => sum + Number(high), 0);
  print(
    `\n${billed.size} orders billed; ${letters >= 3 ? 'what is no order' : 'nothing'} lies in guarded.dlq.`,
  );
  const whole = billed.size === expected && letters >= 3;
  print(whole ? 'Every order of the protected shop was billed.' : 'Orders were lost.');

  await consumer.disconnect();
  for (const producer of [plain, guarded]) await producer.disconnect();
  await cluster.close();
  await rm(folder, { recursive: true, force: true });
  return whole;
}
