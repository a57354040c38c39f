/**
 * A consumer with kafkajs' own type. `eachMessage` is run on top of kafkajs' `eachBatch`, because only
 * there can a message be put back: its partition is paused and fetched again from that message on.
 * In `eachMessage` a handler that returns has consumed the message, and one that throws stops or
 * restarts the whole consumer.
 */
import { InvalidOptionError, report } from '@resil/core';
import type {
  Admin,
  Consumer,
  ConsumerConfig,
  ConsumerRunConfig,
  ConsumerSubscribeTopic,
  ConsumerSubscribeTopics,
  EachBatchHandler,
  EachBatchPayload,
  EachMessageHandler,
  Kafka,
  Producer,
} from 'kafkajs';
import { isRebalance } from './classify.js';
import { checkConsumerOptions, consumerDefaults } from './consumer-options.js';
import { deadLetterTopic, retryTopic } from './dead-letter.js';
import { payloadFor } from './handler.js';
import { Handling, type MessagePlace } from './handling.js';
import type { ResolvedKafkaOptions } from './options.js';

/** A consumer made by a resilient Kafka. */
export function wrapConsumer(
  kafka: Kafka,
  makeProducer: () => Producer,
  config: ConsumerConfig,
  { consumer: own, clock, random }: ResolvedKafkaOptions,
): Consumer {
  const options = { ...own, clock: own.clock ?? clock, random: own.random ?? random };
  checkConsumerOptions(options);
  return new GuardedConsumer(kafka, kafka.consumer(config), makeProducer, options).wrapped;
}

/** What a thrown thing becomes for kafkajs: it stops a consumer for good, silently, on errors of some names and flags. */
class HandlerError extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause));
    this.name = 'HandlerError';
    this.reason = cause;
  }

  readonly reason: unknown;
}

/** How often a new topic is asked after, and the milliseconds between. */
const TOPIC_TRIES = 50;
const TOPIC_DELAY = 100;

class GuardedConsumer {
  readonly wrapped: Consumer;
  readonly #kafka: Kafka;
  readonly #consumer: Consumer;
  readonly #makeProducer: () => Producer;
  readonly #options: Parameters<typeof checkConsumerOptions>[0];
  readonly #topics = new Set<string>();
  /** Ends the waits of paused partitions. */
  readonly #resumes = new Set<() => void>();
  #handling: Handling;
  #producer: Producer | undefined;

  constructor(
    kafka: Kafka,
    consumer: Consumer,
    makeProducer: () => Producer,
    options: Parameters<typeof checkConsumerOptions>[0],
  ) {
    this.#kafka = kafka;
    this.#consumer = consumer;
    this.#makeProducer = makeProducer;
    this.#options = options;
    this.#handling = this.#newHandling();
    this.wrapped = {
      ...consumer,
      subscribe: (subscription) => this.#subscribe(subscription),
      run: (config) => this.#run(config),
      stop: () => this.#stop(() => consumer.stop()),
      disconnect: () => this.#stop(() => consumer.disconnect()),
    };
  }

  #newHandling(): Handling {
    return new Handling(this.#options, () => {
      const producer = this.#options.producer ?? this.#producer;
      if (producer === undefined) throw new Error('the consumer has no producer');
      return producer;
    });
  }

  async #subscribe(subscription: ConsumerSubscribeTopics | ConsumerSubscribeTopic): Promise<void> {
    const single = 'topic' in subscription;
    const topics = single ? [subscription.topic] : subscription.topics;
    const named = (Array.isArray(topics) ? topics : []).filter(
      (topic) => typeof topic === 'string',
    );
    const { fromBeginning } = subscription;
    await this.#createTopics(named);
    await this.#consumer.subscribe(subscription);
    for (const topic of named) this.#topics.add(topic);
    const delayed = named.flatMap((topic) => this.#retryTopics(topic));
    if (delayed.length === 0) return;
    // What was sent there before the first run is to be handled too.
    await this.#consumer.subscribe({ topics: delayed, fromBeginning: fromBeginning ?? true });
  }

  #retryTopics(topic: string): string[] {
    const delays = this.#options.retryDelays ?? consumerDefaults.retryDelays;
    return delays.map((_, index) => retryTopic(topic, index + 1));
  }

  async #createTopics(topics: readonly string[]): Promise<void> {
    if (!(this.#options.createTopics ?? consumerDefaults.createTopics)) return;
    const wanted = topics.flatMap((topic) => {
      const dead = deadLetterTopic(topic, this.#options);
      return [...this.#retryTopics(topic), ...(dead === undefined ? [] : [dead])];
    });
    if (wanted.length === 0) return;
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      const existing = new Set(await admin.listTopics());
      const missing = [...new Set(wanted)].filter((topic) => !existing.has(topic));
      if (missing.length > 0) {
        const made = missing.map((topic) => ({ topic, numPartitions: 1, replicationFactor: -1 }));
        // kafkajs' own wait fails where the broker that it asks has not heard of the topic yet.
        await admin.createTopics({ topics: made, waitForLeaders: false });
        await this.#known(admin, missing);
      }
    } finally {
      await admin.disconnect().catch((error: unknown) => report(error, 'disconnect of an admin'));
    }
  }

  async #known(admin: Admin, topics: string[]): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { topics: found } = await admin.fetchTopicMetadata({ topics });
        if (found.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0))) return;
      } catch (error) {
        if (tries === TOPIC_TRIES) throw error;
      }
      if (tries === TOPIC_TRIES) return;
      await new Promise<void>((resolve) => {
        this.#handling.clock.schedule(resolve, TOPIC_DELAY);
      });
    }
  }

  async #run(config: ConsumerRunConfig = {}): Promise<void> {
    const { eachMessage, eachBatch, eachBatchAutoResolve = true, ...rest } = config;
    for (const [name, handler] of Object.entries({ eachMessage, eachBatch })) {
      if (handler === undefined || handler === null || typeof handler === 'function') continue;
      throw new InvalidOptionError(`run.${name}`, handler, 'must be a function');
    }
    if (!eachMessage && !eachBatch) {
      throw new InvalidOptionError('run.eachMessage', eachMessage, 'must be given, or eachBatch');
    }
    this.#handling = this.#newHandling();
    if (this.#options.producer === undefined && this.#options.deadLetterTopic !== false) {
      this.#producer ??= this.#makeProducer();
      await this.#producer.connect();
    }
    const handler: EachBatchHandler = eachMessage
      ? (payload) => this.#eachMessage(payload, eachMessage)
      : (payload) => this.#eachBatch(payload, eachBatch as EachBatchHandler, eachBatchAutoResolve);
    await this.#consumer.run({
      ...rest,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => handler(payload).catch(rethrow),
    });
  }

  async #eachMessage(payload: EachBatchPayload, handler: EachMessageHandler): Promise<void> {
    const { batch, heartbeat, isRunning, isStale, resolveOffset, pause } = payload;
    const { topic, partition } = batch;
    for (const message of batch.messages) {
      if (!isRunning() || isStale()) return;
      const place = { topic, partition, message };
      const early = this.#handling.delayOf(place);
      if (early > 0) {
        this.#pauseFor(payload, early);
        return;
      }
      const own = { topic, partition, message, heartbeat, pause };
      const handled = await this.#handling.handle(
        () => [place],
        heartbeat,
        (resilience) => handler(payloadFor(own, { resilience })),
      );
      if (!handled.done) {
        this.#pauseFor(payload, handled.delay);
        return;
      }
      resolveOffset(message.offset);
      await heartbeat();
      await payload.commitOffsetsIfNecessary();
      if (this.#isPaused(topic, partition)) return;
    }
  }

  async #eachBatch(
    payload: EachBatchPayload,
    handler: EachBatchHandler,
    autoResolve: boolean,
  ): Promise<void> {
    const { batch, heartbeat, isStale } = payload;
    const { topic, partition, messages } = batch;
    const places: MessagePlace[] = messages.map((message) => ({ topic, partition, message }));
    const early = Math.max(0, ...places.map((place) => this.#handling.delayOf(place)));
    if (early > 0) {
      this.#pauseFor(payload, early);
      return;
    }
    let resolved = -1n;
    const resolveOffset = (offset: string): void => {
      resolved = BigInt(offset);
      payload.resolveOffset(offset);
    };
    const open = (): MessagePlace[] =>
      places.filter(({ message }) => BigInt(message.offset) > resolved);
    const handled = await this.#handling.handle(open, heartbeat, (resilience) =>
      handler({ ...payload, resolveOffset, resilience }),
    );
    if (!handled.done) this.#pauseFor(payload, handled.delay);
    else if (autoResolve && !isStale()) payload.resolveOffset(batch.lastOffset());
  }

  /** Fetches nothing more of a partition for a while; what was not resolved comes again then. */
  #pauseFor({ pause }: EachBatchPayload, delay: number): void {
    const resume = pause();
    const cancel = this.#handling.clock.schedule(() => {
      this.#resumes.delete(cancel);
      resume();
    }, delay);
    this.#resumes.add(cancel);
  }

  #isPaused(topic: string, partition: number): boolean {
    return this.#consumer
      .paused()
      .some((one) => one.topic === topic && one.partitions.includes(partition));
  }

  /** What runs ends, and is committed; what waits comes again with the next consumer. */
  async #stop(end: () => Promise<void>): Promise<void> {
    this.#handling.drain();
    for (const cancel of this.#resumes) cancel();
    this.#resumes.clear();
    await end();
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.disconnect();
  }
}

function rethrow(error: unknown): never {
  if (isRebalance(error)) throw error;
  if (error instanceof Error && error.name.startsWith('KafkaJS')) throw error;
  throw new HandlerError(error);
}
