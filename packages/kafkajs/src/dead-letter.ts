/** Retry topics and dead-letter topics: their names, and the headers that tell what happened to a message. */
import { InvalidOptionError } from '@resil/core';
import type { IHeaders, KafkaMessage, Message, Producer } from 'kafkajs';
import { isRefusedForGood, isTooLarge } from './classify.js';
import type { ResolvedConsumerOptions } from './consumer-options.js';

/** Headers of a message that was given up. */
export const resilienceHeaders: {
  /** Topic that it was first read from. */
  readonly topic: 'x-resil-topic';
  /** Partition that it was first read from. */
  readonly partition: 'x-resil-partition';
  /** Offset that it was first read from. */
  readonly offset: 'x-resil-offset';
  /** Consumer group whose handler could not handle it. */
  readonly group: 'x-resil-group';
  /** How often its handler has run. */
  readonly attempts: 'x-resil-attempts';
  /** What its handler failed with at last: name and message. */
  readonly error: 'x-resil-error';
  /** When it was first given up, in milliseconds since 1970. */
  readonly timestamp: 'x-resil-timestamp';
  /** When it is to be handled again, in milliseconds since 1970; in retry topics only. */
  readonly due: 'x-resil-due';
  /** What the dead letter lacks because its topic does not take messages of that size: `value`, or `value,key,headers`. */
  readonly omitted: 'x-resil-omitted';
} = Object.freeze({
  topic: 'x-resil-topic',
  partition: 'x-resil-partition',
  offset: 'x-resil-offset',
  group: 'x-resil-group',
  attempts: 'x-resil-attempts',
  error: 'x-resil-error',
  timestamp: 'x-resil-timestamp',
  due: 'x-resil-due',
  omitted: 'x-resil-omitted',
});

const RETRY_TOPIC = /\.retry\.(\d+)$/;

/** Longest text of an error in a header. */
const MAX_ERROR_TEXT = 500;

/** What the headers of a message tell of its past. */
export interface MessagePast {
  /** Topic that it was first read from. */
  readonly topic: string;
  readonly attempts: number;
  /** Number of the retry topic that it was read from, counting from 1; 0 if it is none. */
  readonly step: number;
  /** When it is to be handled, in milliseconds since 1970. */
  readonly due: number;
  /** Consumer group that sent it to the retry topic, where that is known. */
  readonly group: string | undefined;
}

/** The topic of the `step`th delay, counting from 1. */
export function retryTopic(topic: string, step: number): string {
  return `${topic}.retry.${step}`;
}

/** Where a message of a topic goes in the end. Throws `InvalidOptionError` for what can't be its dead-letter topic. */
export function deadLetterTopic(
  topic: string,
  { deadLetterTopic: own }: Pick<ResolvedConsumerOptions, 'deadLetterTopic'>,
): string | undefined {
  if (own === false) return undefined;
  const name: unknown = typeof own === 'function' ? own(topic) : (own ?? `${topic}.dlq`);
  if (typeof name === 'string' && name !== '' && name !== topic) return name;
  throw new InvalidOptionError(
    'consumer.deadLetterTopic',
    name,
    `must be a topic, and another one than '${topic}', whose messages go there`,
  );
}

/** Whether a topic is one of the retry topics. */
export function isRetryTopic(topic: string): boolean {
  return RETRY_TOPIC.test(topic);
}

/** Reads a message's past. */
export function pastOf(topic: string, message: KafkaMessage): MessagePast {
  const headers = message.headers ?? {};
  const origin = textOf(headers[resilienceHeaders.topic]);
  const step = Number(RETRY_TOPIC.exec(topic)?.[1] ?? 0);
  if (origin === undefined || step === 0 || topic !== retryTopic(origin, step)) {
    return { topic, attempts: 0, step: 0, due: 0, group: undefined };
  }
  return {
    topic: origin,
    attempts: Number(textOf(headers[resilienceHeaders.attempts])) || 0,
    step,
    due: Number(textOf(headers[resilienceHeaders.due])) || 0,
    group: textOf(headers[resilienceHeaders.group]),
  };
}

/** A message that is given up, and where it is. */
export interface GivenUp {
  readonly topic: string;
  readonly partition: number;
  readonly message: KafkaMessage;
  readonly past: MessagePast;
  /** Runs of its handler this time. */
  readonly attempts: number;
  readonly error: unknown;
  /** Consumer group of the handler, where that is known. */
  readonly group: string | undefined;
}

/** A part of a message that a dead letter may lack. */
export type OmittedPart = 'value' | 'key' | 'headers';

/** Where a message was sent on to. */
export interface SentOn {
  readonly to: string;
  /** Milliseconds until it is handled again; `undefined` for a dead letter. */
  readonly delay: number | undefined;
  /** What it lacks, because the topic does not take messages of its size. */
  readonly omitted: readonly OmittedPart[];
}

/** No topic takes a message, and none ever will. */
export class Undeliverable {
  /** The dead-letter topic; `undefined` if none could be named. */
  readonly to: string | undefined;
  /** Why it does not take the message. */
  readonly error: unknown;

  constructor(to: string | undefined, error: unknown) {
    this.to = to;
    this.error = error;
  }
}

const NOTHING: readonly OmittedPart[] = [];

/** What a dead letter does without, until it is small enough. */
const OMISSIONS: readonly (readonly OmittedPart[])[] = [
  NOTHING,
  ['value'],
  ['value', 'key', 'headers'],
];

/**
 * Sends a message on: to the next retry topic, or to the dead-letter topic, which also gets what the
 * retry topic does not take. Gives where it went; `undefined` if it has nowhere to go. Rejects with
 * {@link Undeliverable} when trying again can't help.
 */
export async function giveUp(
  given: GivenUp,
  producer: Pick<Producer, 'send'>,
  options: ResolvedConsumerOptions,
  epoch: number,
  permanent: boolean,
): Promise<SentOn | undefined> {
  const { past } = given;
  const delay = permanent ? undefined : options.retryDelays[past.step];
  if (delay !== undefined) {
    const to = retryTopic(past.topic, past.step + 1);
    try {
      await producer.send({ topic: to, messages: [letter(given, epoch, epoch + delay, NOTHING)] });
      return { to, delay, omitted: NOTHING };
    } catch (error) {
      if (!isRefusedForGood(error)) throw error;
    }
  }
  const to = deadLetterTopicOf(past.topic, options);
  return to === undefined ? undefined : sendDeadLetter(given, producer, to, epoch);
}

function deadLetterTopicOf(topic: string, options: ResolvedConsumerOptions): string | undefined {
  try {
    return deadLetterTopic(topic, options);
  } catch (error) {
    throw new Undeliverable(undefined, error);
  }
}

async function sendDeadLetter(
  given: GivenUp,
  producer: Pick<Producer, 'send'>,
  to: string,
  epoch: number,
): Promise<SentOn> {
  let refusal: unknown;
  for (const omitted of OMISSIONS) {
    try {
      await producer.send({ topic: to, messages: [letter(given, epoch, undefined, omitted)] });
      return { to, delay: undefined, omitted };
    } catch (error) {
      if (!isRefusedForGood(error)) throw error;
      refusal = error;
      if (!isTooLarge(error)) break;
    }
  }
  throw new Undeliverable(to, refusal);
}

function letter(
  given: GivenUp,
  epoch: number,
  due: number | undefined,
  omitted: readonly OmittedPart[],
): Message {
  const { key, value } = given.message;
  return {
    key: omitted.includes('key') ? null : key,
    // Not null, with which a compacted topic forgets the key's dead letters.
    value: omitted.includes('value') ? Buffer.alloc(0) : value,
    headers: headersOf(given, epoch, due, omitted),
  } as Message;
}

function headersOf(
  given: GivenUp,
  epoch: number,
  due: number | undefined,
  left: readonly OmittedPart[],
): IHeaders {
  const { topic, partition, offset, group, attempts, error, timestamp, omitted } =
    resilienceHeaders;
  // Of the first place, whatever retry topic it has come through; what is left of a former life is not.
  const before: IHeaders = given.past.step > 0 ? { ...given.message.headers } : {};
  return {
    ...(left.includes('headers') ? {} : withoutPast(given.message.headers)),
    [topic]: given.past.topic,
    [partition]: before[partition] ?? String(given.partition),
    [offset]: before[offset] ?? given.message.offset,
    [timestamp]: before[timestamp] ?? String(Math.round(epoch)),
    ...(given.group !== undefined && { [group]: given.group }),
    [attempts]: String(given.past.attempts + given.attempts),
    [error]: describe(given.error),
    ...(left.length > 0 && { [omitted]: left.join(',') }),
    ...(due !== undefined && { [resilienceHeaders.due]: String(Math.round(due)) }),
  };
}

/** The headers of a message without those of ours. */
export function withoutPast(headers: IHeaders | undefined): IHeaders {
  const ours: readonly string[] = Object.values(resilienceHeaders);
  return Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !ours.includes(name)));
}

/** A header as text. */
export function textOf(header: IHeaders[string]): string | undefined {
  const first = Array.isArray(header) ? header[0] : header;
  return first === undefined ? undefined : first.toString();
}

function describe(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, MAX_ERROR_TEXT);
}
