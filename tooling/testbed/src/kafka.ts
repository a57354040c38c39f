/**
 * A Kafka cluster of one's own: Apache Kafka itself in KRaft mode, one node or three, each in a
 * process that can be killed, frozen and started again, behind a fault proxy.
 *
 * Where it comes from: `KAFKA_BROKERS` if set (then nothing can be killed), else Docker if an engine
 * answers, else Java and Maven.
 *
 * Nothing survives the process that started it, however that ends: neither nodes nor their folder.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Admin, Kafka, type KafkaConfig, type KafkaMessage, logLevel } from 'kafkajs';
import { freePorts } from './free-ports.js';
import { KafkaNode, type KafkaPorts } from './kafka-node.js';
import { KafkaUnavailableError, kafkaVersion } from './kafka-process.js';
import { kafkaRuntime } from './kafka-runtime.js';
import { readTopic } from './kafka-topic.js';
import { FolderOnLeash } from './leash.js';

/** What a cluster can be started with. */
export interface KafkaOptions {
  /** Nodes: one, or three with replication factor 3 and `min.insync.replicas` 2. Default: 1. */
  readonly nodes?: 1 | 3;
  /** More settings, as in `server.properties`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Told what is being done where it may take a while. Default: nobody. */
  readonly onProgress?: (message: string) => void;
}

/** Longest wait for the nodes to find each other, in ms: ten times what an idle machine needs. */
const START_TIMEOUT = 120_000;

/** Starts a cluster and gives it back when all its nodes take part. Throws `KafkaUnavailableError` where there can be none. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const given = process.env.KAFKA_BROKERS;
  if (given !== undefined && given !== '') return new KafkaCluster(given.split(','), [], undefined);
  const progress = options.onProgress ?? (() => {});
  const runtime = await kafkaRuntime(progress);
  const count = options.nodes ?? 1;
  progress(`starting Apache Kafka ${kafkaVersion} (${count} node${count === 1 ? '' : 's'})`);
  const leash = new FolderOnLeash(await mkdtemp(join(tmpdir(), 'resil-kafka-')));
  const ports = await portsOf(count);
  const voters = ports.map(({ controller }, i) => `${i + 1}@127.0.0.1:${controller}`).join(',');
  const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'k');
  const made = await Promise.allSettled(
    ports.map((own, index) =>
      KafkaNode.create({
        id: index + 1,
        runtime,
        clusterId,
        folder: join(leash.folder, `node-${index + 1}`),
        ports: own,
        voters,
        settings: { ...settingsFor(count), ...options.settings },
      }),
    ),
  );
  const nodes = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const cluster = new KafkaCluster(
    nodes.map((node) => node.address),
    nodes,
    leash,
  );
  try {
    for (const one of made) if (one.status === 'rejected') throw one.reason;
    await Promise.all(nodes.map((node) => node.start()));
    await cluster.ready();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

/** A running cluster. `close()` it at the end. */
export class KafkaCluster {
  /** Addresses for `new Kafka({ brokers })`: the proxies. */
  readonly brokers: string[];
  /** The nodes, in the order of their ids; none if the cluster is somebody else's. */
  readonly nodes: readonly KafkaNode[];
  readonly #leash: FolderOnLeash | undefined;

  /** Use {@link startKafka}. */
  constructor(brokers: string[], nodes: readonly KafkaNode[], leash: FolderOnLeash | undefined) {
    this.brokers = brokers;
    this.nodes = nodes;
    this.#leash = leash;
  }

  /** The node with this id. */
  node(id: number): KafkaNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`the cluster has no node ${id} of ours`);
    return found;
  }

  /** A bare client that says nothing on the console. */
  client(config: Partial<KafkaConfig> = {}): Kafka {
    return new Kafka({ brokers: this.brokers, logLevel: logLevel.NOTHING, ...config });
  }

  /** Waits until every node that runs takes part, and has caught up with every partition of `topics`. */
  async ready(topics: readonly string[] = []): Promise<void> {
    const running = this.nodes.filter((node) => node.pid !== undefined);
    const deadline = performance.now() + START_TIMEOUT;
    for (;;) {
      for (const node of running) node.check();
      // The others list a node that was killed until its session ends, also one that is not back yet.
      const back = await Promise.all(running.map((node) => listens(node.directAddress)));
      if (back.every(Boolean) && (await this.#complete(running.length, topics))) return;
      if (performance.now() > deadline) {
        const logs = this.nodes.map((node) => `node ${node.id}:\n${node.log.join('\n')}`);
        throw new KafkaUnavailableError(
          `its nodes did not find each other within ${START_TIMEOUT} ms\n${logs.join('\n')}`,
        );
      }
      await sleep(100);
    }
  }

  /** Makes a topic, replicated as the cluster allows, and waits until each partition has its leader. */
  async createTopic(
    topic: string,
    partitions = 1,
    configEntries: { name: string; value: string }[] = [],
  ): Promise<void> {
    await this.withAdmin(async (admin) => {
      await admin.createTopics({
        topics: [{ topic, numPartitions: partitions, replicationFactor: -1, configEntries }],
        // It would fail where the broker that is asked has not heard of the topic yet.
        waitForLeaders: false,
      });
    });
    await this.ready([topic]);
  }

  /** Runs something with an admin client of its own. */
  async withAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.client({ retry: { retries: 8, initialRetryTime: 100 } }).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Everything in a topic, committed messages only, by partition and in order. Waits until it is whole. */
  async read(topic: string): Promise<Map<number, KafkaMessage[]>> {
    await this.ready([topic]);
    return readTopic(this.client(), topic);
  }

  /** Starts every node that is down, lets frozen ones go on, takes the faults off the proxies, and waits. */
  async heal(topics: readonly string[] = []): Promise<void> {
    for (const node of this.nodes) {
      await node.proxy.clear();
      await node.resume();
      await node.start();
    }
    await this.ready(topics);
  }

  /** Kills it for good and removes its data. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.#leash?.remove();
  }

  async #complete(count: number, topics: readonly string[]): Promise<boolean> {
    const brokers = this.nodes.filter((n) => n.pid !== undefined).map((n) => n.directAddress);
    const retry = { retries: 0 };
    const admin = this.client({
      ...(brokers.length > 0 && { brokers }),
      retry,
      requestTimeout: 1_000,
    }).admin();
    try {
      await admin.connect();
      const told = await admin.describeCluster();
      if (told.brokers.length < count) return false;
      if (topics.length === 0) return true;
      const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
      return found.every(({ partitions }) =>
        partitions.every(
          ({ isr, replicas, leader }) =>
            leader >= 0 && isr.length >= Math.min(replicas.length, count),
        ),
      );
    } catch {
      return false;
    } finally {
      await admin.disconnect().catch(() => {});
    }
  }
}

async function listens(address: string): Promise<boolean> {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy());
}

function settingsFor(nodes: 1 | 3): Record<string, string | number | boolean> {
  const inSync = nodes === 3 ? 2 : 1;
  return {
    'default.replication.factor': nodes,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': nodes,
    'offsets.topic.num.partitions': 3,
    'transaction.state.log.replication.factor': nodes,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 3,
    'auto.create.topics.enable': false,
    // A dead node is noticed within seconds, not within ten.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    'controller.quorum.election.timeout.ms': 500,
    'controller.quorum.election.backoff.max.ms': 500,
    'controller.quorum.fetch.timeout.ms': 1_000,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 500,
    // Little memory and few threads.
    'log.cleaner.dedupe.buffer.size': 2_097_152,
    'num.network.threads': 2,
    'num.io.threads': 3,
    'background.threads': 2,
  };
}

/** Three for each node. */
async function portsOf(nodes: number): Promise<KafkaPorts[]> {
  const ports = await freePorts(nodes * 3);
  return Array.from({ length: nodes }, (_, index) => ({
    client: ports[index * 3] as number,
    broker: ports[index * 3 + 1] as number,
    controller: ports[index * 3 + 2] as number,
  }));
}
