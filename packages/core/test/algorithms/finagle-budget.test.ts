/**
 * What Finagle asks of its retry budget (finagle-core: RetryBudgetTest; util: TokenBucketTest), asked of
 * ours. Theirs takes a window of 1 to 60 s only; ours any.
 */
import { VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { type RetryBudget, retryBudget } from '../../src/retry-budget.js';

interface Setting {
  readonly seconds?: number;
  readonly minPerSecond?: number;
  readonly ratio?: number;
}

function budgetOf(
  { seconds = 60, minPerSecond = 0, ratio = 0 }: Setting,
  clock = new VirtualClock(),
): RetryBudget {
  return retryBudget({ window: { duration: seconds * 1_000 }, minPerSecond, ratio, clock });
}

/** Withdraws so many times; gives how often it could. */
function withdraw(budget: RetryBudget, times: number): number {
  let given = 0;
  for (let time = 0; time < times; time++) if (budget.tryWithdraw()) given += 1;
  return given;
}

describe("retryBudget, by Finagle's RetryBudgetTest", () => {
  it('without ratio and floor is empty, whatever is deposited', () => {
    const budget = budgetOf({});
    expect([budget.balance, budget.tryWithdraw()]).toEqual([0, false]);
    budget.deposit();
    expect([budget.balance, budget.tryWithdraw()]).toEqual([0, false]);
  });

  it.each<Setting>([
    ...[0.1, 0.5, 0.25, 0.75, 0.99, 0.999, 0.9999, 0.01, 0.001, 0.0001].map((ratio) => ({ ratio })),
    { seconds: 1, minPerSecond: 10, ratio: 0 },
    { seconds: 2, minPerSecond: 5, ratio: 0 },
    { seconds: 1, minPerSecond: 10, ratio: 0.1 },
    { seconds: 2, minPerSecond: 5, ratio: 0.5 },
  ])('%o: of 10,000 calls it gives that share, and the floor once', (setting) => {
    const { seconds = 60, minPerSecond = 0, ratio = 0 } = setting;
    const budget = budgetOf(setting);
    const floor = seconds * minPerSecond;
    expect(budget.balance).toBe(floor);
    if (floor === 0) expect(budget.tryWithdraw()).toBe(false);
    let retried = 0;
    for (let call = 0; call < 10_000; call++) {
      budget.deposit();
      if (budget.tryWithdraw()) retried += 1;
      else expect(budget.balance).toBe(0);
    }
    // Whole thousandths are not exact: one more or less.
    expect(Math.abs(retried - (Math.floor(10_000 * ratio) + floor))).toBeLessThanOrEqual(1);
  });

  it('takes a ratio above 1', () => {
    const budget = budgetOf({ ratio: 2 });
    expect([budget.balance, budget.tryWithdraw()]).toEqual([0, false]);
    for (let call = 0; call < 10_000; call++) budget.deposit();
    expect(budget.balance).toBe(20_000);
  });

  it.each<[Setting, string]>([
    [{ seconds: 0, minPerSecond: 5, ratio: 0.1 }, 'retryBudget.window'],
    [{ seconds: 10, minPerSecond: -1, ratio: 0.1 }, 'retryBudget.minPerSecond'],
    [{ seconds: 10, ratio: -1 }, 'retryBudget.ratio'],
  ])('refuses %o', (setting, option) => {
    expect(() => budgetOf(setting)).toThrow(option);
  });
});

describe("retryBudget, by the tests of Finagle's leaky bucket", () => {
  it('leaks', () => {
    const clock = new VirtualClock();
    const budget = budgetOf({ seconds: 3, ratio: 1 }, clock);
    for (let call = 0; call < 100; call++) budget.deposit();
    expect(budget.tryWithdraw()).toBe(true);
    clock.tick(3_000);
    expect(budget.tryWithdraw()).toBe(false);
  });

  it('gives nothing once it is empty', () => {
    const budget = budgetOf({ seconds: 3, ratio: 1 });
    for (let call = 0; call < 100; call++) budget.deposit();
    expect(withdraw(budget, 101)).toBe(100);
    budget.deposit();
    expect(withdraw(budget, 2)).toBe(1);
  });

  it('has a floor that comes back when what was taken is forgotten', () => {
    const clock = new VirtualClock();
    const budget = budgetOf({ seconds: 2, minPerSecond: 50, ratio: 1 }, clock);
    expect(withdraw(budget, 101)).toBe(100);
    budget.deposit();
    expect(withdraw(budget, 2)).toBe(1);
    for (const elapsed of [700, 700, 350]) {
      clock.tick(elapsed);
      expect(budget.tryWithdraw()).toBe(false);
    }
    // The hundred are forgotten with the slot that they were taken in.
    clock.tick(250);
    expect(withdraw(budget, 50)).toBe(50);
    clock.tick(2_000);
    expect(withdraw(budget, 101)).toBe(100);
  });
});
