/** Records as callers give them: checked once, before anything is sent. */
import { InvalidOptionError } from '@resil/core';
import type { ProducerBatch, ProducerRecord, TopicMessages } from 'kafkajs';
import type { SendSettings } from './lane.js';
import { checkSendResilience, type SendResilience } from './options.js';

/** A send, whichever way it was asked for. */
export interface SendRequest {
  readonly topicMessages: readonly TopicMessages[];
  readonly settings: SendSettings;
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

function checkMessages(method: string, topic: unknown, messages: unknown): void {
  if (typeof topic !== 'string' || topic === '') {
    throw new InvalidOptionError(`${method}.topic`, topic, 'must be a string that is not empty');
  }
  if (!Array.isArray(messages)) {
    throw new InvalidOptionError(`${method}.messages`, messages, 'must be an array');
  }
  messages.forEach((message, index) => {
    const at = `${method}.messages[${index}]`;
    if (typeof message !== 'object' || message === null) {
      throw new InvalidOptionError(at, typeof message, 'must be an object with a value');
    }
    for (const field of ['value', 'key'] as const) {
      const content: unknown = message[field];
      if (content === null || typeof content === 'string' || content instanceof Uint8Array)
        continue;
      if (field === 'key' && content === undefined) continue;
      // Its type and not itself: a message is nobody else's business.
      throw new InvalidOptionError(
        `${at}.${field}`,
        typeof content,
        'must be a string, a Buffer or null',
      );
    }
  });
}

function checkObject(method: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw new InvalidOptionError(method, value, 'must be a record with a topic and messages');
}
