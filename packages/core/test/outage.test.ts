/**
 * An outage on virtual time: hundreds of clients, each with a standard pipeline of its own, call one
 * service four times a second whatever becomes of the calls before (an open loop), all in the same
 * millisecond. The service fails at once for a while, then does not answer at all, then is well again.
 */
import { seededRandom, VirtualClock } from '@resil/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Call } from '../src/call.js';
import { isRefusal } from '../src/errors.js';
import { retryBudgetDefaults } from '../src/retry-budget.js';
import { standard, standardDefaults } from '../src/standard.js';

const CLIENTS = 200;
const PER_SECOND = 4;
const SECONDS = 60;
const FAILING = { from: 10_000, to: 25_000 };
const SILENT = { from: 25_000, to: 40_000 };
const WELL_AGAIN = SILENT.to;

/** What one client saw. */
interface Diary {
  calls: number;
  /** When its retries were decided. */
  readonly retries: number[];
  budgetExhausted: number;
  opened: number;
  /** When its circuit was closed for the last time. */
  closedAt: number;
}

describe('standard() in an outage', () => {
  const clock = new VirtualClock();
  const random = seededRandom('outage');
  const diaries: Diary[] = [];
  /** Attempts that reached the service, by second and by millisecond. */
  const load: number[] = new Array(SECONDS + 20).fill(0);
  const firstAttempts = new Map<number, number>();
  const laterAttempts = new Map<number, number>();
  /** Calls by the second in which they began. */
  const succeeded: number[] = new Array(SECONDS).fill(0);
  const refused: number[] = new Array(SECONDS).fill(0);
  let longest = 0;
  let settled = 0;

  function service({ attempt, signal }: Call): Promise<string> {
    const now = clock.now();
    const second = Math.floor(now / 1_000);
    load[second] = (load[second] ?? 0) + 1;
    const attempts = attempt === 1 ? firstAttempts : laterAttempts;
    attempts.set(Math.floor(now), (attempts.get(Math.floor(now)) ?? 0) + 1);
    return new Promise((resolve, reject) => {
      if (now >= FAILING.from && now < FAILING.to)
        clock.schedule(() => reject(new Error('503')), 5);
      else if (now >= SILENT.from && now < SILENT.to)
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      else clock.schedule(() => resolve('200'), 5 + 20 * random());
    });
  }

  beforeAll(async () => {
    const clients = Array.from({ length: CLIENTS }, () => {
      const client = standard({ clock, random });
      const diary: Diary = { calls: 0, retries: [], budgetExhausted: 0, opened: 0, closedAt: 0 };
      diaries.push(diary);
      client.on((event) => {
        if (event.type === 'retry.scheduled') diary.retries.push(event.at);
        else if (event.type === 'budget.exhausted') diary.budgetExhausted += 1;
        else if (event.type === 'circuit.opened') diary.opened += 1;
        else if (event.type === 'circuit.closed') diary.closedAt = event.at;
      });
      return { client, diary };
    });
    for (let tick = 0; tick < SECONDS * PER_SECOND; tick++) {
      const startedAt = clock.now();
      const second = Math.floor(startedAt / 1_000);
      for (const { client, diary } of clients) {
        diary.calls += 1;
        client
          .execute(service)
          .then(
            () => {
              succeeded[second] = (succeeded[second] ?? 0) + 1;
            },
            (error) => {
              if (isRefusal(error)) refused[second] = (refused[second] ?? 0) + 1;
            },
          )
          .finally(() => {
            settled += 1;
            longest = Math.max(longest, clock.now() - startedAt);
          });
      }
      await clock.advance(1_000 / PER_SECOND);
    }
    await clock.runUntilIdle();
  }, 120_000);

  const perSecond = CLIENTS * PER_SECOND;
  const busiest = (attempts: Map<number, number>): number => Math.max(...attempts.values());
  const between = (list: readonly number[], from: number, to: number): number[] =>
    list.slice(from / 1_000, to / 1_000);
  const sum = (list: readonly number[]): number => list.reduce((total, count) => total + count, 0);

  it('settles every call within its total timeout, and leaves no timer behind', () => {
    expect(settled).toBe(CLIENTS * PER_SECOND * SECONDS);
    expect(longest).toBeLessThanOrEqual(standardDefaults.totalTimeout + 1);
    expect(clock.pending).toBe(0);
  });

  it('makes no retry while the service is well', () => {
    expect(sum(between(load, 0, FAILING.from))).toBe((perSecond * FAILING.from) / 1_000);
    expect(sum(between(succeeded, 0, FAILING.from))).toBe((perSecond * FAILING.from) / 1_000);
  });

  it('keeps the retries of every client within its budget', () => {
    const { ratio, minPerSecond, window } = retryBudgetDefaults;
    // What the calls of a window and of the part before it bring, and the floor.
    const most =
      1.1 * ratio * PER_SECOND * (window.duration / 1_000) +
      minPerSecond * (window.duration / 1_000);
    for (const { retries, calls } of diaries) {
      expect(retries.length).toBeLessThanOrEqual(ratio * calls + minPerSecond * SECONDS);
      for (const first of retries) {
        const inWindow = retries.filter((at) => at >= first && at < first + 0.9 * window.duration);
        expect(inWindow.length).toBeLessThanOrEqual(most);
      }
    }
    // The budget was what held them back: they would have made two per call.
    for (const { retries, budgetExhausted } of diaries) {
      expect(retries.length).toBeGreaterThan(10);
      expect(budgetExhausted).toBeGreaterThan(5);
    }
  });

  it('adds no more to the load than the budgets allow, over any ten seconds', () => {
    const { ratio, minPerSecond } = retryBudgetDefaults;
    const allowed = 10 * (perSecond * (1 + ratio) + minPerSecond * CLIENTS);
    for (let second = 0; second + 10 <= SECONDS; second++)
      expect(sum(load.slice(second, second + 10))).toBeLessThanOrEqual(allowed);
    // Unlimited it would be three times the calls.
    expect(allowed).toBeLessThan(0.5 * 10 * 3 * perSecond);
  });

  it('spreads retries of calls that failed in the same millisecond', () => {
    expect(busiest(firstAttempts)).toBe(CLIENTS);
    expect(sum([...laterAttempts.values()])).toBeGreaterThan(10 * CLIENTS);
    expect(busiest(laterAttempts)).toBeLessThan(0.08 * CLIENTS);
  });

  it('lets almost nothing through once the circuits are open, and refuses the rest', () => {
    for (const { opened } of diaries) expect(opened).toBeGreaterThan(1);
    const late = between(load, 27_000, WELL_AGAIN);
    expect(sum(late) / late.length).toBeLessThan(0.2 * perSecond);
    const turnedAway = between(refused, 27_000, WELL_AGAIN);
    expect(sum(turnedAway) / turnedAway.length).toBeGreaterThan(0.8 * perSecond);
  });

  it('is whole again soon after the service is, and does not overrun it', () => {
    const { resetTimeout, halfOpenCalls } = standardDefaults.circuitBreaker;
    const probing = standardDefaults.attemptTimeout + (halfOpenCalls / PER_SECOND) * 1_000;
    for (const { closedAt } of diaries) {
      expect(closedAt).toBeGreaterThan(WELL_AGAIN);
      expect(closedAt).toBeLessThanOrEqual(WELL_AGAIN + resetTimeout + probing + 1_000);
    }
    expect(sum(between(succeeded, 50_000, 60_000))).toBe(perSecond * 10);
    for (const attempts of between(load, WELL_AGAIN, 60_000))
      expect(attempts).toBeLessThanOrEqual(1.2 * perSecond);
  });
});
