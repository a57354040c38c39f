/** Sends the messages of a dead-letter topic back to where they came from. */
import {
  checkOptions,
  countRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  objectRule,
  retry,
} from '@resil/core';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage, Message, Producer } from 'kafkajs';
import { beneath } from './beneath.js';
import { meaningOf } from './classify.js';
import { resilienceHeaders, textOf, withoutPast } from './dead-letter.js';

/** Options of {@link redrive}. */
export interface RedriveOptions {
  /** The dead-letter topic. */
  readonly from: string;
  /** Where its messages go. Default: each to the topic that it was first read from. */
  readonly to?: string | undefined;
  /** Which messages go; the others are passed over, and not looked at again. Default: all. */
  readonly filter?: ((message: KafkaMessage) => boolean) | undefined;
  /** Most messages that are sent, at least 1. Default: all that are there when it begins. */
  readonly maxMessages?: number | undefined;
  /** Consumer group that remembers how far it came. Default: `<from>.redrive` */
  readonly groupId?: string | undefined;
  /** Ends it after the message that is being sent; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link redrive} has done. */
export interface Redriven {
  /** Messages that were sent back. */
  readonly sent: number;
  /** Messages that were passed over: by `filter`, because nothing tells where they came from, or because their value was left out. */
  readonly skipped: number;
  /** Whether it came to what was the topic's end when it began; not if `maxMessages` came first. */
  readonly done: boolean;
}

const rules: OptionRules<RedriveOptions> = {
  from: nameRule,
  to: nameRule,
  filter: functionRule,
  maxMessages: countRule(1),
  groupId: nameRule,
  signal: objectRule('an AbortSignal', (value) => typeof value.aborted === 'boolean'),
};

/**
 * Sends the messages of a dead-letter topic back, without the headers that tell of their past, and
 * remembers how far it came: what was sent back is not sent again, unless the process dies before it
 * could remember it. Ends when it has reached what was there when it began.
 *
 * Rejects when a message can't be sent, and when another redrive of the same group is running.
 *
 * @throws InvalidOptionError for bad options, and for a topic that doesn't exist.
 * @example
 * ```ts no-run (needs a broker)
 * import { redrive, resilient } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = resilient(new Kafka({ brokers: ['localhost:9092'] }));
 * const { sent } = await redrive(kafka, { from: 'orders.dlq' });
 * console.log(`${sent} orders sent back`);
 * ```
 */
export async function redrive(kafka: Kafka, options: RedriveOptions): Promise<Redriven> {
  checkOptions('redrive', options, rules);
  const { from, to, groupId = `${from}.redrive`, signal } = options;
  if (from === undefined) throw new InvalidOptionError('redrive.from', from, 'must be given');
  if (to === from) throw new InvalidOptionError('redrive.to', to, 'must differ from the topic');
  signal?.throwIfAborted();
  const ends = await endsOf(kafka, from, groupId);
  if (ends.size === 0) return { sent: 0, skipped: 0, done: true };
  const client = beneath(kafka);
  const producer = client.producer();
  // A message that can't be sent back stays where it is, so that no dead-letter topic is made for this one.
  const consumer = client.kafka.consumer({ groupId });
  try {
    await producer.connect();
    await consumer.connect();
    await consumer.subscribe({ topics: [from], fromBeginning: true });
    return await new Run(producer, consumer, options, ends).result();
  } finally {
    await consumer.disconnect();
    await producer.disconnect();
  }
}

class Run {
  readonly #producer: Producer;
  readonly #consumer: Consumer;
  readonly #options: RedriveOptions;
  /** Where the partitions end whose end was not reached. */
  readonly #ends: Map<number, bigint>;
  #sent = 0;
  #skipped = 0;
  #joined = false;
  #over = false;
  #finish!: (result: Redriven) => void;
  #fail!: (error: unknown) => void;

  constructor(
    producer: Producer,
    consumer: Consumer,
    options: RedriveOptions,
    ends: Map<number, bigint>,
  ) {
    this.#producer = producer;
    this.#consumer = consumer;
    this.#options = options;
    this.#ends = ends;
  }

  async result(): Promise<Redriven> {
    const { from, signal } = this.#options;
    const result = new Promise<Redriven>((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    // It may fail while the consumer is still joining its group, when nobody waits for it yet.
    result.catch(() => {});
    const abort = (): void => this.#end(() => this.#fail(signal?.reason));
    signal?.addEventListener('abort', abort);
    const consumer = this.#consumer;
    consumer.on('consumer.crash', ({ payload }) => {
      if (!payload.restart) this.#end(() => this.#fail(payload.error));
    });
    consumer.on('consumer.group_join', ({ payload }) => {
      this.#checkAssignment(payload.memberAssignment[from] ?? []);
    });
    // Also told of batches that hold nothing for a handler: control records of transactions.
    consumer.on('consumer.end_batch_process', ({ payload }) => {
      const end = this.#ends.get(payload.partition);
      if (this.#over || end === undefined || BigInt(payload.lastOffset) < end - 1n) return;
      this.#ends.delete(payload.partition);
      if (this.#ends.size === 0) this.#stop();
    });
    try {
      await consumer.run({
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#batch(payload),
      });
      return await result;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async #batch({ batch, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
    for (const message of batch.messages) {
      if (this.#over) return;
      const end = this.#ends.get(batch.partition);
      // What came after it began.
      if (end === undefined || BigInt(message.offset) >= end) break;
      try {
        await this.#one(message);
      } catch (error) {
        this.#end(() => this.#fail(error));
        return;
      }
      resolveOffset(message.offset);
      if (this.#sent >= (this.#options.maxMessages ?? Infinity)) {
        if (BigInt(message.offset) === end - 1n) this.#ends.delete(batch.partition);
        this.#stop();
        return;
      }
      await heartbeat();
    }
  }

  async #one(message: KafkaMessage): Promise<void> {
    const { to, filter } = this.#options;
    const topic = to ?? textOf(message.headers?.[resilienceHeaders.topic]);
    const whole = message.headers?.[resilienceHeaders.omitted] === undefined;
    if (topic === undefined || !whole || filter?.(message) === false) {
      this.#skipped += 1;
      return;
    }
    await this.#producer.send({ topic, messages: [back(message)] });
    this.#sent += 1;
  }

  /** Another member of the group has what this one needs. One that comes later leaves again. */
  #checkAssignment(partitions: readonly number[]): void {
    const first = !this.#joined;
    this.#joined = true;
    if (!first || [...this.#ends.keys()].every((one) => partitions.includes(one))) return;
    const error = new Error(
      `another consumer of the group that redrives '${this.#options.from}' is running; wait for it, or give a groupId`,
    );
    this.#end(() => this.#fail(error));
  }

  #stop(): void {
    const done = this.#ends.size === 0;
    this.#end(() => this.#finish({ sent: this.#sent, skipped: this.#skipped, done }));
  }

  #end(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    settle();
  }
}

const patience = retry({
  maxAttempts: 30,
  baseDelay: 100,
  maxDelay: 1_000,
  shouldRetry: (error) => meaningOf(error)?.transient === true,
});

/** Partitions with messages that were not sent back, and where they end. */
async function endsOf(kafka: Kafka, topic: string, groupId: string): Promise<Map<number, bigint>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    if (!(await admin.listTopics()).includes(topic)) {
      throw new InvalidOptionError('redrive.from', topic, 'must be a topic that exists');
    }
    const offsets = await admin.fetchTopicOffsets(topic);
    // The coordinator of a group that was never used has to be made first, and kafkajs doesn't wait for it.
    const [done] = await patience.execute(() => admin.fetchOffsets({ groupId, topics: [topic] }));
    const ends = new Map<number, bigint>();
    for (const { partition, high, low } of offsets) {
      const committed = done?.partitions.find((one) => one.partition === partition)?.offset ?? '-1';
      const next = BigInt(committed) < 0n ? BigInt(low) : BigInt(committed);
      if (next < BigInt(high)) ends.set(partition, BigInt(high));
    }
    return ends;
  } finally {
    await admin.disconnect();
  }
}

function back(message: KafkaMessage): Message {
  return { key: message.key, value: message.value, headers: withoutPast(message.headers) };
}
