/** What the tests of consumers share: a consumer of a resilient Kafka, and what happens to it. */
import type { Consumer, ConsumerRunConfig, EachMessageHandler } from 'kafkajs';
import { type ConsumerOptions, type GivenUpMessage, resilient } from '../src/index.js';
import { QUICK, type TestCluster } from './cluster.js';

export interface Started {
  readonly consumer: Consumer;
  readonly groupId: string;
  readonly crashes: { restart: boolean }[];
  /** How often it has joined its group. */
  joins(): number;
  readonly givenUp: GivenUpMessage[];
}

let groups = 0;

export async function consume(
  lab: TestCluster,
  topic: string | RegExp | string[],
  handler: EachMessageHandler | ConsumerRunConfig,
  options: ConsumerOptions = {},
  config: {
    groupId?: string;
    sessionTimeout?: number;
    heartbeatInterval?: number;
    maxWaitTimeInMs?: number;
  } = {},
): Promise<Started> {
  groups += 1;
  const groupId = config.groupId ?? `group-${process.pid}-${groups}`;
  const givenUp: GivenUpMessage[] = [];
  const kafka = resilient(lab.cluster.client(QUICK), {
    consumer: {
      retry: { maxAttempts: 3, baseDelay: 10, maxDelay: 20 },
      heartbeatInterval: 200,
      onGivenUp: (message) => givenUp.push(message),
      ...options,
    },
  });
  const consumer = lab.use(kafka.consumer({ maxWaitTimeInMs: 100, ...config, groupId }));
  let joins = 0;
  const started: Started = { consumer, groupId, crashes: [], joins: () => joins, givenUp };
  consumer.on('consumer.crash', ({ payload }) => {
    if (!isCold(payload.error)) started.crashes.push(payload);
  });
  consumer.on('consumer.group_join', () => {
    joins += 1;
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic].flat(), fromBeginning: true });
  await consumer.run(typeof handler === 'function' ? { eachMessage: handler } : handler);
  return started;
}

export async function fill(
  lab: TestCluster,
  topic: string,
  values: readonly string[],
): Promise<void> {
  const producer = await lab.producer();
  await producer.send({ topic, messages: values.map((value) => ({ key: 'k', value })) });
}

/** The offsets that a group has committed, by partition. */
export async function committed(
  lab: TestCluster,
  groupId: string,
  topic: string,
): Promise<string[]> {
  return lab.cluster.withAdmin(async (admin) => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const partitions = [...(found?.partitions ?? [])].sort((a, b) => a.partition - b.partition);
    return partitions.map(({ offset }) => offset);
  });
}

/** The first consumer of a new cluster finds its coordinator still loading. */
export const isCold = (error: unknown): boolean =>
  (error as { type?: string }).type === 'GROUP_LOAD_IN_PROGRESS';
export const numbers = (count: number) =>
  Array.from({ length: count }, (_, index) => String(index));
