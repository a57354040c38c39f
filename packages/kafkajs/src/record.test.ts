import { describe, expect, it } from 'vitest';
import { readBatch, readRecord } from './record.js';

const read =
  (message: object, rest: object = {}) =>
  () =>
    readRecord({ topic: 't', messages: [{ value: 'secret', ...message }], ...rest } as never);

describe('readRecord', () => {
  it.each([
    [{ timestamp: 'abc' }, {}, /send\.messages\[0\]\.timestamp.*milliseconds.*abc/],
    [{ timestamp: '' }, {}, /\.timestamp/],
    [{ timestamp: '1.5' }, {}, /\.timestamp.*1\.5/],
    [{ timestamp: '99999999999999999999' }, {}, /\.timestamp/],
    [{ timestamp: new Date(0) }, {}, /\.timestamp/],
    [{ headers: 'h' }, {}, /\.headers must be an object.*string/],
    [{ headers: ['h'] }, {}, /\.headers must be an object/],
    [{ headers: { trace: 7 } }, {}, /\.headers\.trace must be a string, a Buffer.*number/],
    [{ headers: { trace: null } }, {}, /\.headers\.trace.*null/],
    [{ headers: { trace: ['a', undefined] } }, {}, /\.headers\.trace.*undefined/],
    [{ partition: -1 }, {}, /\.partition must be a whole number from 0.*-1/],
    [{ partition: 1.5 }, {}, /\.partition.*1\.5/],
    [{ partition: '1' }, {}, /\.partition.*1/],
    [{}, { topic: 'two words' }, /send\.topic must be up to 249.*two words/],
    [{}, { topic: '..' }, /send\.topic/],
    [{}, { topic: 't'.repeat(250) }, /send\.topic/],
    [{}, { acks: 2 }, /send\.acks must be -1, 0 or 1.*2/],
    [{}, { acks: 'all' }, /send\.acks.*all/],
  ])('refuses what kafkajs could not send: %o %o', (message, rest, expected) => {
    expect(read(message, rest)).toThrow(expected);
    expect(read(message, rest)).not.toThrow(/secret/);
  });

  it.each([
    [{ timestamp: '0' }, {}],
    [{ timestamp: '-1' }, {}],
    [{ timestamp: 1_700_000_000_000 }, { acks: 0 }],
    [{ partition: 0, timestamp: undefined }, { acks: 1 }],
    [{ partition: null, headers: {} }, { acks: -1 }],
    [{ headers: { a: 'x', b: Buffer.from('y'), c: ['z', Buffer.from('z')] } }, {}],
    [{}, { topic: 'orders.v1_new-2' }],
  ])('takes what kafkajs takes: %o %o', (message, rest) => {
    expect(read(message, rest)).not.toThrow();
  });

  it('checks each message of a batch', () => {
    const topicMessages = [
      { topic: 'a', messages: [{ value: '1' }] },
      { topic: 'b', messages: [{ value: '1' }, { value: '2', timestamp: 'abc' }] },
    ];
    expect(() => readBatch({ topicMessages })).toThrow(/sendBatch\.messages\[1\]\.timestamp/);
  });
});
