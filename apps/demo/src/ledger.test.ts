import { describe, expect, it } from 'vitest';
import { isWhole, ledgerOf, type Written } from './ledger.js';
import type { Order } from './place-order.js';
import type { OrderOutcome } from './record.js';

const plan = [0, 1, 2].map((index) => ({ index, arrival: index, item: 'anvil', quantity: 2 }));

const outcome = (index: number, more: Partial<OrderOutcome> = {}): OrderOutcome => ({
  index,
  latency: 10,
  acknowledged: true,
  fresh: true,
  rewritten: false,
  kept: false,
  ...more,
});

const order = (index: number, more: Partial<Order> = {}): Order => ({
  id: `order-00000${index}`,
  item: 'anvil',
  quantity: 2,
  ...more,
});

/** The same orders in every book. */
function everywhere(orders: readonly Order[]): Written {
  return { orders, reservations: orders, events: { orders, shipments: orders } };
}

const whole = { lost: [], doubled: [], wrong: [], unacknowledged: 0 };

describe('ledgerOf', () => {
  it('finds nothing wrong where each acknowledged order is everywhere once', () => {
    const outcomes = [outcome(0), outcome(1, { rewritten: true })];
    expect(ledgerOf(plan, outcomes, everywhere([order(0), order(1)]), 3)).toEqual({
      acknowledged: 2,
      orders: whole,
      reservations: whole,
      events: { orders: whole, shipments: whole },
      halfDone: 0,
      rewritten: 1,
      kept: 3,
    });
  });

  it.each(['orders', 'reservations'] as const)('names what is wrong with the %s', (book) => {
    const written = { ...everywhere([]), [book]: [order(1), order(1), order(2, { quantity: 3 })] };
    const ledger = ledgerOf(plan, [outcome(0), outcome(1), outcome(2)], written, 0)[book];
    expect(ledger).toEqual({
      lost: ['order-000000'],
      doubled: ['order-000001'],
      wrong: ['order-000002'],
      unacknowledged: 0,
    });
    expect(isWhole(ledger)).toBe(false);
  });

  it.each(['orders', 'shipments'] as const)('names what is lost of the %s in Kafka', (topic) => {
    const all = [order(0), order(1)];
    const events = { orders: all, shipments: all, [topic]: [order(1)] };
    const ledger = ledgerOf(plan, [outcome(0), outcome(1)], { ...everywhere(all), events }, 0);
    expect(ledger.events?.[topic].lost).toEqual(['order-000000']);
    expect(ledger.halfDone).toBe(1);
  });

  it('counts what is there although its customer heard of an error, or nothing', () => {
    const written = everywhere([order(0), order(1)]);
    const ledger = ledgerOf(plan, [outcome(0, { acknowledged: false }), undefined], written, 0);
    expect(ledger.orders.unacknowledged).toBe(2);
    expect(ledger.acknowledged).toBe(0);
  });

  it('passes over the warm-up', () => {
    const ledger = ledgerOf(plan, [], everywhere([order(0, { id: 'warm-up-anvil' })]), 0);
    expect(ledger.orders).toEqual(whole);
    expect(ledger.halfDone).toBe(0);
  });
});
