/** Records as callers give them: checked once, before anything is sent. */
import { InvalidOptionError } from '@resil/core';
import type { Message, ProducerBatch, ProducerRecord, TopicMessages } from 'kafkajs';
import type { SendSettings } from './lane.js';
import { checkSendResilience, type SendResilience } from './options.js';

/** What a send is to write, and how. */
export interface Outgoing {
  readonly topicMessages: readonly TopicMessages[];
  readonly settings: SendSettings;
}

/** A send, whichever way it was asked for. */
export interface SendRequest extends Outgoing {
  readonly resilience: SendResilience;
}

const NOTHING: SendResilience = Object.freeze({});

/** Reads the argument of `send`. Throws `InvalidOptionError` for what can't be sent; no message shows up in it. */
export function readRecord(record: ProducerRecord): SendRequest {
  checkObject('send', record);
  const { topic, messages } = record;
  return read('send', [{ topic, messages }], record);
}

/** Reads the argument of `sendBatch`. */
export function readBatch(batch: ProducerBatch): SendRequest {
  checkObject('sendBatch', batch);
  const { topicMessages = [] } = batch;
  if (!Array.isArray(topicMessages)) {
    throw new InvalidOptionError('sendBatch.topicMessages', topicMessages, 'must be an array');
  }
  return read('sendBatch', topicMessages, batch);
}

function read(
  method: string,
  parts: readonly TopicMessages[],
  { acks, timeout, compression, resilience }: ProducerBatch,
): SendRequest {
  if (acks !== undefined && acks !== -1 && acks !== 0 && acks !== 1) {
    throw new InvalidOptionError(`${method}.acks`, acks, 'must be -1, 0 or 1');
  }
  const byTopic = new Map<string, TopicMessages>();
  for (const { topic, messages } of parts) {
    checkMessages(method, topic, messages);
    const same = byTopic.get(topic);
    byTopic.set(topic, {
      topic,
      messages: same === undefined ? messages : [...same.messages, ...messages],
    });
  }
  if (resilience !== undefined) checkSendResilience(resilience);
  return {
    topicMessages: [...byTopic.values()],
    settings: { acks, timeout, compression },
    resilience: resilience ?? NOTHING,
  };
}

/** Whether a kept message is one that kafkajs can make bytes of, whoever has kept it. */
export function isSendable(topic: string, message: Message): boolean {
  try {
    checkMessages('send', topic, [message]);
    return true;
  } catch {
    return false;
  }
}

function checkMessages(method: string, topic: unknown, messages: unknown): void {
  if (typeof topic !== 'string' || topic === '') {
    throw new InvalidOptionError(`${method}.topic`, topic, 'must be a string that is not empty');
  }
  if (!/^[\w.-]{1,249}$/.test(topic) || topic === '.' || topic === '..') {
    const rule = 'must be up to 249 letters, digits, dots, underscores and hyphens';
    throw new InvalidOptionError(`${method}.topic`, topic, rule);
  }
  if (!Array.isArray(messages)) {
    throw new InvalidOptionError(`${method}.messages`, messages, 'must be an array');
  }
  messages.forEach((message, index) => {
    const at = `${method}.messages[${index}]`;
    if (typeof message !== 'object' || message === null) {
      throw new InvalidOptionError(at, typeof message, 'must be an object with a value');
    }
    checkContents(at, message);
    checkPlace(at, message);
    if (message.headers !== undefined && message.headers !== null) {
      checkHeaders(`${at}.headers`, message.headers);
    }
  });
}

function checkContents(at: string, message: Record<'value' | 'key', unknown>): void {
  for (const field of ['value', 'key'] as const) {
    const content = message[field];
    if (content === null || isContent(content)) continue;
    if (field === 'key' && content === undefined) continue;
    // Its type and not itself: a message is nobody else's business.
    throw new InvalidOptionError(
      `${at}.${field}`,
      typeof content,
      'must be a string, a Buffer or null',
    );
  }
}

function checkPlace(at: string, message: Record<'partition' | 'timestamp', unknown>): void {
  const { partition, timestamp } = message;
  if (partition !== undefined && partition !== null && !isWhole(partition)) {
    throw new InvalidOptionError(`${at}.partition`, partition, 'must be a whole number from 0');
  }
  if (timestamp === undefined || timestamp === null) return;
  // kafkajs makes a BigInt of it, and reckons with it as a number. '-1' is Kafka's for none.
  const digits = typeof timestamp === 'string' && /^\d+$/.test(timestamp);
  if (timestamp !== '-1' && !isWhole(digits ? Number(timestamp) : timestamp)) {
    const rule = "must be whole milliseconds since 1970 as a string, like '1700000000000'";
    throw new InvalidOptionError(`${at}.timestamp`, timestamp, rule);
  }
}

/** kafkajs can write no header that is null, though its types allow `undefined`. */
function checkHeaders(at: string, headers: unknown): void {
  if (typeof headers !== 'object' || Array.isArray(headers)) {
    throw new InvalidOptionError(at, typeof headers, 'must be an object of headers');
  }
  for (const [name, header] of Object.entries(headers as object)) {
    const values: unknown[] = Array.isArray(header) ? header : [header];
    const wrong = values.find((value) => !isContent(value));
    if (values.every(isContent)) continue;
    const type = wrong === null ? 'null' : typeof wrong;
    const rule = 'must be a string, a Buffer or an array of them';
    throw new InvalidOptionError(`${at}.${name}`, type, rule);
  }
}

function isContent(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkObject(method: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw new InvalidOptionError(method, value, 'must be a record with a topic and messages');
}
