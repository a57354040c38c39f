/** Sends through a pipeline: what `send` and `sendBatch` of producers and of transactions have in common. */
import {
  ambientDeadline,
  type Call,
  isResilienceError,
  OutcomeUnknownError,
  type Pipeline,
  type ResilienceError,
} from '@resil/core';
import type { ProducerBatch, ProducerRecord, RecordMetadata } from 'kafkajs';
import { mayBeWritten } from './classify.js';
import { tellingContext } from './context-headers.js';
import type { KafkaCallState } from './options.js';
import type { Outbox } from './outbox.js';
import type { Ticket } from './outbox-intake.js';
import { BehindOutboxError } from './outbox-options.js';
import { Progress } from './progress.js';
import { readBatch, readRecord, type SendRequest } from './record.js';
import type { Parts } from './router.js';

/** What a guarded sender needs. */
export interface SenderParts {
  /** The pipeline for sends to these topics. */
  pipeline(topics: readonly string[], key: string | undefined): Pipeline;
  /** Begins to send what `progress` does not have as written. */
  begin(request: SendRequest, progress: Progress): Parts;
  /** Whether who reads a record is told what it was made for. */
  readonly sendContext: boolean;
  /** Keeps what can't be sent. */
  readonly outbox?: Outbox | undefined;
  /** Lets nothing overtake what goes into the outbox. */
  halt?(topics: readonly string[]): void;
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
  const { topicMessages } = request;
  if (topicMessages.every(({ messages }) => messages.length === 0)) return [];
  const topics = topicMessages.map(({ topic }) => topic);
  const ticket = parts.outbox?.enter();
  try {
    return await execute(parts, request, topics, ticket);
  } finally {
    ticket?.leave();
  }
}

async function execute(
  parts: SenderParts,
  request: SendRequest,
  topics: readonly string[],
  ticket: Ticket | undefined,
): Promise<RecordMetadata[]> {
  const keep = ticket && {
    keep: ({ signal: ended, deadline: last }: Call): Promise<RecordMetadata[]> => {
      parts.halt?.(topics);
      return ticket.keep(request.topicMessages, { signal: ended, deadline: last });
    },
  };
  const state: KafkaCallState = { operation: 'send', sent: false, ...keep };
  const progress = new Progress();
  const { signal, deadline, priority, idempotent, key } = request.resilience;
  const pipeline = parts.pipeline(topics, key);
  const workDeadline = ambientDeadline(pipeline.clock);
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
    if (ticket?.behind === true) {
      const last = Math.min(deadline ?? Infinity, workDeadline);
      return await ticket.keep(request.topicMessages, { signal, deadline: last });
    }
    return await pipeline.execute((call) => {
      // It waited for its turn, and one before it was kept meanwhile.
      if (ticket?.behind === true) throw new BehindOutboxError();
      const told = parts.sendContext ? tellingContext(request, call, workDeadline) : request;
      return sendOnce(call, state, parts.begin(told, progress), progress);
    }, options);
  } catch (error) {
    if (!isResilienceError(error) || !isOfLastAttempt(error)) throw error;
    if (!progress.begun && ticket?.begun !== true) throw error;
    throw new OutcomeUnknownError(
      error.strategy,
      `a send to '${topics.join("', '")}' was not answered; it may have been written, or be written later`,
      error,
    );
  }
}

/** Whether an error tells of the last attempt alone: it took too long, or was not made. What an outbox refuses is told as it is. */
function isOfLastAttempt({ code, refusal, strategy }: ResilienceError): boolean {
  return code === 'RESIL_TIMEOUT' || (refusal && strategy !== 'outbox');
}

function sendOnce(
  call: Call,
  state: KafkaCallState,
  running: Parts,
  progress: Progress,
): Promise<RecordMetadata[]> {
  state.sent = false;
  return new Promise((resolve, reject) => {
    // kafkajs can't be told to stop: the caller is freed, and what has not begun is taken back.
    const forget = call.onAbort((reason) => {
      state.sent = running.sent;
      if (running.sent) progress.begun = true;
      running.withdraw(reason);
      reject(reason);
    });
    const fail = (error: unknown): void => {
      if (running.sent && mayBeWritten(error)) progress.begun = true;
      reject(error);
    };
    running.done.then(resolve, fail).finally(forget);
  });
}
