/** resilience4j's vectors for its two windows and for the rate of its breaker, on ours. */
import { VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/circuit-breaker.js';
import { CountWindow, DurationWindow, type FailureWindow } from '../../src/failure-window.js';

type Ended = 'success' | 'error' | 'slow success' | 'slow error';

function record(
  window: FailureWindow,
  now: number,
  ended: Ended,
): readonly [number, number, number] {
  window.record(now, ended.endsWith('error'), ended.startsWith('slow'));
  return countsAt(window, now);
}

function countsAt(
  window: FailureWindow,
  now: number,
): readonly [calls: number, failures: number, slow: number] {
  const { calls, failures, slow } = window.counts(now);
  return [calls, failures, slow];
}

describe('CountWindow, by FixedSizeSlidingWindowMetricsTest', () => {
  it('of 4: the fifth outcome pushes the first one out', () => {
    const window = new CountWindow(4);
    const seen = (['error', 'success', 'success', 'success', 'success'] as const).map((ended) =>
      record(window, 0, ended),
    );
    expect(seen).toEqual([
      [1, 1, 0],
      [2, 1, 0],
      [3, 1, 0],
      [4, 1, 0],
      [4, 0, 0],
    ]);
  });

  it('of 2: slow outcomes are pushed out too, failed or not', () => {
    const window = new CountWindow(2);
    const seen = (['slow error', 'slow success', 'success', 'success', 'success'] as const).map(
      (ended) => record(window, 0, ended),
    );
    expect(seen).toEqual([
      [1, 1, 1],
      [2, 1, 2],
      [2, 0, 1],
      [2, 0, 0],
      [2, 0, 0],
    ]);
  });

  it('of 5: two slow ones are 40 %', () => {
    const window = new CountWindow(5);
    for (const ended of ['slow success', 'slow error', 'success', 'success'] as const)
      record(window, 0, ended);
    expect(record(window, 0, 'success')).toEqual([5, 1, 2]);
  });
});

describe('DurationWindow, by SlidingTimeWindowMetricsTest', () => {
  it('of 5 s: drops the outcomes of a second that has run out', () => {
    const window = new DurationWindow(5_000);
    const story: [at: number, ended: Ended, calls: number, failures: number][] = [
      [0, 'error', 1, 1],
      [100, 'success', 2, 1],
      [200, 'success', 3, 1],
      [1_200, 'success', 4, 1],
      [2_200, 'success', 5, 1],
      [3_200, 'error', 6, 2],
      [4_200, 'success', 7, 2],
      [5_200, 'success', 5, 1],
      [6_200, 'success', 5, 1],
      [11_200, 'success', 1, 0],
    ];
    for (const [at, ended, calls, failures] of story)
      expect(record(window, at, ended), `at ${at} ms`).toEqual([calls, failures, 0]);
  });

  it('of 5 s: is empty again when nothing comes', () => {
    const window = new DurationWindow(5_000);
    record(window, 0, 'error');
    record(window, 100, 'success');
    record(window, 800, 'success');
    expect(countsAt(window, 4_800)).toEqual([3, 1, 0]);
    expect(countsAt(window, 5_800)).toEqual([0, 0, 0]);
    expect(record(window, 5_900, 'success')).toEqual([1, 0, 0]);
  });
});

describe('circuitBreaker, by CircuitBreakerMetricsTest', () => {
  async function after(failureRatio: number, story: string): Promise<string> {
    const clock = new VirtualClock();
    const breaker = new CircuitBreaker({
      failureRatio,
      minimumCalls: 10,
      window: { calls: 10 },
      clock,
    });
    for (const ended of story) {
      const call = breaker.execute(() => {
        if (ended === 'E') throw new Error('down');
      });
      await call.catch(() => {});
    }
    return breaker.state;
  }

  it('has no rate before minimumCalls outcomes', async () => {
    expect(await after(0.5, 'SSEE')).toBe('closed');
    expect(await after(0.5, 'EEEEEEEEE')).toBe('closed');
    expect(await after(0.5, 'EEEEEEEEEE')).toBe('open');
  });

  it('goes by the latest ten, and opens at the ratio itself', async () => {
    // Of the latest ten, six have failed.
    expect(await after(0.6, 'SSEESSEEEE')).toBe('open');
    expect(await after(0.6, 'SSSSSSEEEEE')).toBe('closed');
    expect(await after(0.6, 'SSSSSSEEEEEE')).toBe('open');
    expect(await after(0.61, 'SSSSSSEEEEEE')).toBe('closed');
  });

  it('is not opened by a success, unlike there', async () => {
    expect(await after(0.6, 'SSEEEEEESSSS')).toBe('closed');
    expect(await after(0.6, 'SSEEEEEESSE')).toBe('open');
  });
});
