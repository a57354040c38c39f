/** Retry topics and dead-letter topics: their names, and the headers that tell what happened to a message. */
import { InvalidOptionError } from '@resil/core';
import type { IHeaders, KafkaMessage, Message, Producer } from 'kafkajs';
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
} = Object.freeze({
  topic: 'x-resil-topic',
  partition: 'x-resil-partition',
  offset: 'x-resil-offset',
  group: 'x-resil-group',
  attempts: 'x-resil-attempts',
  error: 'x-resil-error',
  timestamp: 'x-resil-timestamp',
  due: 'x-resil-due',
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

/** Where a message was sent on to. */
export interface SentOn {
  readonly to: string;
  /** Milliseconds until it is handled again; `undefined` for a dead letter. */
  readonly delay: number | undefined;
}

/** Sends a message on: to the next retry topic, or to the dead-letter topic. Gives where it went; `undefined` if it has nowhere to go. */
export async function giveUp(
  given: GivenUp,
  producer: Pick<Producer, 'send'>,
  options: ResolvedConsumerOptions,
  epoch: number,
  permanent: boolean,
): Promise<SentOn | undefined> {
  const { past, message } = given;
  const delay = permanent ? undefined : options.retryDelays[past.step];
  const to =
    delay === undefined
      ? deadLetterTopic(past.topic, options)
      : retryTopic(past.topic, past.step + 1);
  if (to === undefined) return undefined;
  const due = delay === undefined ? undefined : epoch + delay;
  await producer.send({
    topic: to,
    messages: [
      { key: message.key, value: message.value, headers: headersOf(given, epoch, due) } as Message,
    ],
  });
  return { to, delay };
}

function headersOf(given: GivenUp, epoch: number, due: number | undefined): IHeaders {
  const { topic, partition, offset, group, attempts, error, timestamp } = resilienceHeaders;
  // Of the first place, whatever retry topic it has come through; what is left of a former life is not.
  const before: IHeaders = given.past.step > 0 ? { ...given.message.headers } : {};
  return {
    ...withoutPast(given.message.headers),
    [topic]: given.past.topic,
    [partition]: before[partition] ?? String(given.partition),
    [offset]: before[offset] ?? given.message.offset,
    [timestamp]: before[timestamp] ?? String(Math.round(epoch)),
    ...(given.group !== undefined && { [group]: given.group }),
    [attempts]: String(given.past.attempts + given.attempts),
    [error]: describe(given.error),
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
