import { VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import type { Call, CallAttributes, CallOptions } from './call.js';
import type { CallState } from './call-state.js';
import { coalesce } from './coalesce.js';
import { failover } from './failover.js';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { retryBudget } from './retry-budget.js';

const down = new Error('down');
const shared = () => coalesce({ key: () => 'a' });
const backoff = { backoff: 'constant', jitter: 'none', baseDelay: 10 } as const;

describe('a detached call', () => {
  it('has what the options of its call say, also where they are getters of a class', async () => {
    class Request implements CallOptions {
      readonly key = 'host';
      readonly priority = 3;
      get name(): string {
        return 'GET /a';
      }
      get attributes(): CallAttributes {
        return this as CallAttributes;
      }
      get idempotent(): boolean {
        return true;
      }
    }
    const request = new Request();
    const seen = await shared().execute((call) => call, request);
    expect(seen.attributes).toBe(request);
    expect(seen).toMatchObject({ key: 'host', name: 'GET /a', priority: 3, idempotent: true });
  });

  it('knows that it is repeated further out', async () => {
    const clock = new VirtualClock();
    const repeated = (call: Call) => (call as CallState).root.repeated;
    expect(await pipeline({ clock }, retry(), shared()).execute(repeated)).toBe(true);
    expect(await pipeline({ clock }, shared()).execute(repeated)).toBe(false);
  });

  it('goes where its call was not sent yet', async () => {
    const clock = new VirtualClock();
    const calls = pipeline(
      { clock },
      retry({ maxAttempts: 2, ...backoff }),
      shared(),
      failover({ clock, endpoints: ['a', { target: 'b', priority: 1 }] }),
    );
    const tried: unknown[] = [];
    const answer = calls.execute(async ({ endpoint }) => {
      tried.push(endpoint?.name);
      if (tried.length === 1) throw down;
      return 'answer';
    });
    expect(await clock.runUntilSettled(answer)).toBe('answer');
    expect(tried).toEqual(['a', 'b']);
  });

  it('is counted once in a budget that its call is counted in', async () => {
    const clock = new VirtualClock();
    const budget = retryBudget({ clock });
    const calls = pipeline({ clock }, retry({ budget }), shared(), retry({ budget }));
    await calls.execute(() => 1);
    expect(budget.describe().counters).toMatchObject({ deposits: 1 });
  });
});
