import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { type TokenBudgetOptions, tokenBudget } from './token-budget.js';

const failed = (): Promise<never> => Promise.reject(new Error('down'));

describe('tokenBudget', () => {
  it('starts full, and allows a retry only above half', () => {
    const budget = tokenBudget({ maxTokens: 4 });
    expect(budget.tokens).toBe(4);
    budget.record(false);
    expect([budget.tokens, budget.tryWithdraw()]).toEqual([3, true]);
    budget.record(false);
    expect([budget.tokens, budget.tryWithdraw()]).toEqual([2, false]);
    budget.record(true);
    expect([budget.tokens, budget.tryWithdraw()]).toEqual([2.1, true]);
  });

  it('half of an odd number is not rounded', () => {
    const budget = tokenBudget({ maxTokens: 5, tokenRatio: 0.5 });
    budget.record(false);
    budget.record(false);
    expect(budget.tryWithdraw()).toBe(true);
    budget.record(false);
    budget.record(true);
    expect([budget.tokens, budget.tryWithdraw()]).toEqual([2.5, false]);
  });

  it('deposits and withdrawals change nothing', () => {
    const budget = tokenBudget();
    budget.record(false);
    budget.deposit();
    budget.tryWithdraw();
    expect(budget.tokens).toBe(9);
  });

  it('cuts tokenRatio to thousandths, and no further', () => {
    const gain = (tokenRatio: number): number => {
      const budget = tokenBudget({ maxTokens: 100, tokenRatio });
      for (let failure = 0; failure < 50; failure++) budget.record(false);
      budget.record(true);
      return budget.tokens - 50;
    };
    expect(gain(0.5466)).toBeCloseTo(0.546, 9);
    expect(gain(1.001)).toBeCloseTo(1.001, 9);
    expect(gain(0.001)).toBeCloseTo(0.001, 9);
  });

  describe('in a retry', () => {
    it('is told of every attempt, and stops the retries at half', async () => {
      const clock = new VirtualClock();
      const budget = tokenBudget({ maxTokens: 4 });
      const calls = pipeline({ clock }, retry({ maxAttempts: 10, jitter: 'none', budget }));
      const events = recordEvents(calls);
      const operation = vi.fn(failed);
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toThrow('down');
      expect(operation).toHaveBeenCalledTimes(2);
      expect(budget.tokens).toBe(2);
      expect(events.types).toEqual([
        'call.started',
        'retry.scheduled',
        'budget.exhausted',
        'retry.exhausted',
        'call.failed',
      ]);
      expect(events.of('budget.exhausted')[0]?.strategy).toBe('token-budget');
      expect(events.of('retry.exhausted')[0]?.reason).toBe('budget');
      for (let call = 0; call < 5; call++) await calls.execute(async () => 'up');
      expect(budget.tokens).toBe(2.5);
    });

    it('counts a success after a failure once each, and the failure of the last attempt too', async () => {
      const clock = new VirtualClock();
      const budget = tokenBudget();
      const calls = pipeline({ clock }, retry({ maxAttempts: 2, budget, random: seededRandom(1) }));
      const recovers = calls.execute(({ attempt }) => (attempt === 1 ? failed() : 'up'));
      expect(await clock.runUntilSettled(recovers)).toBe('up');
      expect(budget.tokens).toBe(9.1);
      await expect(clock.runUntilSettled(calls.execute(failed))).rejects.toThrow('down');
      expect(budget.tokens).toBe(7.1);
    });

    it('counts nothing for what must not be repeated, is ignored, refused or cancelled', async () => {
      const clock = new VirtualClock();
      const budget = tokenBudget();
      const kinds = ['final', 'ignored'] as const;
      for (const kind of kinds) {
        const classified = pipeline(
          { clock },
          retry({
            budget,
            classify: () =>
              kind === 'final' ? { kind: 'failure', repeat: false } : { kind, repeat: false },
          }),
        );
        await expect(classified.execute(failed)).rejects.toThrow('down');
      }
      const calls = pipeline({ clock }, retry({ budget }));
      await expect(calls.execute(failed, { idempotent: false })).rejects.toThrow('down');
      const caller = new AbortController();
      const cancelled = calls.execute(
        () => {
          caller.abort('enough');
          return failed();
        },
        { signal: caller.signal },
      );
      await expect(cancelled).rejects.toThrow('down');
      expect(budget.tokens).toBe(10);
    });

    it('counts an answer by what classify says of it', async () => {
      const clock = new VirtualClock();
      const budget = tokenBudget();
      const calls = pipeline(
        {
          clock,
          classify: (outcome) => (outcome.ok && outcome.value === 503 ? 'failure' : 'success'),
        },
        retry({ maxAttempts: 3, budget }),
      );
      expect(await clock.runUntilSettled(calls.execute(() => 503))).toBe(503);
      expect(budget.tokens).toBe(7);
      expect(await calls.execute(() => 200)).toBe(200);
      await expect(calls.execute(failed)).rejects.toThrow('down');
      expect(budget.tokens).toBe(7.2);
    });
  });

  it.each([
    [{ maxTokens: 0 }, 'tokenBudget.maxTokens must be a whole number from 1 to 1000, but got 0'],
    [{ maxTokens: 1_001 }, 'tokenBudget.maxTokens must be a whole number from 1 to 1000'],
    [{ maxTokens: 1.5 }, 'tokenBudget.maxTokens must be a whole number from 1 to 1000'],
    [{ tokenRatio: 0 }, 'tokenBudget.tokenRatio must be a number of at least 0.001, but got 0'],
    [{ tokenRatio: Number.NaN }, 'tokenBudget.tokenRatio must be a number of at least 0.001'],
    [{ tokenRatio: Infinity }, 'tokenBudget.tokenRatio must be a number of at least 0.001'],
    [{ name: '' }, 'tokenBudget.name must be a string that is not empty'],
    [{ ratio: 1 }, 'tokenBudget.ratio is not an option; known are maxTokens, tokenRatio, name'],
  ])('refuses %o', (options, message) => {
    expect(() => tokenBudget(options as TokenBudgetOptions)).toThrow(message);
  });
});
