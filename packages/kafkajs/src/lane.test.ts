import type { Message, RecordMetadata } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { Lane, type SendSettings } from './lane.js';

const SETTINGS: SendSettings = { acks: -1, timeout: undefined, compression: undefined };
const messages = (...values: string[]): Message[] => values.map((value) => ({ value }));

/** A lane whose sends are answered by hand. */
function bench(splits = false) {
  const sends: { values: unknown[]; answer(): void; fail(error: unknown): void }[] = [];
  let offset = 0;
  let idle = 0;
  const lane = new Lane(
    (batch) =>
      new Promise<RecordMetadata[]>((resolve, reject) => {
        sends.push({
          values: batch.map(({ value }) => value),
          answer: () => {
            resolve([{ topicName: 't', partition: 0, errorCode: 0, baseOffset: String(offset) }]);
            offset += batch.length;
          },
          fail: reject,
        });
      }),
    () => splits,
    () => {
      idle += 1;
    },
  );
  return { lane, sends, idles: () => idle };
}
const turn = () => new Promise((done) => setImmediate(done));

describe('Lane', () => {
  it('sends one at a time, and together what has waited', async () => {
    const { lane, sends, idles } = bench();
    const first = lane.add(messages('a'), SETTINGS);
    await turn();
    const second = lane.add(messages('b', 'c'), SETTINGS);
    const third = lane.add(messages('d'), SETTINGS);
    await turn();
    expect(sends.map(({ values }) => values)).toEqual([['a']]);
    expect([first.started, second.started]).toEqual([true, false]);
    sends[0]?.answer();
    await turn();
    expect(sends.map(({ values }) => values)).toEqual([['a'], ['b', 'c', 'd']]);
    sends[1]?.answer();
    expect((await second.done)[0]?.baseOffset).toBe('1');
    expect((await third.done)[0]?.baseOffset).toBe('3');
    expect(idles()).toBe(1);
  });

  it('keeps apart what is sent with different settings', async () => {
    const { lane, sends } = bench();
    for (const acks of [-1, -1, 1]) lane.add(messages(String(acks)), { ...SETTINGS, acks });
    await turn();
    expect(sends.map(({ values }) => values)).toEqual([['-1', '-1']]);
    sends[0]?.answer();
    await turn();
    expect(sends[1]?.values).toEqual(['1']);
  });

  it('takes back what has not started, and nothing else', async () => {
    const { lane, sends } = bench();
    const first = lane.add(messages('a'), SETTINGS);
    await turn();
    const second = lane.add(messages('b'), SETTINGS);
    for (const entry of [first, second]) entry.withdraw('too late');
    await expect(second.done).rejects.toBe('too late');
    sends[0]?.answer();
    expect((await first.done)[0]?.baseOffset).toBe('0');
    expect(sends).toHaveLength(1);
  });

  it('fails together what went out together, or sends it one by one', async () => {
    const together = bench(false);
    const both = [messages('a'), messages('b')].map((one) => together.lane.add(one, SETTINGS));
    await turn();
    together.sends[0]?.fail('down');
    for (const { done } of both) await expect(done).rejects.toBe('down');

    const apart = bench(true);
    const [bad, good] = [messages('a'), messages('b')].map((one) => apart.lane.add(one, SETTINGS));
    await turn();
    apart.sends[0]?.fail('too large');
    await turn();
    apart.sends[1]?.fail('too large');
    await turn();
    apart.sends[2]?.answer();
    await expect(bad?.done).rejects.toBe('too large');
    expect((await good?.done)?.[0]?.baseOffset).toBe('0');
    expect(apart.sends.map(({ values }) => values)).toEqual([['a', 'b'], ['a'], ['b']]);
  });
});

describe('Lane in front of an outbox', () => {
  const halting = () => {
    const sends: { values: unknown[]; fail(error: unknown): void; answer(): void }[] = [];
    const lane = new Lane(
      (batch) =>
        new Promise<RecordMetadata[]>((resolve, reject) => {
          sends.push({
            values: batch.map(({ value }) => value),
            fail: reject,
            answer: () => resolve([]),
          });
        }),
      (error) => error === 'too large',
      () => {},
      () => 'behind',
    );
    return { lane, sends };
  };

  it('rejects what waits behind a send that failed', async () => {
    const { lane, sends } = halting();
    const first = lane.add(messages('a'), SETTINGS);
    await turn();
    const second = lane.add(messages('b'), SETTINGS);
    sends[0]?.fail('down');
    await expect(first.done).rejects.toBe('down');
    await expect(second.done).rejects.toBe('behind');
    expect(sends).toHaveLength(1);
  });

  it('rejects the rest of those that go one by one when the way is lost between them', async () => {
    const { lane, sends } = halting();
    const entries = ['a', 'b', 'c'].map((value) => lane.add(messages(value), SETTINGS));
    await turn();
    sends[0]?.fail('too large');
    await turn();
    expect(sends[1]?.values).toEqual(['a']);
    sends[1]?.fail('down');
    const outcomes = await Promise.allSettled(entries.map(({ done }) => done));
    expect(outcomes).toMatchObject([
      { reason: 'down' },
      { reason: 'behind' },
      { reason: 'behind' },
    ]);
    expect(sends).toHaveLength(2);
  });

  it('does not send again for who has left, nor what stood behind it', async () => {
    const { lane, sends } = halting();
    const entries = ['a', 'b'].map((value) => lane.add(messages(value), SETTINGS));
    await turn();
    entries[0]?.withdraw('late');
    sends[0]?.fail('too large');
    const outcomes = await Promise.allSettled(entries.map(({ done }) => done));
    expect(outcomes).toMatchObject([{ reason: 'too large' }, { reason: 'behind' }]);
    await turn();
    expect(sends).toHaveLength(1);
  });
});
