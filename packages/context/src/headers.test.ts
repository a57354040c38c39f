import type { AmbientContext } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTEXT_HEADER, DEADLINE_HEADER, readContext, writeContext } from './headers.js';

const clock = new VirtualClock({ now: 1_000 });
const told = (context: AmbientContext) => writeContext({ clock, ...context });
const read = (text: unknown) => readContext({ [CONTEXT_HEADER]: text }, clock);
const readDeadline = (text: unknown) => readContext({ [DEADLINE_HEADER]: text }, clock).deadline;

describe('writeContext', () => {
  it('tells nothing of a context that says nothing', () => {
    expect(told({})).toEqual({});
    expect(told({ deadline: Infinity, priority: 0, retried: false, attributes: {} })).toEqual({});
  });

  it('tells the time that is left in whole milliseconds, rounded down', () => {
    expect(told({ deadline: 2_500.9 })).toEqual({ [DEADLINE_HEADER]: '1500' });
    expect(told({ deadline: 1_000.9 })).toEqual({ [DEADLINE_HEADER]: '0' });
    expect(told({ deadline: 10 })).toEqual({ [DEADLINE_HEADER]: '0' });
    expect(told({ deadline: 1e300 })).toEqual({ [DEADLINE_HEADER]: '9999999999' });
  });

  it('tells everything else as one dictionary', () => {
    expect(told({ priority: 5, idempotent: true, retried: true })).toEqual({
      [CONTEXT_HEADER]: 'priority=5, idempotent, retried',
    });
    expect(told({ priority: -1.23456, idempotent: false })).toEqual({
      [CONTEXT_HEADER]: 'priority=-1.235, idempotent=?0',
    });
  });

  it.each([Infinity, -Infinity, 1e12, -1e12])('tells no priority of %s', (priority) => {
    expect(told({ priority })).toEqual({});
  });
});

describe('readContext', () => {
  it.each([
    ['0', 1_000],
    ['1500', 2_500],
    ['9999999999', 10_000_000_999],
    [['1500'], 2_500],
    [Buffer.from('1500'), 2_500],
  ])('reads the time that is left from %j, from now on', (text, deadline) => {
    expect(readDeadline(text)).toBe(deadline);
  });

  it.each([
    '',
    ' 5',
    '5 ',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '0x10',
    '12345678901',
    '5, 5',
    'Infinity',
    'NaN',
    '٣',
    ['5', '6'],
    [],
    5,
    null,
    {},
    Buffer.alloc(300, '1'),
  ])('reads no time from %j', (text) => {
    expect(readDeadline(text)).toBe(undefined);
  });

  it.each([
    ['priority=5', { priority: 5 }],
    ['priority=-2.5', { priority: -2.5 }],
    ['idempotent', { idempotent: true }],
    ['idempotent=?1', { idempotent: true }],
    ['idempotent=?0, retried=?0', { idempotent: false, retried: false }],
    ['priority=1,\tretried ,idempotent', { priority: 1, retried: true, idempotent: true }],
    ['priority=1, priority=2', { priority: 2 }],
    ['later=thing, other.key=7, flag, retried', { retried: true }],
    [Buffer.from('retried'), { retried: true }],
  ])('reads %j', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it.each([
    '',
    ',',
    'retried,',
    'retried;a=1',
    'Retried',
    'priority',
    'priority=high',
    'priority=?1',
    'priority=1.2345',
    'priority=1234567890123456',
    'priority=Infinity',
    'priority=1e3',
    'priority= 1',
    'idempotent=1',
    'idempotent=yes',
    'retried=true',
    'retried="1"',
    'retried retried',
    '__proto__=1; x',
    `retried, ${'x'.repeat(256)}`,
    undefined,
    null,
    7,
  ])('ignores %j as a whole', (text) => {
    expect(read(text)).toEqual({});
  });

  it('reads what was told', () => {
    const contexts = fc.record(
      {
        deadline: fc.integer({ min: 1_000, max: 1_000_000 }),
        priority: fc.integer({ min: -999_999, max: 999_999 }).map((number) => number / 1_000),
        idempotent: fc.boolean(),
        retried: fc.constant(true),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(contexts, (context) => {
        const { priority, ...others } = context;
        const expected = {
          ...others,
          ...(priority ? { priority } : {}),
          ...(context.deadline === undefined ? {} : { clock }),
        };
        expect(readContext(told(context), clock)).toEqual(expected);
      }),
    );
  });

  it('throws for nothing that can arrive', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'priority=1,?0. -idempotent\t') }),
      fc.uint8Array(),
      fc.anything(),
    );
    fc.assert(
      fc.property(anything, anything, (deadline, context) => {
        const found = readContext(
          { [DEADLINE_HEADER]: deadline, [CONTEXT_HEADER]: context },
          clock,
        );
        expect(found.deadline ?? 1_000).toBeGreaterThanOrEqual(1_000);
        expect(found.priority ?? 0).toSatisfy(Number.isFinite);
      }),
      { numRuns: 1_000 },
    );
  });
});
