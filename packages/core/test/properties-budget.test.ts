/** Random histories of the budgets against a list of everything that happened. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryBudget } from '../src/retry-budget.js';
import { tokenBudget } from '../src/token-budget.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

interface Rules {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly duration: number;
}

const rules: fc.Arbitrary<Rules> = fc.record({
  ratio: fc.constantFrom(0, 0.001, 0.1, 0.2, 1 / 3, 0.5, 0.6, 0.75, 0.99, 1, 2, 30, 1_000),
  minPerSecond: fc.constantFrom(0, 0, 0.5, 1, 10),
  duration: fc.constantFrom(10, 1_000, 2_000, 10_000, 60_000),
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('deposit' as const), amount: fc.nat(30) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('withdraw' as const), amount: fc.nat(8) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('wait' as const),
        amount: fc.oneof(
          fc.nat(20),
          fc.nat(1_500),
          fc.constantFrom(0.5, 100, 999, 1_000, 9_999, 10_000, 100_000),
        ),
      }),
    },
  ),
  { minLength: 5, maxLength: 60, size: 'max' },
);

/** A leaky bucket by the book, in retries: a call is worth `ratio` of one. */
class ReferenceBudget {
  readonly #rules: Rules;
  /** Thousandths that one retry costs; a call brings 1,000. */
  readonly #cost: number;
  readonly #floor: number;
  #events: { readonly slot: number; readonly amount: number }[] = [];

  constructor(chosen: Rules) {
    this.#rules = chosen;
    this.#cost = chosen.ratio === 0 ? 1 : Math.floor(1_000 / chosen.ratio);
    this.#floor = chosen.minPerSecond * (chosen.duration / 1_000) * this.#cost;
  }

  deposit(now: number): void {
    this.#events.push({ slot: this.#slotOf(now), amount: this.#rules.ratio === 0 ? 0 : 1_000 });
  }

  tryWithdraw(now: number): boolean {
    if (this.left(now) < this.#cost) return false;
    this.#events.push({ slot: this.#slotOf(now), amount: -this.#cost });
    return true;
  }

  balance(now: number): number {
    return Math.max(0, Math.floor(this.left(now) / this.#cost));
  }

  /** What the last ten slots brought, less what they took, above the floor. */
  left(now: number): number {
    const present = this.#slotOf(now);
    this.#events = this.#events.filter(({ slot }) => slot > present - 10);
    return this.#events.reduce((sum, { amount }) => sum + amount, this.#floor);
  }

  #slotOf(now: number): number {
    return Math.floor(now / (this.#rules.duration / 10));
  }
}

describe('retryBudget', () => {
  let allowed = 0;
  let refused = 0;

  it(
    'does what a list of all calls and retries does, and never overdraws',
    () => {
      fc.assert(
        fc.property(rules, steps, (chosen, history) => {
          const clock = new VirtualClock();
          const { ratio, minPerSecond, duration } = chosen;
          const budget = retryBudget({ ratio, minPerSecond, window: { duration }, clock });
          const model = new ReferenceBudget(chosen);
          for (const step of history) {
            const now = clock.now();
            if (step.do === 'wait') clock.tick(step.amount);
            for (let time = 0; step.do === 'deposit' && time < step.amount; time++) {
              budget.deposit();
              model.deposit(now);
            }
            for (let time = 0; step.do === 'withdraw' && time < step.amount; time++) {
              const was = budget.balance;
              const given = budget.tryWithdraw();
              same(given, model.tryWithdraw(now), 'withdrawal');
              same(given, was > 0, 'withdrawal by balance');
              if (given) same(model.left(now) >= 0, true, 'nothing owed after a withdrawal');
              if (given) allowed += 1;
              else refused += 1;
            }
            same(budget.balance, model.balance(clock.now()), 'balance');
          }
        }),
        runs(),
      );
      expect(allowed).toBeGreaterThan(1_000);
      expect(refused).toBeGreaterThan(1_000);
    },
    PATIENCE,
  );

  it(
    'takes the time from whoever knows it, and a clock that is read late does no harm',
    () => {
      fc.assert(
        fc.property(
          rules,
          steps,
          fc.array(fc.nat(50), { minLength: 60 }),
          (chosen, history, lags) => {
            const clock = new VirtualClock();
            const { ratio, minPerSecond, duration } = chosen;
            const budget = retryBudget({ ratio, minPerSecond, window: { duration }, clock });
            const model = new ReferenceBudget(chosen);
            let latest = 0;
            history.forEach((step, index) => {
              clock.tick(step.do === 'wait' ? step.amount : 0);
              // A call deposits at the time it began, which may be before the latest withdrawal.
              const known = Math.max(0, clock.now() - (lags[index] ?? 0));
              if (step.do !== 'wait') latest = Math.max(latest, known);
              if (step.do === 'deposit') {
                budget.deposit(known);
                model.deposit(latest);
              } else if (step.do === 'withdraw')
                same(budget.tryWithdraw(known), model.tryWithdraw(latest), 'withdrawal');
            });
          },
        ),
        runs(2_000),
      );
    },
    PATIENCE,
  );
});

describe('tokenBudget', () => {
  it(
    'does what exact arithmetic in thousandths does',
    () => {
      const outcomes = fc.array(fc.boolean(), { maxLength: 200, size: 'max' });
      const thousandths = fc.integer({ min: 1, max: 3_000 });
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 40 }),
          thousandths,
          outcomes,
          (maxTokens, gain, succeeded) => {
            const budget = tokenBudget({ maxTokens, tokenRatio: gain / 1_000 });
            const most = BigInt(maxTokens) * 1_000n;
            let tokens = most;
            for (const success of succeeded) {
              budget.record(success);
              tokens += success ? BigInt(gain) : -1_000n;
              if (tokens > most) tokens = most;
              if (tokens < 0n) tokens = 0n;
              same(budget.tokens, Number(tokens) / 1_000, 'tokens');
              same(budget.tryWithdraw(), tokens > most / 2n, 'retry allowed');
            }
          },
        ),
        runs(2_000),
      );
    },
    PATIENCE,
  );
});
