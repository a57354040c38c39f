/** Sends through a pipeline: what `send` and `sendBatch` of producers and of transactions have in common. */
import { type Call, isResilienceError, OutcomeUnknownError, type Pipeline } from '@resil/core';
import type { ProducerBatch, ProducerRecord, RecordMetadata } from 'kafkajs';
import type { KafkaCallState } from './options.js';
import { readBatch, readRecord, type SendRequest } from './record.js';
import type { Parts } from './router.js';

/** What a guarded sender needs. */
export interface SenderParts {
  /** The pipeline for sends to these topics. */
  pipeline(topics: readonly string[], key: string | undefined): Pipeline;
  /** Begins to send. */
  begin(request: SendRequest): Parts;
  /** Answers instead of Kafka; `undefined` to send. */
  instead?(request: SendRequest): Promise<RecordMetadata[]> | undefined;
  /** Keeps what could not be sent; handed to the fallback by way of the call. */
  keep?(request: SendRequest): Promise<RecordMetadata[]>;
}

/** `send` and `sendBatch` of kafkajs. */
export interface Sender {
  send(record: ProducerRecord): Promise<RecordMetadata[]>;
  sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]>;
}

/** The two methods, guarded. */
export function guardedSender(parts: SenderParts): Sender {
  return {
    send: async (record) => guarded(parts, readRecord(record)),
    sendBatch: async (batch) => guarded(parts, readBatch(batch)),
  };
}

async function guarded(parts: SenderParts, request: SendRequest): Promise<RecordMetadata[]> {
  const { topicMessages, resilience } = request;
  if (topicMessages.every(({ messages }) => messages.length === 0)) return [];
  const topics = topicMessages.map(({ topic }) => topic);
  const keep = parts.keep;
  const state: KafkaCallState = {
    operation: 'send',
    sent: false,
    ...(keep && { keep: () => keep(request) }),
  };
  const answer = parts.instead?.(request);
  if (answer !== undefined) return answer;
  const { signal, deadline, priority, idempotent, key } = resilience;
  const pipeline = parts.pipeline(topics, key);
  const options = {
    signal,
    deadline,
    priority,
    idempotent,
    key,
    name: topics.length === 1 ? topics[0] : 'batch',
    attributes: { kafkajs: state },
  };
  try {
    return await pipeline.execute((call) => sendOnce(parts, request, call, state), options);
  } catch (error) {
    if (!state.sent || !isResilienceError(error) || error.code !== 'RESIL_TIMEOUT') throw error;
    throw new OutcomeUnknownError(
      error.strategy,
      `a send to '${topics.join("', '")}' was not answered in time; it may have been written, or be written later`,
      error,
    );
  }
}

function sendOnce(
  parts: SenderParts,
  request: SendRequest,
  call: Call,
  state: KafkaCallState,
): Promise<RecordMetadata[]> {
  state.sent = false;
  const running = parts.begin(request);
  const forget = call.onAbort((reason) => {
    state.sent = running.sent;
    running.withdraw(reason);
  });
  return running.done.finally(forget);
}
