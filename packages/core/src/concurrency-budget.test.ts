import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ConcurrencyBudget,
  concurrencyBudget,
  concurrencyBudgetDefaults,
} from './concurrency-budget.js';
import { hedge } from './hedge.js';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const hang = (): Promise<never> => new Promise(() => {});

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** How many attempts can be taken out now. */
function drain(budget: ConcurrencyBudget): number {
  let taken = 0;
  while (taken < 100_000 && budget.tryWithdraw()) taken++;
  return taken;
}

function deposit(budget: ConcurrencyBudget, calls: number): void {
  for (let call = 0; call < calls; call++) budget.deposit();
}

describe('concurrencyBudget', () => {
  it('gives an instance of its class, with the defaults', () => {
    const budget = concurrencyBudget();
    expect(budget).toBeInstanceOf(ConcurrencyBudget);
    expect([budget.name, budget.calls, budget.attempts]).toEqual(['concurrency-budget', 0, 0]);
    expect(budget.balance).toBe(concurrencyBudgetDefaults.minConcurrentAttempts);
  });

  it('allows a share of the calls in flight', () => {
    const budget = concurrencyBudget({ ratio: 0.2, minConcurrentAttempts: 0 });
    expect(drain(budget)).toBe(0);
    deposit(budget, 4);
    expect(drain(budget)).toBe(0);
    deposit(budget, 6);
    expect(budget.balance).toBe(2);
    expect(drain(budget)).toBe(2);
    expect([budget.balance, budget.attempts, budget.calls]).toEqual([0, 2, 10]);
    expect(budget.refusal()).toEqual({ reason: 'concurrency', used: 2, limit: 2 });
  });

  it('allows the floor without any call, and again as soon as an attempt ends', () => {
    const budget = concurrencyBudget({ ratio: 0, minConcurrentAttempts: 2 });
    expect(drain(budget)).toBe(2);
    budget.attemptEnded();
    expect(drain(budget)).toBe(1);
  });

  it('allows none when calls ended that attempts were taken out for', () => {
    const budget = concurrencyBudget({ ratio: 0.5, minConcurrentAttempts: 0 });
    deposit(budget, 4);
    expect(drain(budget)).toBe(2);
    for (let call = 0; call < 4; call++) budget.callEnded();
    expect([budget.balance, drain(budget)]).toEqual([0, 0]);
    budget.attemptEnded();
    budget.attemptEnded();
    expect([budget.attempts, budget.calls]).toEqual([0, 0]);
  });

  it('is shared by retries and hedges of several pipelines, and says why it refuses', async () => {
    const budget = concurrencyBudget({ ratio: 0, minConcurrentAttempts: 1 });
    const reads = pipeline('reads', hedge({ delay: 50, budget, clock }));
    const writes = pipeline(
      { name: 'writes', clock },
      retry({ baseDelay: 1_000, jitter: 'none', budget }),
    );
    const recorder = recordEvents(writes);
    const read = reads.execute(({ attempt }) => (attempt === 1 ? hang() : 'hedge'), {
      idempotent: true,
    });
    await clock.advance(49);
    expect([budget.calls, budget.attempts]).toEqual([1, 0]);
    const write = vi.fn(fail);
    const first = writes.execute(write).catch(() => 'failed');
    await clock.flush();
    // The write holds the only extra attempt while it waits; the read gets no hedge.
    expect([budget.calls, budget.attempts]).toEqual([2, 1]);
    const second = writes.execute(write).catch(() => 'failed');
    expect(await second).toBe('failed');
    expect(recorder.of('budget.exhausted')).toMatchObject([
      { strategy: 'concurrency-budget', wanted: 'retry', reason: 'concurrency', used: 1, limit: 1 },
    ]);
    expect(recorder.of('retry.exhausted')).toMatchObject([{ reason: 'budget' }]);
    expect(await clock.runUntilSettled(first)).toBe('failed');
    expect(write).toHaveBeenCalledTimes(4);
    expect([budget.calls, budget.attempts]).toEqual([1, 0]);
    void read;
  });

  it('gets back what a retry held that was aborted while it waited', async () => {
    const budget = concurrencyBudget();
    const calls = pipeline({ clock }, retry({ baseDelay: 1_000, jitter: 'none', budget }));
    const controller = new AbortController();
    const call = calls.execute(fail, { signal: controller.signal });
    await clock.flush();
    expect([budget.calls, budget.attempts]).toEqual([1, 1]);
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    await clock.flush();
    expect([budget.calls, budget.attempts]).toEqual([0, 0]);
  });

  it('holds what a lost hedge still does after the call has ended', async () => {
    const budget = concurrencyBudget();
    const calls = pipeline(hedge({ delay: 50, budget, clock }));
    const call = calls.execute(
      ({ attempt }) =>
        new Promise((resolve) => clock.schedule(() => resolve(attempt), attempt === 1 ? 60 : 500)),
      { idempotent: true },
    );
    expect(await clock.runUntilSettled(call)).toBe(1);
    await clock.flush();
    expect([budget.calls, budget.attempts]).toEqual([0, 1]);
    await clock.advance(500);
    expect(budget.attempts).toBe(0);
  });
});
