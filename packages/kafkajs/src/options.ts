/**
 * What a resilient Kafka client can be told, what one send can say of itself, and the defaults.
 * Everything that is not Kafka's own is the standard pipeline's: see `standard` in @resil/core.
 */
import type {
  Call,
  Clock,
  FallbackFunction,
  OptionRules,
  Pipeline,
  Random,
  StandardOptions,
} from '@resil/core';
import {
  booleanRule,
  checkOptions,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  objectRule,
  oneOfRule,
  standardRules,
} from '@resil/core';
import { type ConsumerOptions, resolveConsumerOptions } from './consumer-options.js';
import type { Outbox } from './outbox.js';

/** Options of {@link resilient}: those of the standard pipeline, and those that only Kafka has. */
export interface KafkaOptions extends Omit<StandardOptions, 'key' | 'fallback' | 'hedge'> {
  /**
   * What shares a circuit breaker and limits: all sends of a producer, or those to one topic.
   *
   * @defaultValue `kafkaDefaults.keyBy` (`'cluster'`)
   */
  readonly keyBy?: 'cluster' | 'topic' | undefined;
  /** Key of the sends when they are keyed by cluster, for events. Default: `'cluster'`. */
  readonly key?: string | undefined;
  /**
   * Replaces the standard pipeline: gives the pipeline of a key. It is called once for each key; at
   * most 1,000 are kept. Parts of the standard pipeline can't be given beside it.
   */
  readonly pipeline?: ((key: string) => Pipeline) | undefined;
  /**
   * Answers sends that failed or were refused: a function, or an {@link outbox}, which keeps the
   * messages and sends them when the broker is back.
   */
  readonly fallback?: StandardOptions['fallback'] | Outbox | undefined;
  /**
   * Whether who reads a record is told what it was made for, where there is an ambient context, such as
   * that of `@resil/context`: the headers `resil-deadline` and `resil-context`. What goes through the
   * outbox tells nothing.
   *
   * @defaultValue `kafkaDefaults.sendContext` (true)
   */
  readonly sendContext?: boolean | undefined;
  /** How the handlers of this client's consumers are treated. */
  readonly consumer?: ConsumerOptions | undefined;
}

/** Defaults of {@link KafkaOptions}, where they are not those of `standard`. */
export const kafkaDefaults: {
  readonly name: string;
  readonly keyBy: 'cluster';
  readonly key: string;
  readonly retry: false;
  readonly totalTimeout: number;
  readonly attemptTimeout: number;
  readonly bulkhead: {
    readonly maxConcurrentCalls: number;
    readonly maxQueueSize: number;
    readonly queueTimeout: number;
  };
  readonly sendContext: boolean;
  readonly maxKeys: number;
} = Object.freeze({
  name: 'kafka',
  keyBy: 'cluster',
  key: 'cluster',
  // kafkajs repeats already, and within one partition it knows best what to repeat.
  retry: false,
  totalTimeout: 30_000,
  // A partition whose leader died has another one after about ten seconds.
  attemptTimeout: 15_000,
  // Sends of one partition wait for each other anyway, and go out together.
  bulkhead: Object.freeze({ maxConcurrentCalls: 1_000, maxQueueSize: 1_000, queueTimeout: 5_000 }),
  sendContext: true,
  maxKeys: 1_000,
});

/** What one send says of itself, as `resilience` in its record. */
export interface SendResilience {
  /** Whether writing it twice does no harm. Default: not known, so it is repeated only where it certainly was not written. */
  readonly idempotent?: boolean | undefined;
  /** When the send must have settled, on the clock's scale (`performance.now()`). Default: the pipeline's timeouts alone. */
  readonly deadline?: number | undefined;
  /** Ends the wait. What kafkajs has begun to send can't be called back. */
  readonly signal?: AbortSignal | undefined;
  /** Importance, higher first. Default: 0. */
  readonly priority?: number | undefined;
  /** Groups the send for breaker, limits and events. Default: by `keyBy`. */
  readonly key?: string | undefined;
}

declare module 'kafkajs' {
  interface ProducerRecord {
    /** How this send is to be treated by a resilient producer. */
    resilience?: SendResilience | undefined;
  }
  interface ProducerBatch {
    /** How this send is to be treated by a resilient producer. */
    resilience?: SendResilience | undefined;
  }
}

/** What the adapter knows of a call, for `classify`. */
export interface KafkaCallState {
  readonly operation: 'send' | 'transaction' | 'handle' | 'admin';
  /** Whether kafkajs has begun: it can't be called back, and may be done. */
  sent: boolean;
  /** @internal Whether a handler is run just once. */
  readonly once?: boolean;
  /** @internal Keeps what was to be sent, in the outbox. */
  readonly keep?: (call: Call) => Promise<unknown>;
}

declare module '@resil/core' {
  interface CallAttributes {
    /** Set by @resil/kafkajs. */
    kafkajs?: KafkaCallState;
  }
}

/** The options of {@link resilient} with their defaults filled in. */
export interface ResolvedKafkaOptions {
  readonly name: string;
  readonly keyBy: 'cluster' | 'topic';
  readonly key: string;
  readonly clock: Clock | undefined;
  readonly random: Random | undefined;
  readonly pipeline: ((key: string) => Pipeline) | undefined;
  readonly outbox: Outbox | undefined;
  readonly sendContext: boolean;
  readonly consumer: ConsumerOptions;
  /** What is handed on to `standard`. */
  readonly standard: StandardOptions;
}

/** Options that only the standard pipeline reads; the others are ours to check. */
const { key: _key, hedge: _hedge, fallback: _fallback, ...partRules } = standardRules;

const rules: OptionRules<KafkaOptions> = {
  ...partRules,
  fallback: eitherRule(
    standardRules.fallback,
    objectRule('an outbox', (value) => typeof value.enter === 'function'),
  ),
  key: nameRule,
  keyBy: oneOfRule('cluster', 'topic'),
  pipeline: functionRule,
  sendContext: booleanRule,
  consumer: objectRule('an options object'),
};

/** Parts of the standard pipeline that mean nothing beside a pipeline that replaces it. */
const STANDARD_ONLY = [
  'totalTimeout',
  'attemptTimeout',
  'retry',
  'circuitBreaker',
  'bulkhead',
  'fallback',
] as const;

const sendRules: OptionRules<SendResilience> = {
  idempotent: booleanRule,
  deadline: durationRule(0, true),
  signal: objectRule('an AbortSignal', (value) => typeof value.addEventListener === 'function'),
  priority: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a number',
  },
  key: nameRule,
};

/** Checks the options and fills in the defaults. */
export function resolveOptions(options: KafkaOptions): ResolvedKafkaOptions {
  if (typeof options === 'object' && options !== null) refuseHedge(options as StandardOptions);
  checkOptions('resilient', options, rules);
  if (options.pipeline !== undefined) checkPipelineAlone(options);
  const { keyBy, key, pipeline, sendContext, consumer, fallback, ...rest } = options;
  const { name = kafkaDefaults.name, clock, random, ...parts } = rest;
  if (consumer !== undefined) resolveConsumerOptions(consumer);
  const outbox = isOutbox(fallback) ? fallback : undefined;
  const { bulkhead, retry = kafkaDefaults.retry, ...others } = parts;
  return {
    name,
    key: key ?? kafkaDefaults.key,
    keyBy: keyBy ?? kafkaDefaults.keyBy,
    clock,
    random,
    pipeline,
    outbox,
    sendContext: sendContext ?? kafkaDefaults.sendContext,
    consumer: consumer ?? {},
    standard: {
      ...others,
      ...timeoutsOf(parts),
      retry,
      bulkhead: bulkhead === false ? false : { ...kafkaDefaults.bulkhead, ...bulkhead },
      fallback: outbox === undefined ? (fallback as StandardOptions['fallback']) : keepInOutbox,
      name,
      clock,
      random,
    },
  };
}

/** What kafkajs has begun to send can't be called back: a second copy would be a second message. */
function refuseHedge({ hedge }: Pick<StandardOptions, 'hedge'>): void {
  if (hedge === undefined || hedge === false) return;
  throw new InvalidOptionError(
    'resilient.hedge',
    hedge,
    'must be left out: what kafkajs has begun to send is not called back',
  );
}

/** Whoever makes the pipeline decides what it is made of. */
function checkPipelineAlone(options: KafkaOptions): void {
  const part = STANDARD_ONLY.find((name) => options[name] !== undefined);
  if (part === undefined) return;
  throw new InvalidOptionError(
    `resilient.${part}`,
    options[part],
    'must be left out where pipeline is given',
  );
}

/** The outbox as a fallback: it gets what was to be sent by way of the call. */
const keepInOutbox: FallbackFunction = (error, call) => {
  const keep = call.attributes.kafkajs?.keep;
  if (keep === undefined) throw error;
  return keep(call);
};

/** Where one of the two is given, the other's default gives way to it. */
function timeoutsOf({ totalTimeout, attemptTimeout }: StandardOptions): {
  totalTimeout: number | false;
  attemptTimeout: number | false;
} {
  const total = totalTimeout ?? Math.max(kafkaDefaults.totalTimeout, Number(attemptTimeout) || 0);
  const attempt =
    attemptTimeout ?? Math.min(kafkaDefaults.attemptTimeout, Number(total) || Infinity);
  return { totalTimeout: total, attemptTimeout: attempt };
}

/** Checks what a send says of itself. */
export function checkSendResilience(value: SendResilience): void {
  checkOptions('resilience', value, sendRules);
}

/** What the adapter knows of a call; `undefined` for a call of somebody else. */
export function kafkaState(call: Call): KafkaCallState | undefined {
  return call.attributes.kafkajs;
}

function isOutbox(value: unknown): value is Outbox {
  return (
    typeof value === 'object' && value !== null && typeof (value as Outbox).enter === 'function'
  );
}
