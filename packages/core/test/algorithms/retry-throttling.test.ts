/** gRPC's retry throttling and backoff (proposal A6), on the library's own budget and retry. */
import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { pipeline } from '../../src/pipeline.js';
import { retry } from '../../src/retry.js';
import { type TokenBudget, tokenBudget } from '../../src/token-budget.js';

const failed = (): Promise<never> => Promise.reject(new Error('UNAVAILABLE'));

function told(budget: TokenBudget, failures: number, successes: number): TokenBudget {
  for (let attempt = 0; attempt < failures; attempt++) budget.record(false);
  for (let attempt = 0; attempt < successes; attempt++) budget.record(true);
  return budget;
}

describe('tokenBudget, by the table of A6 (maxTokens 10, tokenRatio 0.1)', () => {
  it.each([
    { failures: 0, successes: 0, tokens: 10, allowed: true },
    { failures: 4, successes: 0, tokens: 6, allowed: true },
    { failures: 5, successes: 0, tokens: 5, allowed: false },
    { failures: 10, successes: 0, tokens: 0, allowed: false },
    { failures: 12, successes: 0, tokens: 0, allowed: false },
    { failures: 0, successes: 3, tokens: 10, allowed: true },
    { failures: 12, successes: 50, tokens: 5, allowed: false },
    { failures: 12, successes: 51, tokens: 5.1, allowed: true },
  ])('$failures failures, then $successes successes: $tokens tokens', (row) => {
    const budget = told(
      tokenBudget({ maxTokens: 10, tokenRatio: 0.1 }),
      row.failures,
      row.successes,
    );
    expect(budget.tokens).toBe(row.tokens);
    expect(budget.tryWithdraw()).toBe(row.allowed);
  });

  it('a retry goes by it: failures cost retries, then successes win them back', async () => {
    const clock = new VirtualClock();
    const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.1 });
    const calls = pipeline({ clock }, retry({ maxAttempts: 2, budget }));
    let attempts = 0;
    const failing = async (): Promise<number> => {
      attempts = 0;
      const call = calls.execute(() => {
        attempts += 1;
        return failed();
      });
      await expect(clock.runUntilSettled(call)).rejects.toThrow('UNAVAILABLE');
      return attempts;
    };
    // 9 and 8 tokens, 7 and 6, then 5: not above half.
    expect([await failing(), await failing(), await failing(), await failing()]).toEqual([
      2, 2, 1, 1,
    ]);
    expect(budget.tokens).toBe(4);
    for (let call = 0; call < 20; call++) await calls.execute(() => 'OK');
    expect([budget.tokens, await failing()]).toEqual([6, 1]);
    for (let call = 0; call < 11; call++) await calls.execute(() => 'OK');
    expect([budget.tokens, await failing()]).toEqual([6.1, 2]);
  });

  it('a failure that must not be repeated changes nothing', async () => {
    const clock = new VirtualClock();
    const budget = tokenBudget();
    const calls = pipeline(
      { clock, classify: () => ({ kind: 'failure', repeat: false }) },
      retry({ budget }),
    );
    await expect(calls.execute(failed)).rejects.toThrow('UNAVAILABLE');
    expect(budget.tokens).toBe(10);
  });

  it('stands still at one failure in eleven, runs dry above and fills up below', () => {
    const after = (successesPerFailure: number): number => {
      const budget = told(tokenBudget({ maxTokens: 10, tokenRatio: 0.1 }), 2, 0);
      for (let cycle = 0; cycle < 1_000; cycle++) told(budget, 1, successesPerFailure);
      return budget.tokens;
    };
    expect(after(10)).toBe(8);
    expect(after(9)).toBeLessThanOrEqual(1);
    expect(after(11)).toBe(10);
  });

  it('with random failures allows nearly every retry at 5 %, and nearly none at 15 %', () => {
    const share = (failureRatio: number): number => {
      const random = seededRandom('A6');
      const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.1 });
      let asked = 0;
      let allowed = 0;
      for (let attempt = 0; attempt < 100_000; attempt++) {
        const succeeded = random() >= failureRatio;
        budget.record(succeeded);
        if (succeeded) continue;
        asked += 1;
        if (budget.tryWithdraw()) allowed += 1;
      }
      return allowed / asked;
    };
    expect(share(0.05)).toBeGreaterThan(0.99);
    expect(share(0.15)).toBeLessThan(0.05);
  });
});

describe("retry, with gRPC's backoff", () => {
  it('waits min(initial × 2^(n-1), max) × U(0.8, 1.2), the jitter beyond the cap', async () => {
    const clock = new VirtualClock();
    const random = seededRandom('A6');
    const backoff = (attempt: number): number =>
      Math.min(100 * 2 ** (attempt - 1), 1_000) * (0.8 + 0.4 * random());
    const calls = pipeline(
      { clock },
      retry({ maxAttempts: 7, backoff, jitter: 'none', maxDelay: 1_200 }),
    );
    const events = recordEvents(calls);
    const bounds = [
      [80, 120],
      [160, 240],
      [320, 480],
      [640, 960],
      [800, 1_200],
      [800, 1_200],
    ] as const;
    const seen = bounds.map(() => [Infinity, 0] as [least: number, most: number]);
    for (let call = 0; call < 300; call++) {
      events.clear();
      await clock.runUntilSettled(calls.execute(failed).catch(() => {}));
      const delays = events.of('retry.scheduled').map(({ delay }) => delay);
      expect(delays).toHaveLength(bounds.length);
      delays.forEach((delay, index) => {
        const at = seen[index]!;
        seen[index] = [Math.min(at[0], delay), Math.max(at[1], delay)];
      });
    }
    bounds.forEach(([least, most], index) => {
      const [shortest, longest] = seen[index]!;
      const spread = most - least;
      expect(shortest).toBeGreaterThanOrEqual(least);
      expect(shortest).toBeLessThan(least + 0.05 * spread);
      expect(longest).toBeLessThanOrEqual(most);
      expect(longest).toBeGreaterThan(most - 0.05 * spread);
    });
  });
});
