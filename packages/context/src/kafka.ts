/**
 * Kafka: a handler within the context that its record brought. A record is not a request: it may be
 * read an hour later, and what was to be done still is. So its deadline counts only where the handler
 * is told what to do instead.
 */
import {
  type AmbientContext,
  type Clock,
  checkOptions,
  clockRule,
  functionRule,
  InvalidOptionError,
  type OptionRules,
} from '@resil/core';
import { currentContext, provideContext, runWithin, within } from './context.js';
import type { HeaderRecord } from './headers.js';
import { Arrivals, type ContextOptions } from './options.js';

/** What is needed of the payload that kafkajs gives `eachMessage`. */
export interface KafkaPayloadLike {
  readonly message: {
    readonly headers?: HeaderRecord | undefined;
    /** When the record was made, in milliseconds since 1970. */
    readonly timestamp: string;
  };
}

/** Options of {@link kafkaContext}. */
export interface KafkaContextOptions<Payload extends KafkaPayloadLike>
  extends Pick<ContextOptions, 'trust' | 'clock'> {
  /**
   * Takes a record whose deadline has passed, instead of the handler; what it leaves alone counts as
   * consumed. With it the rest of the time that the record's sender had is the handler's deadline:
   * what the header tells, less the age of the record, for which the clocks of both must agree.
   *
   * Default: a record has no deadline; nor has one that doesn't say when it was made.
   */
  readonly onLate?: ((payload: Payload) => Promise<void> | void) | undefined;
}

const kafkaRules: OptionRules<KafkaContextOptions<KafkaPayloadLike>> = {
  trust: functionRule,
  clock: clockRule,
  onLate: functionRule,
};

/**
 * A handler for `eachMessage`, within the context of each record: its priority and idempotency.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { currentContext, kafkaContext } from '@resil/context';
 *
 * const eachMessage = kafkaContext(async () => console.log(currentContext()?.priority));
 * await eachMessage({ message: { headers: { 'resil-context': 'priority=5' }, timestamp: '0' } });
 * ```
 */
export function kafkaContext<Payload extends KafkaPayloadLike>(
  handler: (payload: Payload) => Promise<void>,
  options: KafkaContextOptions<Payload> = {},
): (payload: Payload) => Promise<void> {
  if (!functionRule.test(handler))
    throw new InvalidOptionError('kafkaContext: handler', handler, 'must be a function');
  checkOptions('kafkaContext', options, kafkaRules);
  const { onLate, ...rest } = options;
  const arrivals = new Arrivals('kafkaContext', rest);
  provideContext();
  return async (payload) => {
    const { headers = {}, timestamp } = payload.message;
    const context = arrivals.contextOf(headers);
    const { deadline, clock, retried: _sendersOwn, ...told } = context;
    const age = onLate === undefined ? undefined : ageOf(timestamp, arrivals.clock);
    const limit = age === undefined ? {} : { deadline: deadline && deadline - age, clock };
    const record: AmbientContext = { ...told, ...limit };
    if (onLate !== undefined && arrivals.isLate(record)) await onLate(payload);
    else await runWithin(within(currentContext(), record), () => handler(payload));
  };
}

/** How old a record is, in ms, told in wall time alone; `undefined` where it doesn't say (Kafka's -1). */
function ageOf(timestamp: string, clock: Clock): number | undefined {
  const made = Number.parseFloat(timestamp);
  return made >= 0 ? Math.max(0, (clock.epoch?.() ?? clock.now()) - made) : undefined;
}
