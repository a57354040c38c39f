/** Tells who reads a record what it was made for, where there is an ambient context. */
import { type Call, contextHeaders } from '@resil/core';
import type { SendRequest } from './record.js';

/**
 * The request with the context in the headers of its messages, beside the caller's own. `deadline` is
 * that of the work: those of the send say nothing about the record. Nor do its retries, which are over
 * when it is read, and that it may be sent twice.
 */
export function tellingContext(request: SendRequest, call: Call, deadline: number): SendRequest {
  const { clock } = call;
  const own = { deadline, clock, idempotent: undefined, retried: false };
  const told = contextHeaders(call, own);
  if (told === undefined || Object.keys(told).length === 0) return request;
  const topicMessages = request.topicMessages.map(({ topic, messages }) => ({
    topic,
    messages: messages.map((message) => ({ ...message, headers: { ...told, ...message.headers } })),
  }));
  return { ...request, topicMessages };
}
