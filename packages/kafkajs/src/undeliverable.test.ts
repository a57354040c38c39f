import { observe, type ResilienceEvent } from '@resil/core';
import {
  KafkaJSNonRetriableError,
  KafkaJSProtocolError,
  type KafkaMessage,
  type Message,
} from 'kafkajs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bench, message, place } from '../test/handled.js';
import type { GivenUpMessage, UndeliverableMessage } from './consumer-options.js';
import type { Held } from './handling.js';

const protocol = (type: string) =>
  new KafkaJSProtocolError(
    Object.assign(new Error(type), { type, code: 1, retriable: false }) as never,
  );
const TOO_LARGE = protocol('MESSAGE_TOO_LARGE');
const FORBIDDEN = protocol('TOPIC_AUTHORIZATION_FAILED');
const poison = new Error('it can not be handled');
const fail = async (): Promise<void> => {
  throw poison;
};
const sizeOf = ({ key, value, headers }: Message): number =>
  [key, value, ...Object.values(headers ?? {})].reduce((sum, part) => sum + (part?.length ?? 0), 0);
const header = (one: Message, name: string): string | undefined => one.headers?.[name]?.toString();
const events: ResilienceEvent[] = [];
let stop: () => void;
beforeEach(() => {
  events.length = 0;
  stop = observe((event) => events.push(event));
});
afterEach(() => stop());

describe('a dead letter that is too large for its topic', () => {
  const large = {
    topic: 'orders',
    partition: 0,
    message: { ...message(7, { trace: 'abc' }), value: Buffer.alloc(2_000, 'secret') },
  };

  it('goes without its value, and says so', async () => {
    const given: GivenUpMessage[] = [];
    const bench = new Bench({ onGivenUp: (one) => given.push(one) });
    bench.refuse = (_, one) => (sizeOf(one) > 1_000 ? TOO_LARGE : undefined);
    expect(await bench.handle(large, fail)).toEqual({ kind: 'done' });
    const [letter] = bench.sent;
    expect([letter?.topic, String(letter?.message.key)]).toEqual(['orders.dlq', 'k']);
    expect(letter?.message.value).toEqual(Buffer.alloc(0));
    expect(header(letter?.message as Message, 'x-resil-omitted')).toBe('value');
    expect(header(letter?.message as Message, 'x-resil-offset')).toBe('7');
    expect(header(letter?.message as Message, 'trace')).toBe('abc');
    expect(given).toMatchObject([{ to: 'orders.dlq', omitted: ['value'], error: poison }]);
  });

  it('goes with our headers alone if that is not enough', async () => {
    const bench = new Bench();
    const headers = { trace: 'x'.repeat(2_000) };
    bench.refuse = (_, one) => (sizeOf(one) > 1_000 ? TOO_LARGE : undefined);
    const key = Buffer.from('k');
    const all = { ...large, message: { ...large.message, key, headers } as KafkaMessage };
    expect(await bench.handle(all, fail)).toEqual({ kind: 'done' });
    const [letter] = bench.sent;
    expect(letter?.message).toMatchObject({ key: null, value: Buffer.alloc(0) });
    expect(header(letter?.message as Message, 'x-resil-omitted')).toBe('value,key,headers');
    expect(header(letter?.message as Message, 'trace')).toBeUndefined();
    expect(header(letter?.message as Message, 'x-resil-error')).toContain(poison.message);
  });

  it('goes whole to the dead-letter topic if only the retry topic does not take it', async () => {
    const bench = new Bench({ retryDelays: [1_000] });
    bench.refuse = (topic) => (topic.endsWith('.retry.1') ? TOO_LARGE : undefined);
    expect(await bench.handle(large, fail)).toEqual({ kind: 'done' });
    expect(bench.sent.map(({ topic }) => topic)).toEqual(['orders.dlq']);
    expect(bench.sent[0]?.message.value).toBe(large.message.value);
    expect(header(bench.sent[0]?.message as Message, 'x-resil-omitted')).toBeUndefined();
  });
});

describe('a dead letter that is refused for good', () => {
  const bad = place(3);

  it('holds its partition until somebody resumes it, and is told of once', async () => {
    const told: UndeliverableMessage[] = [];
    let runs = 0;
    let refusals = 0;
    const bench = new Bench({ name: 'held', onUndeliverable: (one) => told.push(one) });
    bench.refuse = () => {
      refusals += 1;
      return FORBIDDEN;
    };
    const run = async (): Promise<void> => {
      runs += 1;
      throw poison;
    };
    const held = (await bench.handle(bad, run)) as Held;
    expect(held).toEqual({ kind: 'held', reason: 'undelivered', delay: Infinity });
    await bench.clock.advance(3_600_000);
    expect([runs, refusals]).toEqual([3, 1]);
    const common = { to: 'orders.dlq', attempts: 3, skipped: false };
    expect(told).toEqual([
      { ...common, topic: 'orders', partition: 0, offset: '3', error: poison, refusal: FORBIDDEN },
    ]);
    expect(events.filter(({ type }) => type === 'message.undeliverable')).toMatchObject([
      { ...common, pipeline: 'held', name: 'orders', errorType: 'KafkaJSProtocolError' },
    ]);
    // Resumed, when the topic may be written: it is sent on, and not handled again.
    bench.refuse = undefined;
    expect(await bench.handle(bad, run)).toEqual({ kind: 'done' });
    expect([runs, bench.sent.length]).toEqual([3, 1]);
  });

  it('is passed over where that is wanted, and told of', async () => {
    const told: UndeliverableMessage[] = [];
    const bench = new Bench({
      whenUndeliverable: 'skip',
      onUndeliverable: (one) => {
        told.push(one);
        throw new Error('a listener that fails does no harm');
      },
    });
    bench.refuse = () => FORBIDDEN;
    expect(await bench.handle(bad, fail)).toEqual({ kind: 'done' });
    expect(told).toMatchObject([{ offset: '3', skipped: true, refusal: FORBIDDEN }]);
    expect(events.some(({ type }) => type === 'message.undeliverable')).toBe(true);
  });

  it('is one whose topic can not be named', async () => {
    const told: UndeliverableMessage[] = [];
    const broken = new Error('no name for it');
    const bench = new Bench({
      deadLetterTopic: () => {
        throw broken;
      },
      onUndeliverable: (one) => told.push(one),
    });
    expect(await bench.handle(bad, fail)).toMatchObject({ kind: 'held', delay: Infinity });
    expect(told).toMatchObject([{ to: undefined, refusal: broken }]);
  });

  it('is one whose topic can not exist', async () => {
    const told: UndeliverableMessage[] = [];
    const bench = new Bench({ onUndeliverable: (one) => told.push(one) });
    const topic = 'o'.repeat(248);
    bench.refuse = () =>
      Object.assign(new TypeError('send.topic must be up to 249 letters'), {
        code: 'RESIL_INVALID_OPTION',
      });
    expect(await bench.handle(place(3, { topic }), fail)).toMatchObject({ delay: Infinity });
    expect(told).toMatchObject([{ to: `${topic}.dlq` }]);
  });

  it.each([
    ['a producer that is not connected', new KafkaJSNonRetriableError('disconnecting')],
    ['a topic that may come', protocol('LEADER_NOT_AVAILABLE')],
  ])('is not %s: it is sent on later', async (_, error) => {
    const bench = new Bench({ holdDelay: 500 });
    bench.refuse = () => error;
    expect(await bench.handle(bad, fail)).toMatchObject({ reason: 'undelivered', delay: 500 });
    expect(events.some(({ type }) => type === 'message.undeliverable')).toBe(false);
  });
});
