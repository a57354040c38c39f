import {
  KafkaJSConnectionError,
  KafkaJSProtocolError,
  type Message,
  type RecordMetadata,
} from 'kafkajs';
import { describe, expect, it } from 'vitest';
import type { SendSettings } from './lane.js';
import { Partitions } from './partitioner.js';
import { Progress } from './progress.js';
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

describe('Router, a record of several partitions', () => {
  const leaders = (count: number) =>
    Array.from({ length: count }, (_, partitionId) => ({ ...ONE_PARTITION[0], partitionId }));

  /** A router over a topic of `count` partitions; each send is answered by `answer`. */
  function wide(count: number, answer: (partition: number, sends: number) => Promise<void>) {
    const sends: string[] = [];
    const partitions = new Partitions(undefined, () => 0);
    const partitioner = partitions.createPartitioner();
    const router = new Router(partitions, async (topic, messages): Promise<RecordMetadata[]> => {
      let partition = -1;
      for (const message of messages) {
        const args = { topic, message, partitionMetadata: leaders(count) as never };
        // kafkajs asks once more after it has asked the cluster.
        try {
          partition = partitioner(args);
        } catch {
          partition = partitioner(args);
        }
      }
      sends.push(messages.map(({ value }) => value).join());
      await answer(partition, sends.length);
      return [{ topicName: topic, partition, errorCode: 0, baseOffset: String(sends.length) }];
    });
    const send = (places: readonly number[], progress?: Progress) => {
      const messages = places.map((partition) => ({ value: `p${partition}`, partition }));
      return router.send([{ topic: 'orders', messages }], SETTINGS, progress).done;
    };
    return { sends, send };
  }

  it('sends again only what was not answered', async () => {
    let down = true;
    const { sends, send } = wide(3, async (partition) => {
      if (partition === 1 && down) throw protocol('NOT_LEADER_FOR_PARTITION');
    });
    await send([2]);
    const progress = new Progress();
    await expect(send([0, 1, 2, 0], progress)).rejects.toMatchObject({
      type: 'NOT_LEADER_FOR_PARTITION',
    });
    down = false;
    const answer = await send([0, 1, 2, 0], progress);
    expect(sends).toEqual(['p2', 'p0,p0', 'p1', 'p2', 'p1']);
    expect(answer.map(({ partition }) => partition).sort()).toEqual([0, 1, 2]);
  });

  it('waits for what is on its way before it fails, and tells what may have been written', async () => {
    let fail!: (error: unknown) => void;
    const { send } = wide(2, (partition, sends) => {
      if (sends === 1) return Promise.resolve();
      if (partition === 0) return Promise.reject(protocol('NOT_LEADER_FOR_PARTITION'));
      return new Promise((_, reject) => {
        fail = reject;
      });
    });
    await send([0]);
    let settled = false;
    const sending = send([0, 1]).finally(() => {
      settled = true;
    });
    sending.catch(() => {});
    await new Promise((done) => setImmediate(done));
    expect(settled).toBe(false);
    const cut = new KafkaJSConnectionError('cut');
    fail(cut);
    await expect(sending).rejects.toBe(cut);
  });

  it.each([false, true])(
    'sends nothing where a partition does not exist, known topic: %s',
    async (known) => {
      const { sends, send } = wide(2, async () => {});
      if (known) await send([0]);
      await expect(send([0, 7, 1, 9])).rejects.toMatchObject({
        code: 'RESIL_UNKNOWN_PARTITION',
        partition: 9,
      });
      expect(sends).toEqual(known ? ['p0'] : []);
    },
  );
});
