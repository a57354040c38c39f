/**
 * A producer with kafkajs' own type. Sends go through the pipeline, and partition by partition to
 * kafkajs; the producer object beneath is replaced when it is of no use any more.
 */
import { InvalidOptionError, type Pipeline } from '@resil/core';
import type { Message, Producer, ProducerConfig, RecordMetadata } from 'kafkajs';
import { guardedSender, type Sender } from './guarded-sender.js';
import type { SendSettings } from './lane.js';
import type { ResolvedKafkaOptions } from './options.js';
import { BehindOutboxError } from './outbox-options.js';
import { Partitions } from './partitioner.js';
import type { Pipelines } from './pipelines.js';
import { isFatal, Renewable, spoilsIdempotent } from './renewable.js';
import { Router } from './router.js';
import { beginTransaction } from './transaction-object.js';

/** What a wrapped producer is made of. */
export interface ProducerContext {
  readonly options: ResolvedKafkaOptions;
  readonly pipelines: Pipelines;
  readonly renewable: Renewable;
  readonly partitions: Partitions;
}

const CONTEXT: unique symbol = Symbol.for('@resil/kafkajs/producer') as never;

/** What a wrapped producer is made of; `undefined` for another. */
export function contextOf(producer: unknown): ProducerContext | undefined {
  return (producer as { [CONTEXT]?: ProducerContext } | null | undefined)?.[CONTEXT];
}

/** A producer made by a resilient Kafka. */
export function createProducer(
  create: (config: ProducerConfig) => Producer,
  config: ProducerConfig,
  options: ResolvedKafkaOptions,
  pipelines: Pipelines,
): Producer {
  const partitions = new Partitions(config.createPartitioner, options.random);
  const { createPartitioner } = partitions;
  const make = (): Producer => create({ ...config, createPartitioner });
  const renewable = new Renewable(make(), make);
  return wrap({ options, pipelines, renewable, partitions });
}

/** Refuses two owners of retries: ours and kafkajs' would multiply. */
export function checkRetryOwner(
  options: ResolvedKafkaOptions,
  retries: number,
  config: ProducerConfig,
): void {
  const { retry } = options.standard;
  if (options.pipeline !== undefined || retry === false || retry === undefined) return;
  if (config.idempotent === true) {
    throw new InvalidOptionError(
      'resilient.retry',
      retry,
      'must be false for an idempotent producer: it is right only if kafkajs itself repeats',
    );
  }
  if (retries === 0 || retry.maxAttempts === 1) return;
  throw new InvalidOptionError(
    'resilient.retry',
    retry,
    `must be false while kafkajs itself makes ${retries} retries; retries have one owner: leave it out, or set retry: { retries: 0 } in the configuration of Kafka and producer`,
  );
}

function wrap(context: ProducerContext): Producer {
  const { options, pipelines, renewable, partitions } = context;
  const { outbox } = options;
  const first = renewable.producer;
  const idempotent = first.isIdempotent();
  const spoils = (error: unknown): boolean =>
    idempotent ? spoilsIdempotent(error) : isFatal(error);
  const transport = (topic: string, messages: Message[], settings: SendSettings) =>
    renewable.use((producer) => producer.send(recordOf(topic, messages, settings)), spoils);
  const halt = outbox && ((): unknown => new BehindOutboxError());
  const router = new Router(partitions, transport, halt);
  const sender = guardedSender({
    pipeline: (topics, key): Pipeline => pipelines.for(topics, key),
    begin: ({ topicMessages, settings }) => router.send(topicMessages, settings),
    sendContext: options.sendContext,
    outbox,
    halt: (topics) => router.refuse(topics, new BehindOutboxError()),
  });
  outbox?.attach(direct(router), options.clock);
  const wrapped: Producer = {
    ...first,
    ...sender,
    connect: async () => {
      const connecting = renewable.connect();
      connecting.catch(() => {});
      // First, and also where the broker is away: what it holds goes before what is sent from now on.
      await outbox?.start();
      await connecting;
    },
    disconnect: async () => {
      await outbox?.stop();
      await renewable.disconnect();
    },
    on: ((eventName: string, listener: (event: never) => void) =>
      renewable.on(eventName, listener)) as Producer['on'],
    transaction: () => beginTransaction(context),
    logger: () => renewable.producer.logger(),
  };
  Object.defineProperty(wrapped, CONTEXT, { value: context });
  return wrapped;
}

/** A record without what is not set: kafkajs' defaults go by `undefined`, its copies may not. */
export function recordOf(
  topic: string,
  messages: Message[],
  { acks, timeout, compression }: SendSettings,
): Parameters<Producer['send']>[0] {
  return {
    topic,
    messages,
    ...(acks !== undefined && { acks }),
    ...(timeout !== undefined && { timeout }),
    ...(compression !== undefined && { compression }),
  };
}

/** Sends past the pipeline: an outbox has its own pace. */
function direct(
  router: Router,
): (
  topicMessages: Parameters<Router['send']>[0],
  settings: SendSettings,
) => Promise<RecordMetadata[]> {
  return (topicMessages, settings) => router.send(topicMessages, settings).done;
}

/**
 * A producer that was made by somebody else. Its partitioner, its retries and the means to replace it
 * are out of reach: messages that name their partition go partition by partition, others as they are.
 */
export function wrapReadyProducer(
  producer: Producer,
  options: ResolvedKafkaOptions,
  pipelines: Pipelines,
): Producer {
  const partitions = new Partitions(undefined, options.random);
  const never = (): Producer => producer;
  const context = { options, pipelines, renewable: new Renewable(producer, never), partitions };
  const { outbox } = options;
  const one = oneAtATime(producer.isIdempotent());
  const send = (
    topicMessages: Parameters<Router['send']>[0],
    { acks, timeout, compression }: SendSettings,
  ): Promise<RecordMetadata[]> =>
    one(() => {
      const batch = { topicMessages: topicMessages.map((part) => ({ ...part })) };
      return producer.sendBatch({
        ...batch,
        ...(acks !== undefined && { acks }),
        ...(timeout !== undefined && { timeout }),
        ...(compression !== undefined && { compression }),
      });
    });
  const sender: Sender = guardedSender({
    pipeline: (topics, key) => pipelines.for(topics, key),
    begin: ({ topicMessages, settings }) => ({
      done: send(topicMessages, settings),
      withdraw: () => {},
      sent: true,
    }),
    sendContext: options.sendContext,
    outbox,
  });
  outbox?.attach(send, options.clock);
  const wrapped: Producer = { ...producer, ...sender };
  if (outbox !== undefined) {
    wrapped.connect = async () => {
      await outbox.start();
      await producer.connect();
    };
    wrapped.disconnect = async () => {
      await outbox.stop();
      await producer.disconnect();
    };
  }
  Object.defineProperty(wrapped, CONTEXT, { value: context });
  return wrapped;
}

/** Runs work one after the other if `ordered`: an idempotent producer loses messages otherwise. */
function oneAtATime(ordered: boolean): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    if (!ordered) return work();
    const next = last.then(work);
    last = next.catch(() => {});
    return next;
  };
}
