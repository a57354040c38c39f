import type { KafkaCluster } from '@resil/testbed';
import { type AdapterFault, describeAdapterContract } from '@resil/testing';
import type { Kafka, Producer, ProducerConfig } from 'kafkajs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { fileStore, type KafkaOptions, outbox, resilient } from '../src/index.js';
import { describeKafka } from './cluster.js';
import { API, WatchedSockets } from './sockets.js';

const TOPIC = 'contract';
/**
 * One attempt each, so that the retries are ours. kafkajs gives up on an answer after a second, which is
 * the failure; a timeout of the suite cuts a call long before.
 */
const CLIENT = { retry: { retries: 0 }, requestTimeout: 1_000 };

/** A client and a producer of it. */
interface Made {
  readonly kafka: Kafka;
  readonly sockets: WatchedSockets;
  producer: Producer;
  /** Connected, and its topic known: what is tested is a send, and not how it begins. */
  warm: Promise<void>;
}

/** One broker, whose answers are held back when it is to fail or to hang, and what has left for it. */
class Broker {
  readonly #cluster: KafkaCluster;
  readonly #made: Made[] = [];
  #fault: AdapterFault = 'none';
  #turn: Promise<void> = Promise.resolve();

  constructor(cluster: KafkaCluster) {
    this.#cluster = cluster;
  }

  async make(): Promise<Made> {
    const sockets = new WatchedSockets();
    const kafka = this.#cluster.client({ ...CLIENT, socketFactory: sockets.factory });
    const producer = kafka.producer({ createPartitioner: () => () => 0 });
    const made = { kafka, sockets, producer, warm: this.warmUp(producer, producer, sockets) };
    await made.warm;
    this.#made.push(made);
    return made;
  }

  /** Connects `producer`, and has `beneath` send something past its protection, which is not counted. */
  warmUp(
    producer: Producer,
    beneath: Producer,
    sockets: WatchedSockets,
    before?: Producer,
  ): Promise<void> {
    return this.#next(async () => {
      await this.#hold(false);
      await before?.disconnect();
      await producer.connect();
      await beneath.send({ topic: TOPIC, messages: [{ value: 'warm' }] });
      sockets.reset();
      await this.#hold(this.#fault !== 'none');
    });
  }

  /** Produce requests of all clients. */
  async received(): Promise<number> {
    await this.#turn;
    return this.#made.reduce((sum, { sockets }) => sum + sockets.count(API.produce), 0);
  }

  failWith(fault: AdapterFault): Promise<void> {
    return this.#next(async () => {
      this.#fault = fault;
      await this.#hold(fault !== 'none');
    });
  }

  async #hold(held: boolean): Promise<void> {
    for (const { proxy } of this.#cluster.nodes) {
      if (held) await proxy.set({ response: { mode: 'stall' } });
      else await proxy.clear();
    }
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

const badOptions: readonly (readonly [object, RegExp])[] = [
  [{ retries: 3 }, /resilient\.retries is not an option/],
  [{ failover: {} }, /resilient\.failover is not an option/],
  [{ hedge: {} }, /resilient\.hedge must be left out/],
  [{ keyBy: 'message' }, /resilient\.keyBy must be one of 'cluster', 'topic'.*'message'/],
  [{ sendContext: 'yes' }, /resilient\.sendContext must be true or false.*'yes'/],
  [{ fallback: {} }, /resilient\.fallback must be .*an outbox/],
  [{ pipeline: 1 }, /resilient\.pipeline must be a function/],
  [{ pipeline: () => undefined, retry: false }, /resilient\.retry must be left out/],
  [{ pipeline: () => undefined, classify: () => 'success', retry: false }, /resilient\.retry/],
  [{ pipeline: () => undefined, bulkhead: {} }, /resilient\.bulkhead must be left out/],
  [
    { pipeline: () => undefined, fallback: outbox({ store: fileStore({ path: 'never-opened' }) }) },
    /resilient\.fallback must be left out/,
  ],
  [{ consumer: 7 }, /resilient\.consumer must be an options object/],
  [{ consumer: { retry: 3 } }, /consumer\.retry must be .*3/],
];

const common = {
  runner: { describe, it, afterAll },
  failWith: (broker: Broker, fault: AdapterFault) => broker.failWith(fault),
  received: (broker: Broker) => broker.received(),
  target: (broker: Broker) => broker.make(),
  release: ({ producer }: Made) => producer.disconnect(),
  call: async ({ producer, warm }: Made, resilience?: object) => {
    await warm;
    const messages = [{ value: 'a' }];
    const answer = await producer.send({
      topic: TOPIC,
      messages,
      ...(resilience && { resilience }),
    });
    return answer.map(({ topicName, partition }) => ({ topicName, partition }));
  },
  // What was sent and not answered says more than that its time was over.
  resilienceError: (error: unknown) => {
    const { code, cause } = error as { code?: unknown; cause?: unknown };
    return code === 'RESIL_OUTCOME_UNKNOWN' ? cause : error;
  },
  badOptions,
};

describeKafka('the contract', { nodes: 1 }, (lab) => {
  let broker: Broker;
  const start = async (): Promise<Broker> => {
    broker = new Broker(lab.cluster);
    return broker;
  };
  beforeAll(() => lab.cluster.createTopic(TOPIC));

  describeAdapterContract<Broker, Made>({
    ...common,
    name: '@resil/kafkajs, producers of a client',
    start,
    stop: () => {},
    resilient: (made, options) => {
      const bare: Producer[] = [];
      const own = new Proxy(Object(made?.kafka) as Kafka, {
        get: (kafka, name) =>
          name === 'producer'
            ? (config: ProducerConfig) => {
                const producer = kafka.producer(config);
                bare.push(producer);
                return producer;
              }
            : Reflect.get(kafka, name),
      });
      const producer = resilient(
        typeof made?.kafka === 'object' ? own : (made as unknown as Kafka),
        options as KafkaOptions,
      ).producer({ createPartitioner: () => () => 0 });
      const [beneath] = bare;
      const { producer: before, sockets } = made;
      const warm = broker.warmUp(producer, beneath as Producer, sockets, before);
      return Object.assign(made, { producer, warm });
    },
  });

  describeAdapterContract<Broker, Made>({
    ...common,
    name: '@resil/kafkajs, a producer that exists',
    start,
    stop: () => {},
    resilient: (made, options) => {
      const producer = resilient(made?.producer ?? made, options as KafkaOptions);
      return Object.assign(made, { producer });
    },
  });
});
