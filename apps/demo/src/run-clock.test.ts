import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RunClock } from './run-clock.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('stands still while it is held', () => {
  vi.advanceTimersByTime(50);
  const clock = new RunClock();
  clock.start();
  vi.advanceTimersByTime(100);
  expect(clock.now).toBe(100);
  clock.hold();
  vi.advanceTimersByTime(1_000);
  clock.hold();
  expect(clock.now).toBe(100);
  clock.go();
  vi.advanceTimersByTime(10);
  clock.go();
  expect(clock.now).toBe(110);
});
