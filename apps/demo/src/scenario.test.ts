import { describe, expect, it } from 'vitest';
import { calmRate, overloadRate, plannedOrders, scenario } from './scenario.js';

describe('scenario', () => {
  const whole = scenario({ short: false, seed: 1, kafka: true });

  it('lays the phases end to end', () => {
    let now = 0;
    for (const { start, lift, end } of whole.phases) {
      expect(start).toBe(now);
      expect(lift).toBeGreaterThan(start);
      now = end;
    }
    expect(whole.end).toBe(now);
  });

  it('goes through the same phases in its short form', () => {
    const short = scenario({ short: true, seed: 1, kafka: true });
    expect(short.phases.map(({ id }) => id)).toEqual(whole.phases.map(({ id }) => id));
    expect(short.end).toBeLessThan(whole.end / 4);
  });

  it('leaves out what needs a broker where there is none', () => {
    const ids = (kafka: boolean) =>
      scenario({ short: false, seed: 1, kafka }).phases.map(({ id }) => id);
    const without = ids(false);
    expect(ids(true).filter((id) => !without.includes(id))).toEqual([
      'broker-killed',
      'kafka-unreachable',
    ]);
  });
});

describe('plannedOrders', () => {
  const whole = scenario({ short: false, seed: 1, kafka: true });

  it('plans the same orders for the same seed, and others for another', () => {
    expect(plannedOrders(whole)).toEqual(
      plannedOrders(scenario({ short: false, seed: 1, kafka: true })),
    );
    expect(plannedOrders(whole)).not.toEqual(
      plannedOrders(scenario({ short: false, seed: 2, kafka: true })),
    );
  });

  it('numbers them in the order of their arrival', () => {
    const orders = plannedOrders(whole);
    orders.forEach(({ index, arrival }, position) => {
      expect(index).toBe(position);
      expect(arrival).toBeGreaterThanOrEqual(orders[position - 1]?.arrival ?? 0);
      expect(arrival).toBeLessThan(whole.end);
    });
  });

  it('lets them arrive at the rate of their phase', () => {
    const orders = plannedOrders(whole);
    for (const { start, lift, rate } of whole.phases) {
      const count = orders.filter(({ arrival }) => arrival >= start && arrival < lift).length;
      const expected = (rate * (lift - start)) / 1_000;
      // Four standard deviations of a Poisson count.
      expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected));
    }
    expect(overloadRate).toBeGreaterThan(calmRate);
  });
});
