import { describe, expect, it } from 'vitest';
import { compare } from './ledger.js';
import type { OrderOutcome } from './record.js';

const outcome = (index: number, more: Partial<OrderOutcome> = {}): OrderOutcome => ({
  index,
  latency: 10,
  acknowledged: true,
  fresh: true,
  rewritten: false,
  ...more,
});

describe('compare', () => {
  it('finds nothing wrong where each acknowledged order is there once', () => {
    const written = new Map([
      ['order-000000', 1],
      ['order-000001', 1],
    ]);
    expect(compare(written, [outcome(0), outcome(1, { rewritten: true })])).toEqual({
      acknowledged: 2,
      lost: [],
      doubled: [],
      unacknowledged: 0,
      rewritten: 1,
    });
  });

  it('names what is lost and what is doubled', () => {
    const written = new Map([['order-000001', 2]]);
    const ledger = compare(written, [outcome(0), outcome(1)]);
    expect(ledger.lost).toEqual(['order-000000']);
    expect(ledger.doubled).toEqual(['order-000001']);
  });

  it('counts what is there although its customer heard of an error, or nothing', () => {
    const written = new Map([
      ['order-000000', 1],
      ['order-000001', 1],
    ]);
    const ledger = compare(written, [outcome(0, { acknowledged: false }), undefined]);
    expect(ledger.unacknowledged).toBe(2);
    expect(ledger.acknowledged).toBe(0);
  });
});
