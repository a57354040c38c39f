import { KafkaJSProtocolError, type Message, type RecordMetadata } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import type { SendSettings } from './lane.js';
import { Partitions } from './partitioner.js';
import { Router } from './router.js';

const SETTINGS: SendSettings = { acks: -1, timeout: undefined, compression: undefined };
const ONE_PARTITION = [{ partitionId: 0, leader: 1, isr: [1], replicas: [1] }];
const protocol = (type: string) =>
  new KafkaJSProtocolError(
    Object.assign(new Error(type), { type, code: 1, retriable: false }) as never,
  );

/** A router over a topic of one partition, whose sends are refused if they hold a message that is bad. */
function bench(error: unknown) {
  const sends: unknown[][] = [];
  const partitions = new Partitions(undefined, () => 0);
  const partitioner = partitions.createPartitioner();
  const router = new Router(partitions, async (topic, messages): Promise<RecordMetadata[]> => {
    for (const message of messages) {
      partitioner({ topic, message, partitionMetadata: ONE_PARTITION as never });
    }
    sends.push(messages.map(({ value }) => value));
    await new Promise((done) => setImmediate(done));
    if (messages.some(({ value }) => value === 'bad')) throw error;
    return [{ topicName: topic, partition: 0, errorCode: 0, baseOffset: '0' }];
  });
  const send = (...values: string[]) => {
    const messages: Message[] = values.map((value) => ({ value }));
    return router.send([{ topic: 'orders', messages }], SETTINGS).done;
  };
  return { sends, send };
}

describe('Router', () => {
  it('sends one by one what was certainly refused together', async () => {
    const { sends, send } = bench(protocol('MESSAGE_TOO_LARGE'));
    await send('first');
    const settled = await Promise.allSettled([send('a'), send('bad'), send('b')]);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(sends.slice(1)).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']]);
  });

  it.each([
    ['the broker may have written', protocol('DUPLICATE_SEQUENCE_NUMBER')],
    ['the cluster failed with', protocol('KAFKAJS_UNKNOWN_ERROR_CODE')],
    ['nobody knows what became of', new TypeError('an answer that can not be read')],
  ])('sends nothing again that %s', async (_, error) => {
    const { sends, send } = bench(error);
    await send('first');
    const settled = await Promise.allSettled([send('a'), send('bad'), send('b')]);
    expect(settled.map((one) => one.status === 'rejected' && one.reason)).toEqual([
      error,
      error,
      error,
    ]);
    expect(sends.slice(1)).toEqual([['a', 'bad', 'b']]);
  });
});
