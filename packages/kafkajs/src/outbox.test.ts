import { VirtualClock } from '@resil/testing';
import { KafkaJSConnectionError, type Producer, type ProducerBatch } from 'kafkajs';
import { expect, it } from 'vitest';
import { outbox } from './outbox.js';
import type { OutboxStore, StoredEntry } from './outbox-options.js';
import { resilient } from './resilient.js';

/** What waits until it is let go on. */
class Gate {
  readonly #open: Promise<void>;
  open!: () => void;

  constructor() {
    this.#open = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  pass(): Promise<void> {
    return this.#open;
  }
}

/** A store in memory whose second append takes as long as `gate` says. */
function slowStore(gate: Gate): OutboxStore & { readonly entries: StoredEntry[] } {
  const entries: StoredEntry[] = [];
  let appends = 0;
  return {
    shared: false,
    entries,
    async open() {},
    async close() {},
    async size() {
      return entries.length;
    },
    async append(messages) {
      appends += 1;
      if (appends === 2) await gate.pass();
      entries.push(
        ...messages.map((message, index) => ({ ...message, id: `${appends}/${index}` })),
      );
    },
    async oldest(max) {
      return entries.slice(0, max);
    },
    async remove(gone) {
      entries.splice(0, gone.length);
      return gone.length;
    },
  };
}

/** A producer that fails once, and then sends as soon as `gate` says. */
function lateProducer(gate: Gate, sent: string[]): Producer {
  let calls = 0;
  const sendBatch = async ({ topicMessages = [] }: ProducerBatch): Promise<[]> => {
    calls += 1;
    if (calls === 1) throw new KafkaJSConnectionError('gone');
    for (const { messages } of topicMessages) sent.push(...messages.map((one) => `${one.value}`));
    await gate.pass();
    return [];
  };
  const nothing = async (): Promise<void> => {};
  const parts = { sendBatch, send: nothing, connect: nothing, disconnect: nothing };
  return { ...parts, isIdempotent: () => false } as unknown as Producer;
}

it('counts what is being kept while what was sent is forgotten', async () => {
  const appending = new Gate();
  const sending = new Gate();
  const store = slowStore(appending);
  const sent: string[] = [];
  const box = outbox({ store });
  const producer = resilient(lateProducer(sending, sent), {
    fallback: box,
    clock: new VirtualClock(),
  });
  const send = (value: string): Promise<unknown> =>
    producer.send({ topic: 'orders', messages: [{ value }] });
  await producer.connect();
  await send('one');
  // The first is on its way to Kafka; the second on its way into the store when it has arrived there.
  const second = send('two');
  sending.open();
  for (let turn = 0; turn < 100; turn += 1) await undefined;
  appending.open();
  await second;
  await box.drained();
  expect([box.size, store.entries, sent]).toEqual([0, [], ['one', 'two']]);
  await producer.disconnect();
});
