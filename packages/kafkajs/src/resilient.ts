/**
 * The seam: a proxy over kafkajs' client, which gives back kafkajs' own type. The producers, consumers
 * and admins that it makes are guarded, because only where they are made can the partitioner and the
 * retry settings be reached, and a producer object be replaced.
 */
import { InvalidOptionError } from '@resil/core';
import type {
  Admin,
  AdminConfig,
  Consumer,
  ConsumerConfig,
  Kafka,
  Producer,
  ProducerConfig,
  RetryOptions,
} from 'kafkajs';
import { wrapAdmin } from './admin.js';
import { setBeneath } from './beneath.js';
import { wrapConsumer } from './consumer.js';
import { type KafkaOptions, type ResolvedKafkaOptions, resolveOptions } from './options.js';
import { Pipelines } from './pipelines.js';
import { checkRetryOwner, contextOf, createProducer } from './producer.js';
import { wrapReadyProducer } from './ready-producer.js';

/** Answered by every wrapped client, also to a second copy of this package. */
const WRAPPED = '@resil/kafkajs/wrapped';

/** kafkajs' own number of retries where none is configured. */
const KAFKAJS_RETRIES = 5;

/**
 * Keeps a Kafka client's callers alive when brokers are slow, fail or disappear, and their messages
 * safe. Gives the client back, with its own type: the producers, consumers and admins made from
 * it are guarded. Takes a ready producer too, with fewer promises: see the README.
 *
 * Sends reject with kafkajs' own errors, or a `ResilienceError`: `RESIL_OUTCOME_UNKNOWN` (a send that
 * was not answered in time), `RESIL_TIMEOUT` (one that was never begun), `RESIL_CIRCUIT_OPEN`,
 * `RESIL_BULKHEAD_FULL`, `RESIL_QUEUE_TIMEOUT`, `RESIL_UNKNOWN_PARTITION`.
 *
 * @throws InvalidOptionError for what is neither a client nor a producer, what is wrapped already, bad
 *   options, and retries on top of kafkajs' own.
 * @example
 * ```ts no-run (needs a broker)
 * import { resilient } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const kafka = resilient(new Kafka({ brokers: ['localhost:9092'] }));
 * const producer = kafka.producer();
 * await producer.connect();
 * await producer.send({ topic: 'orders', messages: [{ key: '7', value: 'two teapots' }] });
 * await producer.disconnect();
 * ```
 */
export function resilient<T extends Kafka | Producer>(target: T, options: KafkaOptions = {}): T {
  checkTarget(target);
  const resolved = withDependency(resolveOptions(options), innerAttemptsOf(target));
  const pipelines = new Pipelines(resolved);
  if (isProducer(target)) return wrapReadyProducer(target, resolved, pipelines) as T;
  return wrapKafka(target as Kafka, resolved, pipelines) as T;
}

function wrapKafka(kafka: Kafka, options: ResolvedKafkaOptions, pipelines: Pipelines): Kafka {
  // Finding a leader and connecting go by those of the client, whatever a producer or admin is told.
  const retriesOf = (own: RetryOptions | undefined): number =>
    Math.max(clusterRetries(kafka) ?? KAFKAJS_RETRIES, own?.retries ?? 0);
  const producer = (config: ProducerConfig = {}): Producer => {
    checkRetryOwner(options, retriesOf(config.retry), config);
    return createProducer((own) => kafka.producer(own), config, options, pipelines);
  };
  // A fallback's answer must not pass for a written message.
  const strict = { ...options, outbox: undefined };
  let strictPipelines: Pipelines | undefined;
  const certain = (): Producer => {
    strictPipelines ??= new Pipelines(strict, true);
    return createProducer((own) => kafka.producer(own), {}, strict, strictPipelines);
  };
  const consumer = (config: ConsumerConfig): Consumer =>
    wrapConsumer(kafka, certain, config, options);
  const name = `${options.name} admin`;
  let adminPipelines: Pipelines | undefined;
  const admin = (config: AdminConfig = {}): Admin => {
    checkRetryOwner(options, retriesOf(config.retry));
    adminPipelines ??= new Pipelines(
      { ...options, name, standard: { ...options.standard, name } },
      true,
    );
    return wrapAdmin(kafka.admin(config), adminPipelines.of(undefined));
  };
  const own: Record<PropertyKey, unknown> = { producer, consumer, admin, [WRAPPED]: true };
  const wrapped = new Proxy(kafka, {
    get(target, property) {
      if (Object.hasOwn(own, property)) return own[property];
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' && property !== 'constructor' ? value.bind(target) : value;
    },
  });
  setBeneath(wrapped, { kafka, producer: certain });
  return wrapped;
}

/** What it stands before, as far as that can be told; what the user says goes first. */
function withDependency(
  options: ResolvedKafkaOptions,
  innerAttempts: number | undefined,
): ResolvedKafkaOptions {
  const dependency = {
    client: 'kafkajs',
    ...(innerAttempts !== undefined && { innerAttempts }),
    ...options.standard.dependency,
  };
  return { ...options, standard: { ...options.standard, dependency } };
}

/** Attempts that kafkajs makes of a send; a producer that is ready doesn't tell. */
function innerAttemptsOf(target: Kafka | Producer): number | undefined {
  if (isProducer(target)) return undefined;
  // Some say Infinity.
  return Math.min(1 + (clusterRetries(target) ?? KAFKAJS_RETRIES), Number.MAX_SAFE_INTEGER);
}

/** What the client was told about retries; kafkajs keeps it under a symbol of its own. */
function clusterRetries(kafka: Kafka): number | undefined {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) =>
    description?.endsWith('clusterRetry'),
  );
  if (symbol === undefined) return undefined;
  return (kafka as unknown as Record<symbol, { retries?: number } | undefined>)[symbol]?.retries;
}

function checkTarget(target: unknown): void {
  const seen = target as Partial<Kafka> & Record<typeof WRAPPED, unknown>;
  const client =
    typeof seen === 'object' &&
    seen !== null &&
    typeof seen.producer === 'function' &&
    typeof seen.consumer === 'function' &&
    typeof seen.admin === 'function';
  if (!client && !isProducer(target)) {
    throw new InvalidOptionError(
      'resilient: target',
      target,
      "must be a Kafka client or a producer of the package 'kafkajs'",
    );
  }
  if (seen[WRAPPED] === true || contextOf(target) !== undefined) {
    throw new InvalidOptionError('resilient: target', target, 'must not be wrapped twice');
  }
}

function isProducer(target: unknown): target is Producer {
  const seen = target as Partial<Producer> | null;
  return (
    typeof seen === 'object' &&
    seen !== null &&
    typeof seen.send === 'function' &&
    typeof seen.sendBatch === 'function' &&
    typeof seen.isIdempotent === 'function'
  );
}
