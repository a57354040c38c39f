import { type AmbientContext, pipeline, provideAmbient, retry, timeout } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { guardedSender } from './guarded-sender.js';
import type { SendRequest } from './record.js';

let clock: VirtualClock;
let ambient: AmbientContext | undefined;
beforeEach(() => {
  clock = new VirtualClock();
  ambient = undefined;
  return provideAmbient({
    current: () => ambient,
    run: (_context, work) => work(),
    headers: ({ deadline, priority, idempotent, retried }) =>
      deadline === Infinity && priority === undefined
        ? {}
        : { context: JSON.stringify({ deadline, priority, idempotent, retried }) },
  });
});

const record = {
  topic: 'orders',
  messages: [{ key: 'a', value: '1', headers: { own: 'x' } }, { value: '2' }],
  resilience: { idempotent: true },
};

/** What a sender hands on of a record, by attempt; the first attempt fails. */
async function sent(given: typeof record, sendContext = true): Promise<SendRequest[]> {
  const requests: SendRequest[] = [];
  const layers = pipeline(retry({ clock, baseDelay: 1 }), timeout({ duration: 100, clock }));
  const { send } = guardedSender({
    pipeline: () => layers,
    sendContext,
    begin: (request) => {
      requests.push(request);
      const done = requests.length === 1 ? Promise.reject(new Error('down')) : Promise.resolve([]);
      return { done, withdraw: () => {}, sent: true };
    },
  });
  await clock.runUntilSettled(send(given));
  return requests;
}
const messagesOf = (requests: SendRequest[]) =>
  requests.map(({ topicMessages }) => topicMessages[0]?.messages);

describe('with an ambient context', () => {
  it('each message tells what it was made for, beside its own headers', async () => {
    ambient = { priority: 5, deadline: 5_000, clock, retried: false };
    const context = JSON.stringify({ deadline: 5_000, priority: 5, retried: false });
    const messages = [
      { key: 'a', value: '1', headers: { own: 'x', context } },
      { value: '2', headers: { context } },
    ];
    expect(messagesOf(await sent(record))).toEqual([messages, messages]);
    expect(record.messages[1]).toEqual({ value: '2' });
  });

  it('limits of the send say nothing of the record', async () => {
    expect(messagesOf(await sent(record))).toEqual([record.messages, record.messages]);
  });

  it('nothing is told to readers who are others', async () => {
    ambient = { priority: 5 };
    expect(messagesOf(await sent(record, false))).toEqual([record.messages, record.messages]);
  });

  it('a header of the caller of the same name stands', async () => {
    ambient = { priority: 5 };
    const messages = [{ value: '1', key: 'a', headers: { own: 'x', context: 'mine' } }];
    const [first] = messagesOf(await sent({ ...record, messages }));
    expect(first).toEqual(messages);
  });
});
