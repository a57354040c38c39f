/** What the tests on a real cluster share: one cluster per file, clients that are closed, and looks at topics from outside. */
import {
  type KafkaOptions as ClusterOptions,
  describeWithKafka,
  type KafkaCluster,
  kafkaMissing,
  startKafka,
} from '@resil/testbed';
import type { KafkaConfig, KafkaMessage, Producer } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import { type KafkaOptions, resilient } from '../src/index.js';

const missing = await kafkaMissing();

/** A suite that needs a broker. */
export function describeKafka(
  name: string,
  options: ClusterOptions,
  body: (cluster: TestCluster) => void,
): void {
  describeWithKafka({ describe, it }, missing, name, () => body(new TestCluster(options)));
}

/** Quick retries, so that no test waits for nothing. */
export const QUICK: Partial<KafkaConfig> = {
  connectionTimeout: 1_000,
  requestTimeout: 2_000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 20 },
};

/** A cluster for the tests of one file. */
export class TestCluster {
  cluster!: KafkaCluster;
  readonly #clients: { disconnect(): Promise<void> }[] = [];
  #topics = 0;
  readonly #used: string[] = [];

  constructor(options: ClusterOptions) {
    beforeAll(async () => {
      this.cluster = await startKafka(options);
    }, 240_000);
    afterEach(async () => {
      await this.cluster.heal();
      for (const client of this.#clients.splice(0)) {
        // A test that failed may leave a handler behind that never ends.
        const patience = new Promise((done) => setTimeout(done, 10_000));
        await Promise.race([client.disconnect().catch(() => {}), patience]);
      }
    }, 240_000);
    afterAll(() => this.cluster?.close(), 60_000);
  }

  /** A new topic. */
  async topic(partitions = 1, config: { name: string; value: string }[] = []): Promise<string> {
    this.#topics += 1;
    const topic = `topic-${process.pid}-${this.#topics}`;
    await this.cluster.createTopic(topic, partitions, config);
    this.#used.push(topic);
    return topic;
  }

  /** Closed after the test. */
  use<T extends { disconnect(): Promise<void> }>(client: T): T {
    this.#clients.push(client);
    return client;
  }

  /** A connected producer of a resilient client. */
  async producer(
    options: KafkaOptions = {},
    config: Parameters<ReturnType<KafkaCluster['client']>['producer']>[0] = {},
    client: Partial<KafkaConfig> = QUICK,
  ): Promise<Producer> {
    const kafka = resilient(this.cluster.client(client), options);
    const producer = this.use(kafka.producer(config));
    await producer.connect();
    return producer;
  }

  /** Everything in a topic, committed messages only, partition by partition. */
  read(topic: string): Promise<Map<number, KafkaMessage[]>> {
    return this.cluster.read(topic);
  }

  /** The values in a topic. */
  async values(topic: string): Promise<string[]> {
    const all = await this.read(topic);
    return [...all.values()].flat().map(({ value }) => String(value));
  }
}

/** How many of the values are missing, and how many are there more than once. */
export function compare(
  expected: readonly string[],
  found: readonly string[],
): { missing: number; doubled: number } {
  const counts = new Map<string, number>();
  for (const value of found) counts.set(value, (counts.get(value) ?? 0) + 1);
  return {
    missing: expected.filter((value) => !counts.has(value)).length,
    doubled: [...counts.values()].reduce((sum, count) => sum + count - 1, 0),
  };
}

/** Waits until something has come true. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 4_000; tries += 1) {
    if (await condition()) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`it did not come true: ${condition}`);
}

/** What a promise is rejected with. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; cause?: unknown }> {
  const failed = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  if ('error' in failed) return failed.error;
  throw new Error(`it was fulfilled with ${JSON.stringify(failed.value)}`);
}
