/**
 * Which partition a message goes to, decided once, before anything is sent. kafkajs asks its
 * partitioner again on every attempt, so that a message may change its partition between attempts;
 * and it drops, without a word, a message for a partition that doesn't exist.
 *
 * The default is that of kafkajs 2 and of the Java client: murmur2 of the key, else round robin over
 * the partitions that have a leader.
 */
import { type Random, ResilienceError, systemRandom } from '@resil/core';
import type { ICustomPartitioner, Message, PartitionerArgs, PartitionMetadata } from 'kafkajs';

/** A message names a partition that its topic doesn't have. Code `RESIL_UNKNOWN_PARTITION`; nothing was sent. */
export class UnknownPartitionError extends ResilienceError {
  readonly topic: string;
  readonly partition: unknown;

  constructor(topic: string, partition: unknown, count: number) {
    super(
      'RESIL_UNKNOWN_PARTITION',
      `topic '${topic}' has no partition ${String(partition)}; it has ${count}`,
      { strategy: 'partitioner', refusal: true },
    );
    this.topic = topic;
    this.partition = partition;
  }
}

/** Most topics whose partitions are remembered. */
const MAX_TOPICS = 10_000;

/** What a producer knows of partitions. Filled by kafkajs, which tells its partitioner about them on every attempt. */
export class Partitions {
  readonly #choose: (args: PartitionerArgs) => number;
  readonly #topics = new Map<string, PartitionMetadata[]>();
  /** Messages on their way; `asked` once kafkajs was told to look for new partitions. */
  readonly #assigned = new WeakMap<object, { partition: unknown; asked: boolean }>();

  constructor(createPartitioner: ICustomPartitioner | undefined, random: Random | undefined) {
    this.#choose = (createPartitioner ?? defaultPartitioner(random))();
  }

  /** Whether the partitions of a topic are known. */
  knows(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** How many partitions a topic has, as far as is known. */
  count(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0;
  }

  /** The partition of a message of a topic that is known. */
  assign(topic: string, message: Message): number {
    const partitionMetadata = this.#topics.get(topic) ?? [];
    const partition = this.#choose({ topic, partitionMetadata, message });
    if (!Number.isInteger(partition) || partition < 0) {
      throw new UnknownPartitionError(topic, partition, partitionMetadata.length);
    }
    return partition;
  }

  /** The partition that kafkajs was given for a copy of a message. */
  assignedTo(copy: Message): number | undefined {
    return this.#assigned.get(copy)?.partition as number | undefined;
  }

  /** What kafkajs gets for a partitioner: it hands out what was decided, and learns about partitions. */
  readonly createPartitioner: ICustomPartitioner = () => (args) => {
    const { topic, partitionMetadata, message } = args;
    if (this.#topics.size >= MAX_TOPICS && !this.#topics.has(topic)) this.#topics.clear();
    this.#topics.set(topic, partitionMetadata);
    let entry = this.#assigned.get(message);
    if (entry === undefined) {
      entry = { partition: this.#choose(args), asked: false };
      this.#assigned.set(message, entry);
    }
    if (partitionMetadata.some(({ partitionId }) => partitionId === entry.partition)) {
      return entry.partition as number;
    }
    if (entry.asked || !Number.isInteger(entry.partition)) {
      throw new UnknownPartitionError(topic, entry.partition, partitionMetadata.length);
    }
    // It may be new: kafkajs asks the cluster again on this error, and then us.
    entry.asked = true;
    throw Object.assign(new Error(`topic '${topic}' may have new partitions`), {
      name: 'KafkaJSMetadataNotLoaded',
      retriable: true,
      cause: new UnknownPartitionError(topic, entry.partition, partitionMetadata.length),
    });
  };
}

/** kafkajs' default partitioner. */
function defaultPartitioner(random: Random = systemRandom): ICustomPartitioner {
  return () => {
    const turns = new Map<string, number>();
    return ({ topic, partitionMetadata, message }) => {
      const { partition, key } = message;
      if (partition !== null && partition !== undefined) return partition;
      const count = partitionMetadata.length;
      if (key !== null && key !== undefined) return (murmur2(key) & 0x7fffffff) % count;
      const turn = ((turns.get(topic) ?? Math.floor(random() * 0x7fffffff)) + 1) & 0x7fffffff;
      if (turns.size >= MAX_TOPICS && !turns.has(topic)) turns.clear();
      turns.set(topic, turn);
      const led = partitionMetadata.filter(({ leader }) => leader >= 0);
      return led.length > 0 ? (led[turn % led.length]?.partitionId ?? 0) : turn % count;
    };
  };
}

/** MurmurHash 2, as the Java client computes it (org.apache.kafka.common.utils.Utils.murmur2). */
export function murmur2(key: Buffer | string): number {
  const data = Buffer.isBuffer(key) ? key : Buffer.from(String(key));
  const m = 0x5bd1e995;
  let hash = 0x9747b28c ^ data.length;
  const words = data.length >> 2;
  for (let i = 0; i < words; i += 1) {
    let k = Math.imul(data.readInt32LE(i * 4), m);
    k ^= k >>> 24;
    hash = Math.imul(hash, m) ^ Math.imul(k, m);
  }
  const rest = words * 4;
  const left = data.length & 3;
  if (left === 3) hash ^= (data[rest + 2] ?? 0) << 16;
  if (left >= 2) hash ^= (data[rest + 1] ?? 0) << 8;
  if (left >= 1) hash = Math.imul(hash ^ (data[rest] ?? 0), m);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, m);
  hash ^= hash >>> 15;
  return hash;
}
