import { describe, expect, it } from 'vitest';
import { CountWindow, DurationWindow, type FailureWindow } from './failure-window.js';

/** Records the outcomes that a text names: `F` failed, `S` succeeded, `s` slowly, `f` failed slowly. */
function record(window: FailureWindow, outcomes: string, now = 0): void {
  for (const outcome of outcomes) {
    window.record(now, 'Ff'.includes(outcome), 'fs'.includes(outcome));
  }
}

describe('CountWindow', () => {
  it('counts calls, failures and slow calls, a slow failure as both', () => {
    const window = new CountWindow(10);
    expect(window.counts()).toEqual({ calls: 0, failures: 0, slow: 0 });
    record(window, 'SFsf');
    expect(window.counts()).toEqual({ calls: 4, failures: 2, slow: 2 });
  });

  it('forgets the oldest outcome for each new one once it is full', () => {
    const window = new CountWindow(3);
    record(window, 'FfS');
    expect(window.counts()).toEqual({ calls: 3, failures: 2, slow: 1 });
    record(window, 'S');
    expect(window.counts()).toEqual({ calls: 3, failures: 1, slow: 1 });
    record(window, 'S');
    expect(window.counts()).toEqual({ calls: 3, failures: 0, slow: 0 });
    record(window, 'FFFF');
    expect(window.counts()).toEqual({ calls: 3, failures: 3, slow: 0 });
  });

  it('works with one place', () => {
    const window = new CountWindow(1);
    record(window, 'FS');
    expect(window.counts()).toEqual({ calls: 1, failures: 0, slow: 0 });
  });

  it('is empty after clear, also where old outcomes stood', () => {
    const window = new CountWindow(3);
    record(window, 'FFF');
    window.clear();
    expect(window.counts()).toEqual({ calls: 0, failures: 0, slow: 0 });
    record(window, 'SS');
    expect(window.counts()).toEqual({ calls: 2, failures: 0, slow: 0 });
  });

  it('lists its outcomes as bits, oldest first, and takes them over in that order', () => {
    const window = new CountWindow(3);
    record(window, 'SFsf');
    const snapshot = window.snapshot();
    expect(snapshot).toEqual({ kind: 'calls', size: 3, entries: [1, 2, 3] });
    const copy = new CountWindow(3);
    expect(copy.restore(snapshot, 0)).toBe(true);
    record(copy, 'S');
    expect(copy.snapshot().entries).toEqual([2, 3, 0]);
  });

  it('takes over the latest outcomes where it is smaller than the other', () => {
    const window = new CountWindow(5);
    record(window, 'FFSSF');
    const copy = new CountWindow(2);
    copy.restore(window.snapshot(), 0);
    expect(copy.counts()).toEqual({ calls: 2, failures: 1, slow: 0 });
  });

  it('takes nothing over from a time window', () => {
    const window = new CountWindow(5);
    record(window, 'F');
    expect(window.restore(new DurationWindow(100).snapshot(0), 0)).toBe(false);
    expect(window.counts().calls).toBe(1);
  });
});

describe('DurationWindow', () => {
  it('counts calls, failures and slow calls, a slow failure as both', () => {
    const window = new DurationWindow(1_000);
    expect(window.counts(0)).toEqual({ calls: 0, failures: 0, slow: 0 });
    record(window, 'SFsf');
    expect(window.counts(0)).toEqual({ calls: 4, failures: 2, slow: 2 });
  });

  it('forgets an outcome between 90 and 100 % of the duration after it', () => {
    for (let begin = 0; begin < 100; begin += 7) {
      const window = new DurationWindow(1_000);
      record(window, 'F', begin);
      expect(window.counts(begin + 900).failures).toBe(1);
      expect(window.counts(begin + 1_000).failures).toBe(0);
    }
  });

  it('forgets part by part', () => {
    const window = new DurationWindow(1_000);
    for (let now = 0; now < 1_000; now += 100) record(window, 'F', now);
    expect(window.counts(999).failures).toBe(10);
    expect(window.counts(1_000).failures).toBe(9);
    expect(window.counts(1_499).failures).toBe(5);
    expect(window.counts(1_900).failures).toBe(0);
  });

  it.each([1_000, 5_000, 1e9])('drops all that ran out at once after a pause of %d ms', (pause) => {
    const window = new DurationWindow(1_000);
    for (let now = 0; now < 1_000; now += 100) record(window, 'Fs', now);
    expect(window.counts(1_000 + pause)).toEqual({ calls: 0, failures: 0, slow: 0 });
    record(window, 'S', 1_000 + pause);
    expect(window.counts(1_000 + pause)).toEqual({ calls: 1, failures: 0, slow: 0 });
  });

  it('keeps what it counted when time goes back a little', () => {
    const window = new DurationWindow(1_000);
    record(window, 'F', 500);
    record(window, 'F', 350);
    expect(window.counts(400)).toEqual({ calls: 2, failures: 2, slow: 0 });
  });

  it('works on a scale that begins below zero', () => {
    const window = new DurationWindow(1_000);
    record(window, 'FF', -1_250);
    expect(window.counts(-350).failures).toBe(2);
    expect(window.counts(-250).failures).toBe(0);
  });

  it('lists at most ten parts, however many outcomes it holds, and takes them over by age', () => {
    const window = new DurationWindow(1_000);
    for (let now = 0; now < 2_000; now += 1) record(window, 'F', now);
    const snapshot = window.snapshot(1_999);
    expect(snapshot).toMatchObject({ kind: 'duration', size: 1_000 });
    expect(snapshot.entries).toHaveLength(10);
    expect(snapshot.entries.at(-1)).toEqual([99, 100, 100, 0]);
    const copy = new DurationWindow(1_000);
    expect(copy.restore(snapshot, 70_099, 500)).toBe(true);
    expect(copy.counts(70_099)).toEqual({ calls: 500, failures: 500, slow: 0 });
    expect(copy.counts(70_599).failures).toBe(0);
  });

  it('puts what was younger than now into the present part', () => {
    const window = new DurationWindow(1_000);
    window.restore({ kind: 'duration', size: 1_000, entries: [[-50, 2, 1, 0]] }, 100, 0);
    expect(window.counts(100)).toEqual({ calls: 2, failures: 1, slow: 0 });
  });

  it('takes nothing over from a count window', () => {
    const window = new DurationWindow(100);
    record(window, 'F');
    expect(window.restore(new CountWindow(5).snapshot(), 0, 0)).toBe(false);
    expect(window.counts(0).calls).toBe(1);
  });
});
