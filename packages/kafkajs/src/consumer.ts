/**
 * A consumer with kafkajs' own type. `eachMessage` is run on top of kafkajs' `eachBatch`, because only
 * there can a message be put back: its partition is paused and fetched again from that message on.
 * In `eachMessage` a handler that returns has consumed the message, and one that throws stops or
 * restarts the whole consumer.
 */
import { InvalidOptionError } from '@resil/core';
import type {
  Consumer,
  ConsumerConfig,
  ConsumerRunConfig,
  EachBatchHandler,
  EachBatchPayload,
  EachMessageHandler,
  Kafka,
  Producer,
} from 'kafkajs';
import { handleBatch } from './batch-handling.js';
import { isRebalance } from './classify.js';
import { type ResolvedConsumerOptions, resolveConsumerOptions } from './consumer-options.js';
import { subscribedTopics } from './consumer-topics.js';
import { DONE, Handling, type Held } from './handling.js';
import type { ResolvedKafkaOptions } from './options.js';
import { PartitionHolds } from './partition-holds.js';

/** A consumer made by a resilient Kafka. */
export function wrapConsumer(
  kafka: Kafka,
  makeProducer: () => Producer,
  config: ConsumerConfig,
  { consumer: own, clock, random }: ResolvedKafkaOptions,
): Consumer {
  const options = resolveConsumerOptions({
    ...own,
    clock: own.clock ?? clock,
    random: own.random ?? random,
  });
  checkHeartbeats(options, config);
  return new GuardedConsumer(kafka, config, makeProducer, options).wrapped;
}

/** What a thrown thing becomes for kafkajs: it stops a consumer for good, silently, on errors of some names and flags. */
export class HandlerError extends Error {
  readonly reason: unknown;

  constructor(reason: unknown) {
    super(reason instanceof Error ? reason.message : String(reason));
    this.name = 'HandlerError';
    this.reason = reason;
  }
}

/** `handler`, so that kafkajs sees the error of a rebalance and its own as they are, and nothing else that would stop it. */
export function forKafkajs<Payload>(
  handler: (payload: Payload) => Promise<void>,
): (payload: Payload) => Promise<void> {
  return async (payload) => {
    try {
      await handler(payload);
    } catch (error) {
      if (isRebalance(error)) throw error;
      if (error instanceof Error && error.name.startsWith('KafkaJS')) throw error;
      throw new HandlerError(error);
    }
  };
}

type State =
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'running';
      readonly handling: Handling;
      readonly producer: Producer | undefined;
    };

const STOPPED: State = { kind: 'stopped' };

class GuardedConsumer {
  readonly wrapped: Consumer;
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #consumer: Consumer;
  readonly #makeProducer: () => Producer;
  readonly #options: ResolvedConsumerOptions;
  readonly #holds: PartitionHolds;
  #state: State = STOPPED;

  constructor(
    kafka: Kafka,
    config: ConsumerConfig,
    makeProducer: () => Producer,
    options: ResolvedConsumerOptions,
  ) {
    const consumer = kafka.consumer(config);
    this.#kafka = kafka;
    this.#groupId = config.groupId;
    this.#consumer = consumer;
    this.#makeProducer = makeProducer;
    this.#options = options;
    this.#holds = new PartitionHolds(consumer);
    this.wrapped = {
      ...consumer,
      subscribe: (subscription) => this.#subscribe(subscription),
      run: (config) => this.#run(config),
      stop: () => this.#stop(() => consumer.stop()),
      disconnect: () => this.#stop(() => consumer.disconnect()),
      pause: (places) => {
        consumer.pause(places);
        this.#holds.leave(places);
      },
      resume: (places) => {
        consumer.resume(places);
        this.#holds.resumed(places);
      },
    };
  }

  async #subscribe(subscription: Parameters<Consumer['subscribe']>[0]): Promise<void> {
    const { topics, delayed } = await subscribedTopics(this.#kafka, subscription, this.#options);
    const { fromBeginning } = subscription;
    await this.#consumer.subscribe({
      topics: [...topics],
      ...(fromBeginning !== undefined && { fromBeginning }),
    });
    if (delayed.length === 0) return;
    // What was sent there before the first run is to be handled too.
    await this.#consumer.subscribe({ topics: [...delayed], fromBeginning: true });
  }

  async #run(config: ConsumerRunConfig = {}): Promise<void> {
    const { eachMessage, eachBatch, eachBatchAutoResolve = true, ...rest } = config;
    checkHandlers(eachMessage, eachBatch);
    const { handling } = await this.#start();
    const autoCommit = rest.autoCommit !== false;
    const handler = eachMessage
      ? (payload: EachBatchPayload) => this.#eachMessage(handling, payload, eachMessage, autoCommit)
      : (payload: EachBatchPayload) =>
          this.#eachBatch(handling, payload, eachBatch as EachBatchHandler, eachBatchAutoResolve);
    await this.#consumer.run({
      ...rest,
      eachBatchAutoResolve: false,
      eachBatch: forKafkajs(handler),
    });
  }

  /** What handlers are run with; that of the first `run` while it lasts, as kafkajs ignores a second one. */
  async #start(): Promise<Extract<State, { kind: 'running' }>> {
    if (this.#state.kind === 'running') return this.#state;
    const { producer: own, deadLetterTopic } = this.#options;
    const producer =
      own === undefined && deadLetterTopic !== false ? this.#makeProducer() : undefined;
    const handling = new Handling(this.#options, () => senderOf(own ?? producer), this.#groupId);
    const state = { kind: 'running', handling, producer } as const;
    this.#state = state;
    try {
      await producer?.connect();
    } catch (error) {
      this.#state = STOPPED;
      throw error;
    }
    return state;
  }

  async #eachMessage(
    handling: Handling,
    payload: EachBatchPayload,
    handler: EachMessageHandler,
    autoCommit: boolean,
  ): Promise<void> {
    const { batch, heartbeat, isRunning, isStale, resolveOffset, pause } = payload;
    const { topic, partition } = batch;
    for (const message of batch.messages) {
      if (!isRunning() || isStale()) return;
      const place = { topic, partition, message };
      const handled = handling.isForeign(place)
        ? DONE
        : await handling.message(place, heartbeat, (resilience) =>
            handler({
              // As in its first topic; but who commits by hand needs to know where it is.
              topic: autoCommit ? resilience.topic : topic,
              partition,
              message,
              heartbeat,
              pause,
              resilience,
            }),
          );
      if (handled.kind === 'held') {
        this.#hold(handling, payload, handled);
        return;
      }
      resolveOffset(message.offset);
      // kafkajs commits what is resolved, and joins again.
      if (handled.lost !== undefined) throw handled.lost;
      await heartbeat();
      if (autoCommit) await payload.commitOffsetsIfNecessary();
      if (this.#holds.isPaused(topic, partition)) return;
    }
  }

  async #eachBatch(
    handling: Handling,
    payload: EachBatchPayload,
    handler: EachBatchHandler,
    eachBatchAutoResolve: boolean,
  ): Promise<void> {
    const handled = await handleBatch(handling, { payload, handler, eachBatchAutoResolve });
    if (handled.kind === 'held') this.#hold(handling, payload, handled);
    else if (handled.lost !== undefined) throw handled.lost;
  }

  #hold(handling: Handling, { batch, isRunning }: EachBatchPayload, held: Held): void {
    if (handling.draining || !isRunning()) return;
    this.#holds.hold(handling, batch.topic, batch.partition, held);
  }

  /** What runs ends, and is committed; what waits comes again with the next consumer. */
  async #stop(end: () => Promise<void>): Promise<void> {
    const state = this.#state;
    if (state.kind === 'running') state.handling.drain();
    this.#holds.clear();
    try {
      await end();
    } finally {
      if (state.kind === 'running') {
        if (this.#state === state) this.#state = STOPPED;
        await state.producer?.disconnect();
      }
    }
  }
}

function senderOf(producer: Pick<Producer, 'send'> | undefined): Pick<Producer, 'send'> {
  if (producer === undefined) throw new Error('the consumer has no producer');
  return producer;
}

function checkHandlers(eachMessage: unknown, eachBatch: unknown): void {
  for (const [name, handler] of Object.entries({ eachMessage, eachBatch })) {
    if (handler === undefined || handler === null || typeof handler === 'function') continue;
    throw new InvalidOptionError(`run.${name}`, handler, 'must be a function');
  }
  if (!eachMessage && !eachBatch) {
    throw new InvalidOptionError('run.eachMessage', eachMessage, 'must be given, or eachBatch');
  }
  if (eachMessage && eachBatch) {
    throw new InvalidOptionError(
      'run.eachBatch',
      eachBatch,
      'must not be given beside eachMessage',
    );
  }
}

/** kafkajs' own. */
const SESSION_TIMEOUT = 30_000;

function checkHeartbeats(
  { heartbeatInterval }: ResolvedConsumerOptions,
  { sessionTimeout = SESSION_TIMEOUT }: ConsumerConfig,
): void {
  if (heartbeatInterval < sessionTimeout) return;
  throw new InvalidOptionError(
    'consumer.heartbeatInterval',
    heartbeatInterval,
    `must be under the consumer's sessionTimeout (${sessionTimeout}), better a third of it`,
  );
}
