import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryInfo, serverDelay } from './server-delay.js';
import { numberOf, readFields, stringField } from './wire.js';

const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))];
const bytes = (number: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([number * 8 + 2, ...varint(value.length)]), value]);
const number = (field: number, value: number): Buffer => Buffer.from([field * 8, ...varint(value)]);
const any = (type: string, value: Uint8Array): Buffer =>
  bytes(3, Buffer.concat([bytes(1, Buffer.from(`type.googleapis.com/${type}`)), bytes(2, value)]));
const info = (seconds: number, nanos: number): Buffer =>
  any('google.rpc.RetryInfo', bytes(1, Buffer.concat([number(1, seconds), number(2, nanos)])));

describe('retryInfo', () => {
  it('reads the delay among other details', () => {
    const status = Buffer.concat([
      number(1, 8),
      bytes(2, Buffer.from('slow down')),
      any('google.rpc.Help', Buffer.from([1, 2, 3])),
      info(2, 500_000_000),
    ]);
    expect(retryInfo(status)).toBe(2_500);
  });

  it('says nothing where there is none, or none that makes sense', () => {
    expect(retryInfo(Buffer.alloc(0))).toBeUndefined();
    expect(retryInfo(any('google.rpc.Help', Buffer.alloc(0)))).toBeUndefined();
    expect(retryInfo(info(1, 0).subarray(0, -1))).toBeUndefined();
    // -1 second, as protobuf writes it: ten bytes.
    const negative = Buffer.from([8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    expect(retryInfo(any('google.rpc.RetryInfo', bytes(1, negative)))).toBeUndefined();
  });

  it('reads what is written, and never throws at what is not', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(999_999_999), (seconds, nanos) => {
        expect(retryInfo(info(seconds, nanos))).toBeCloseTo(seconds * 1_000 + nanos / 1e6, 3);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => void retryInfo(noise)));
  });
});

describe('serverDelay', () => {
  it.each([
    ['0', 0],
    ['300', 300],
    ['2147483647', 2_147_483_647],
    ['2147483648', 'never'],
    ['-1', 'never'],
    ['', 'never'],
    ['1e3', 'never'],
  ] as const)('takes a pushback of %j for %j', (text, delay) => {
    const trailers = new Metadata();
    trailers.set('grpc-retry-pushback-ms', text);
    trailers.set('grpc-status-details-bin', info(9, 0));
    expect(serverDelay(trailers)).toBe(delay);
  });

  it('goes by RetryInfo without a pushback, and says nothing without either', () => {
    const trailers = new Metadata();
    expect(serverDelay(trailers)).toBeUndefined();
    trailers.set('grpc-status-details-bin', info(9, 0));
    expect(serverDelay(trailers)).toBe(9_000);
  });
});

describe('stringField', () => {
  it('writes a string of any length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (text) => {
        const [field] = readFields(stringField(1, text)) ?? [];
        expect(Buffer.from(field?.value as Uint8Array).toString()).toBe(
          Buffer.from(text).toString(),
        );
      }),
    );
    expect(numberOf(readFields(Buffer.from([0x08, 2])) ?? [], 1)).toBe(2);
  });
});
