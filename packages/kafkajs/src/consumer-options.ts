/** What handlers of messages can be told, and the defaults. */
import type {
  Bulkhead,
  BulkheadOptions,
  CircuitBreakerOptions,
  Classify,
  Clock,
  OptionRules,
  Random,
  RetryOptions,
} from '@resil/core';
import {
  booleanRule,
  checkOptions,
  clockRule,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  objectRule,
  oneOfRule,
  positiveDurationRule,
} from '@resil/core';
import type { Producer } from 'kafkajs';
import type { OmittedPart } from './dead-letter.js';

/** What became of a message that its handler could not handle. It tells nothing of the message's contents. */
export interface GivenUpMessage {
  /** Topic that the message was first read from. */
  readonly topic: string;
  /** Partition and offset that it was read from this time. */
  readonly partition: number;
  readonly offset: string;
  /** Topic that it was sent on to. */
  readonly to: string;
  /** How often its handler has run, all topics together. */
  readonly attempts: number;
  /** What its handler failed with at last. */
  readonly error: unknown;
  /** What the dead letter lacks, because its topic does not take messages of that size. */
  readonly omitted: readonly OmittedPart[];
}

/** A message that its handler could not handle and no topic takes. It tells nothing of the message's contents. */
export interface UndeliverableMessage extends Omit<GivenUpMessage, 'to' | 'omitted'> {
  /** The dead-letter topic; `undefined` if none could be named. */
  readonly to: string | undefined;
  /** Why it does not take the message. */
  readonly refusal: unknown;
  /** Whether it was passed over, and is lost; its partition waits with it otherwise. */
  readonly skipped: boolean;
}

/** How handlers are treated. */
export interface ConsumerOptions {
  /** Name of the pipeline, for events. Default: `consumerDefaults.name` (`'kafka consumer'`). */
  readonly name?: string | undefined;
  /** In-place repetitions of a handler, with heartbeats. Default: those of `standard` (3 attempts), without a budget. */
  readonly retry?: RetryOptions | false | undefined;
  /**
   * Milliseconds for one run of a handler; `resilience.signal` in its payload is aborted then.
   *
   * Above 0, or `false`.
   *
   * @defaultValue `consumerDefaults.attemptTimeout` (`false`)
   */
  readonly attemptTimeout?: number | false | undefined;
  /**
   * Stops the handler while what it calls is down: its partitions are paused, and resumed by a probe.
   * No message is skipped.
   *
   * Default: that of `standard`.
   */
  readonly circuitBreaker?: CircuitBreakerOptions | false | undefined;
  /**
   * Limits how many handlers run at a time. Options make one for each consumer; a `bulkhead(…)` of the
   * core is shared by all that it is given to.
   *
   * Default: none; kafkajs runs `partitionsConsumedConcurrently` of them in each consumer, by default 1.
   */
  readonly bulkhead?: BulkheadOptions | Bulkhead | false | undefined;
  /**
   * What a handler's outcome means. What must not be repeated (`'ignored'`, or `repeat: false`) is
   * given up at once, without retry topics; of what is `'ignored'` the breaker hears nothing.
   *
   * Default: {@link classifyHandler}
   */
  readonly classify?: Classify | undefined;
  /**
   * Delays in milliseconds of the retry topics: a message whose in-place attempts are used up goes to
   * `<topic>.retry.1` and is handled again after the first delay, and so on. Consumers of a resilient
   * Kafka subscribe to them with the topic. The messages behind it don't wait: messages of one key
   * keep their order only if there are none.
   *
   * @defaultValue `consumerDefaults.retryDelays` (none)
   */
  readonly retryDelays?: readonly number[] | undefined;
  /**
   * Where a message goes in the end: a topic, or a function that names it; `false` keeps trying for
   * ever.
   *
   * Default: `<topic>.dlq`
   */
  readonly deadLetterTopic?: string | false | ((topic: string) => string) | undefined;
  /**
   * Whether retry and dead-letter topics that don't exist are created, by consumers of a resilient
   * Kafka.
   *
   * @defaultValue `consumerDefaults.createTopics` (true)
   */
  readonly createTopics?: boolean | undefined;
  /**
   * Milliseconds between heartbeats while a handler runs or waits.
   *
   * Above 0, well under the consumer's session timeout.
   *
   * @defaultValue `consumerDefaults.heartbeatInterval` (1,000)
   */
  readonly heartbeatInterval?: number | undefined;
  /**
   * Milliseconds before a message is looked at again that was refused, or could not be sent on.
   *
   * Above 0. An open circuit tells better how long to wait.
   *
   * @defaultValue `consumerDefaults.holdDelay` (1,000)
   */
  readonly holdDelay?: number | undefined;
  /**
   * Longest time in milliseconds that a message is tried again and again as a probe of an open circuit:
   * then it is taken for the cause, and given up.
   *
   * At least 0; `Infinity` to wait for ever. A message has had all its attempts before.
   *
   * @defaultValue `consumerDefaults.maxHoldDuration` (600,000)
   */
  readonly maxHoldDuration?: number | undefined;
  /**
   * Milliseconds that running handlers get to finish when the consumer stops; then `resilience.signal`
   * is aborted.
   *
   * Above 0, or `false` for as long as they need.
   *
   * @defaultValue `consumerDefaults.drainTimeout` (20,000)
   */
  readonly drainTimeout?: number | false | undefined;
  /** Told of each message that was sent on to a retry or dead-letter topic. Default: nobody. */
  readonly onGivenUp?: ((message: GivenUpMessage) => void) | undefined;
  /**
   * What happens to a message that can't be handled, and whose dead letter is refused for good: by the
   * broker (authorization, a record that the topic does not allow), or because its topic can't be named.
   * One that is too large for its topic is not among them: its dead letter goes without its value.
   *
   * - `'stop'`: its partition is left alone with it, until `consumer.resume` or a new start of the consumer.
   * - `'skip'`: it is passed over, and lost.
   *
   * Both are told by `message.undeliverable` and `onUndeliverable`.
   *
   * @defaultValue `consumerDefaults.whenUndeliverable` (`'stop'`)
   */
  readonly whenUndeliverable?: 'stop' | 'skip' | undefined;
  /** Told of each message that can be neither handled nor sent on. Default: nobody. */
  readonly onUndeliverable?: ((message: UndeliverableMessage) => void) | undefined;
  /** Sends to retry and dead-letter topics. Needed by `resilientHandler`; consumers of a resilient Kafka make one of their own. */
  readonly producer?: Pick<Producer, 'send'> | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
}

/** Defaults of {@link ConsumerOptions}. */
export const consumerDefaults: {
  readonly name: string;
  readonly attemptTimeout: false;
  readonly retryDelays: readonly number[];
  readonly createTopics: boolean;
  readonly heartbeatInterval: number;
  readonly holdDelay: number;
  readonly maxHoldDuration: number;
  readonly drainTimeout: number;
  readonly whenUndeliverable: 'stop';
} = Object.freeze({
  name: 'kafka consumer',
  attemptTimeout: false,
  retryDelays: Object.freeze([]),
  createTopics: true,
  heartbeatInterval: 1_000,
  holdDelay: 1_000,
  maxHoldDuration: 600_000,
  // Kubernetes gives a process 30 s.
  drainTimeout: 20_000,
  whenUndeliverable: 'stop',
});

const off = oneOfRule(false);
const partRule = eitherRule(objectRule('an options object'), off);

const rules: OptionRules<ConsumerOptions> = {
  name: nameRule,
  retry: partRule,
  attemptTimeout: eitherRule(positiveDurationRule(), off),
  circuitBreaker: partRule,
  bulkhead: partRule,
  classify: functionRule,
  retryDelays: {
    test: (value) => Array.isArray(value) && value.every((one) => durationRule().test(one)),
    text: 'an array of durations in milliseconds',
  },
  deadLetterTopic: eitherRule(nameRule, eitherRule(functionRule, off)),
  createTopics: booleanRule,
  heartbeatInterval: positiveDurationRule(),
  holdDelay: positiveDurationRule(),
  maxHoldDuration: durationRule(0, true),
  drainTimeout: eitherRule(positiveDurationRule(), off),
  onGivenUp: functionRule,
  whenUndeliverable: oneOfRule('stop', 'skip'),
  onUndeliverable: functionRule,
  producer: objectRule('a producer', (value) => typeof value.send === 'function'),
  clock: clockRule,
  random: functionRule,
};

/** The options with their defaults filled in, where they have one. */
export type ResolvedConsumerOptions = Omit<ConsumerOptions, Defaulted> & {
  readonly [Name in Defaulted]: NonNullable<ConsumerOptions[Name]>;
};

type Defaulted = keyof typeof consumerDefaults;

/** Checks what handlers are told, and fills in the defaults. */
export function resolveConsumerOptions(options: ConsumerOptions): ResolvedConsumerOptions {
  checkOptions('consumer', options, rules);
  if (options.deadLetterTopic === false && (options.retryDelays ?? []).length > 0) {
    throw new InvalidOptionError(
      'consumer.retryDelays',
      options.retryDelays,
      'must be empty when deadLetterTopic is false: a message that leaves the last retry topic has nowhere to go',
    );
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...consumerDefaults, ...Object.fromEntries(given) };
}
