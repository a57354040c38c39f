/**
 * A producer with kafkajs' own type. Sends go through the pipeline, and partition by partition to
 * kafkajs; the producer object beneath is replaced when it is of no use any more.
 */
import { InvalidOptionError, type Pipeline } from '@resil/core';
import type {
  Message,
  Producer,
  ProducerConfig,
  ProducerRecord,
  RecordMetadata,
  Transaction,
} from 'kafkajs';
import { guardedSender } from './guarded-sender.js';
import type { SendSettings } from './lane.js';
import type { ResolvedKafkaOptions } from './options.js';
import { BehindOutboxError } from './outbox-options.js';
import { Partitions } from './partitioner.js';
import type { Pipelines } from './pipelines.js';
import type { Outgoing } from './record.js';
import { isFatal, Renewable, spoilsIdempotent } from './renewable.js';
import { type Parts, Router } from './router.js';
import { beginTransaction } from './transaction-object.js';

/** What a wrapped producer is made of. */
export interface ProducerContext {
  readonly options: ResolvedKafkaOptions;
  readonly pipelines: Pipelines;
  readonly renewable: Renewable;
  /** How the sends of a transaction are begun. */
  sendsOf(transaction: Transaction): (request: Outgoing) => Parts;
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
  const sendsOf = (transaction: Transaction): ((request: Outgoing) => Parts) => {
    const router = new Router(partitions, (topic, messages, settings) =>
      transaction.send(recordOf(topic, messages, settings)),
    );
    return ({ topicMessages, settings }) => router.send(topicMessages, settings);
  };
  return wrap({ options, pipelines, renewable, sendsOf }, partitions);
}

/** Refuses two owners of retries: ours and kafkajs' would multiply. */
export function checkRetryOwner(
  options: ResolvedKafkaOptions,
  retries: number,
  config: Pick<ProducerConfig, 'idempotent'> = {},
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
    `must be false while kafkajs itself makes ${retries} retries; retries have one owner: leave it out, or set retry: { retries: 0 } in the configuration of Kafka, and none in that of its producers and admins`,
  );
}

function wrap(context: ProducerContext, partitions: Partitions): Producer {
  const { options, pipelines, renewable } = context;
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
    begin: ({ topicMessages, settings }, progress) =>
      router.send(topicMessages, settings, progress),
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
  return withContext(wrapped, context);
}

/** Remembers what a producer is made of. */
export function withContext(producer: Producer, context: ProducerContext): Producer {
  return Object.defineProperty(producer, CONTEXT, { value: context });
}

/** A record without what is not set: kafkajs' defaults go by `undefined`, its copies may not. */
export function recordOf(
  topic: string,
  messages: Message[],
  settings: SendSettings,
): Parameters<Producer['send']>[0] {
  return { topic, messages, ...given(settings) };
}

/** Settings without those that are not set. */
export function given({
  acks,
  timeout,
  compression,
}: SendSettings): Pick<ProducerRecord, keyof SendSettings> {
  return {
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
