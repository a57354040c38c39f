import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { RetryBudget, retryBudget, retryBudgetDefaults } from './retry-budget.js';

const fail = (): Promise<never> => Promise.reject(new Error('down'));

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock({ now: 12_345 });
});

/** How many retries can be taken out now. */
function drain(budget: RetryBudget): number {
  let taken = 0;
  while (taken < 100_000 && budget.tryWithdraw()) taken++;
  return taken;
}

function deposit(budget: RetryBudget, calls: number): void {
  for (let call = 0; call < calls; call++) budget.deposit();
}

describe('retryBudget', () => {
  it('gives an instance of its class, with the defaults', () => {
    const budget = retryBudget();
    expect(budget).toBeInstanceOf(RetryBudget);
    expect(budget.name).toBe('retry-budget');
    const { minPerSecond, window } = retryBudgetDefaults;
    expect(budget.balance).toBe((minPerSecond * window.duration) / 1_000);
  });

  it('allows ratio retries per call', () => {
    const budget = retryBudget({ clock, ratio: 0.2, minPerSecond: 0 });
    expect(drain(budget)).toBe(0);
    deposit(budget, 4);
    expect(drain(budget)).toBe(0);
    deposit(budget, 1);
    expect(drain(budget)).toBe(1);
    deposit(budget, 100);
    expect(budget.balance).toBe(20);
    expect(drain(budget)).toBe(20);
    expect(budget.balance).toBe(0);
  });

  it('allows several retries per call with a ratio above 1', () => {
    const budget = retryBudget({ clock, ratio: 3, minPerSecond: 0 });
    deposit(budget, 10);
    expect(drain(budget)).toBe(30);
  });

  it('allows the floor without any call, and once per window only', () => {
    const budget = retryBudget({ clock, minPerSecond: 2, window: { duration: 5_000 } });
    expect(drain(budget)).toBe(10);
    clock.tick(4_000);
    expect(drain(budget)).toBe(0);
    clock.tick(1_000);
    expect(drain(budget)).toBe(10);
  });

  it('leaves only the floor with a ratio of 0', () => {
    const budget = retryBudget({ clock, ratio: 0, minPerSecond: 1, window: { duration: 3_000 } });
    deposit(budget, 1_000);
    expect(drain(budget)).toBe(3);
  });

  it('forgets calls after the window', () => {
    const budget = retryBudget({
      clock,
      ratio: 0.5,
      minPerSecond: 0,
      window: { duration: 1_000 },
    });
    deposit(budget, 10);
    clock.tick(900);
    expect(budget.balance).toBe(5);
    clock.tick(100);
    expect(budget.balance).toBe(0);
  });

  it('forgets everything at once after a long pause', () => {
    const budget = retryBudget({ clock, ratio: 1, minPerSecond: 0 });
    for (let step = 0; step < 30; step++) {
      deposit(budget, 3);
      clock.tick(500);
    }
    clock.tick(3_600_000);
    expect(drain(budget)).toBe(0);
    deposit(budget, 2);
    expect(drain(budget)).toBe(2);
  });

  it('never allows more than its share over a long run', () => {
    const budget = retryBudget({ clock, ratio: 0.1, minPerSecond: 0 });
    let retries = 0;
    for (let call = 0; call < 10_000; call++) {
      budget.deposit();
      if (budget.tryWithdraw()) retries++;
      clock.tick(7);
    }
    expect(retries).toBeLessThanOrEqual(1_000);
    expect(retries).toBeGreaterThan(950);
  });

  it('is shared by retries, and taken from before the wait', async () => {
    const budget = retryBudget({ clock, ratio: 0, minPerSecond: 1, window: { duration: 2_000 } });
    const layer = () => retry({ maxAttempts: 3, baseDelay: 1_000, jitter: 'none', budget });
    const [reads, writes] = [pipeline(layer()), pipeline(layer())];
    const recorder = recordEvents(writes);
    const operation = vi.fn(fail);
    const calls = [
      reads.execute(operation).catch(() => 'read'),
      reads.execute(operation).catch(() => 'read'),
      writes.execute(operation).catch(() => 'write'),
    ];
    await clock.flush();
    // The first two hold the budget while they wait; the third gets none and ends at once.
    expect(budget.balance).toBe(0);
    expect(recorder.types).toEqual([
      'call.started',
      'budget.exhausted',
      'retry.exhausted',
      'call.failed',
    ]);
    expect(recorder.of('budget.exhausted')[0]?.strategy).toBe('retry-budget');
    expect(recorder.of('retry.exhausted')[0]).toMatchObject({ reason: 'budget', delays: [] });
    await clock.runUntilSettled(Promise.all(calls));
    expect(operation).toHaveBeenCalledTimes(5);
  });

  it('counts a call once, however many attempts it has', async () => {
    const budget = retryBudget({ clock, ratio: 1, minPerSecond: 10 });
    const before = budget.balance;
    const call = pipeline(retry({ maxAttempts: 4, baseDelay: 1, budget })).execute(fail);
    await clock.runUntilSettled(call).catch(() => {});
    expect(budget.balance).toBe(before + 1 - 3);
  });
});
