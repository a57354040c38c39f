/** What handlers of messages can be told, and the defaults. */
import type {
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
  /** Limits how many handlers run at a time. Default: none; kafkajs runs one. */
  readonly bulkhead?: BulkheadOptions | false | undefined;
  /**
   * What a handler's outcome means. `'ignored'` is the message's own fault: it is given up at once, and
   * the breaker hears nothing of it. Default: an error is a failure that may be repeated.
   */
  readonly classify?: Classify | undefined;
  /**
   * Delays in milliseconds of the retry topics: a message whose in-place attempts are used up goes to
   * `<topic>.retry.1` and is handled again after the first delay, and so on. They are subscribed to
   * with the topic.
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
  /** Told of each message that was sent on to a retry or dead-letter topic. Default: nobody. */
  readonly onGivenUp?: ((message: GivenUpMessage) => void) | undefined;
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
  /** Milliseconds before a message is tried again that could not be given up, because its dead-letter topic can't be written. */
  readonly holdDelay: number;
} = Object.freeze({
  name: 'kafka consumer',
  attemptTimeout: false,
  retryDelays: Object.freeze([]),
  createTopics: true,
  heartbeatInterval: 1_000,
  holdDelay: 1_000,
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
  onGivenUp: functionRule,
  producer: objectRule('a producer', (value) => typeof value.send === 'function'),
  clock: clockRule,
  random: functionRule,
};

/** Checks what handlers are told. */
export function checkConsumerOptions(options: ConsumerOptions): void {
  checkOptions('consumer', options, rules);
  if (options.deadLetterTopic === false && (options.retryDelays ?? []).length > 0) {
    throw new InvalidOptionError(
      'consumer.retryDelays',
      options.retryDelays,
      'must be empty when deadLetterTopic is false: a message that leaves the last retry topic has nowhere to go',
    );
  }
}
