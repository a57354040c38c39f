import { describe, expect, it } from 'vitest';
import { Turns } from './turns.js';

/** Turns of a call each 10 ms, of which one was taken at 0. */
function turnsOf({ burstSize = 1, slowUntil = -Infinity, slowPace = 0, pausedUntil = -Infinity }) {
  const turns = new Turns(10, burstSize);
  turns.take(0, 0);
  turns.slowUntilTime(slowUntil, slowPace);
  turns.pauseUntil(pausedUntil);
  return turns;
}

/** When calls go that all wait since 0, each in the moment in which it may. */
function times(turns: Turns, calls: number): number[] {
  let now = 0;
  return Array.from({ length: calls }, () => {
    while (!turns.isReached(turns.next(now), now)) {
      const turn = turns.next(now);
      now = turns.isSlow(now) ? Math.min(turn, turns.slowUntil) : turn;
    }
    turns.take(now, turns.toleranceAt(now));
    return now;
  });
}

describe('turns', () => {
  it.each([
    ['at its pace', {}, [10, 20, 30, 40]],
    ['after a pause', { pausedUntil: 150 }, [150, 160, 170, 180]],
    ['slowly, and then at its pace', { slowUntil: 100, slowPace: 30 }, [30, 60, 90, 100, 110]],
    ['once slowly', { slowUntil: 40, slowPace: 30 }, [30, 40, 50]],
    ['slowly to the end', { slowUntil: 60, slowPace: 30 }, [30, 60, 70]],
    [
      'not before a slow time is over that has no turn',
      { slowUntil: 20, slowPace: 30 },
      [20, 30, 40],
    ],
    [
      'after a pause that ends later',
      { slowUntil: 100, slowPace: 30, pausedUntil: 150 },
      [150, 160],
    ],
    [
      'in a slow time after a pause',
      { slowUntil: 100, slowPace: 30, pausedUntil: 50 },
      [50, 80, 100, 110],
    ],
  ])('come %s, and tell so before', (_, options, expected) => {
    expect(times(turnsOf(options), expected.length)).toEqual(expected);
    const ahead = turnsOf(options);
    expect(expected.map((_time, others) => ahead.after(others, 0))).toEqual(expected);
    expect(expected.map((_time, others) => ahead.delay(others, 0))).toEqual(expected);
  });

  it('count for nothing who could have gone, but for the burst', () => {
    const turns = turnsOf({ burstSize: 3 });
    expect([0, 9, 10, 19, 20, 30, 1_000].map((now) => turns.available(now))).toEqual([
      0, 0, 1, 1, 2, 3, 3,
    ]);
    turns.pauseUntil(2_000);
    expect([1_000, 2_000].map((now) => turns.available(now))).toEqual([0, 1]);
    expect(turnsOf({ burstSize: 3, slowUntil: 100, slowPace: 30 }).available(90)).toBe(1);
  });

  it('are reached a nanosecond early, for what adding up fractions loses', () => {
    const turns = turnsOf({});
    expect([9.999_998, 9.999_999_5, 10].map((now) => turns.delay(0, now) > 0)).toEqual([
      true,
      false,
      false,
    ]);
  });
});
