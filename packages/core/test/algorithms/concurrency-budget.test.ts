/**
 * The retry budgets that go by what is in flight: Envoy's (`RetryBudget` of its circuit breakers) and
 * failsafe-go's (`budget.go`), beside ours.
 */
import { describe, expect, it } from 'vitest';
import { type ConcurrencyBudget, concurrencyBudget } from '../../src/concurrency-budget.js';

function budgetOf(ratio: number, minConcurrentAttempts: number, calls: number): ConcurrencyBudget {
  const budget = concurrencyBudget({ ratio, minConcurrentAttempts });
  for (let call = 0; call < calls; call++) budget.deposit();
  return budget;
}

function drain(budget: ConcurrencyBudget): number {
  let taken = 0;
  while (budget.tryWithdraw()) taken++;
  return taken;
}

describe('concurrencyBudget, by Envoy: max(min_retry_concurrency, budget_percent of the active)', () => {
  it.each([
    // The example of circuit_breaker.proto.
    { active: 100, percent: 25, min: 3, allowed: 25 },
    { active: 100, percent: 20, min: 3, allowed: 20 },
    { active: 0, percent: 20, min: 3, allowed: 3 },
    { active: 15, percent: 20, min: 3, allowed: 3 },
    { active: 19, percent: 20, min: 3, allowed: 3 },
    { active: 20, percent: 20, min: 3, allowed: 4 },
    { active: 24, percent: 20, min: 0, allowed: 4 },
    { active: 100, percent: 29, min: 0, allowed: 29 },
    { active: 1_000, percent: 100, min: 0, allowed: 1_000 },
    { active: 10, percent: 0, min: 1, allowed: 1 },
  ])('$active active, $percent %, at least $min: $allowed', ({ active, percent, min, allowed }) => {
    const budget = budgetOf(percent / 100, min, active);
    expect(budget.balance).toBe(allowed);
    expect(drain(budget)).toBe(allowed);
    budget.attemptEnded();
    expect(drain(budget)).toBe(Math.min(allowed, 1));
  });
});

/** failsafe-go's rule: refuses when there are `min` extra attempts, and they exceed the share before one more is added. */
class FailsafeBudget {
  readonly #ratio: number;
  readonly #min: number;
  #executions: number;
  #extra = 0;

  constructor(ratio: number, min: number, executions: number) {
    this.#ratio = ratio;
    this.#min = min;
    this.#executions = executions;
  }

  tryAcquire(): boolean {
    if (this.#extra >= this.#min && this.#extra / this.#executions > this.#ratio) return false;
    this.#extra++;
    this.#executions++;
    return true;
  }

  release(): void {
    this.#extra--;
    this.#executions--;
  }
}

describe('concurrencyBudget, beside failsafe-go', () => {
  it("its own test: half of one execution is two there, and one here, where the share isn't exceeded", () => {
    const theirs = new FailsafeBudget(0.5, 1, 1);
    const ours = budgetOf(0.5, 1, 1);
    const both = (): [boolean, boolean] => [theirs.tryAcquire(), ours.tryWithdraw()];
    expect([both(), both(), both()]).toEqual([
      [true, true],
      [true, false],
      [false, false],
    ]);
    theirs.release();
    expect([theirs.tryAcquire(), theirs.tryAcquire()]).toEqual([true, false]);
    ours.attemptEnded();
    expect([ours.tryWithdraw(), ours.tryWithdraw()]).toEqual([true, false]);
  });

  it.each([0, 0.05, 0.2, 0.25, 0.5, 1])(
    'never allows what failsafe-go refuses, at a ratio of %d',
    (ratio) => {
      for (const min of [0, 1, 3, 10]) {
        for (let calls = 0; calls <= 200; calls += 7) {
          const theirs = new FailsafeBudget(ratio, min, Math.max(1, calls));
          const ours = drain(budgetOf(ratio, min, calls));
          for (let attempt = 0; attempt < ours; attempt++) expect(theirs.tryAcquire()).toBe(true);
        }
      }
    },
  );

  it('has its defaults: a share of 0.2, and at least 3', () => {
    expect(drain(concurrencyBudget())).toBe(3);
    const busy = concurrencyBudget();
    for (let call = 0; call < 50; call++) busy.deposit();
    expect(drain(busy)).toBe(10);
  });
});
