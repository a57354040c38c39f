import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { VirtualClock } from './virtual-clock.js';

const later = (clock: VirtualClock, delay: number): Promise<void> =>
  new Promise((resolve) => clock.schedule(resolve, delay));

describe('VirtualClock', () => {
  describe('advance', () => {
    it('runs what falls due, in order of time, then of insertion', async () => {
      const clock = new VirtualClock();
      const order: string[] = [];
      for (const [name, delay] of [
        ['c', 20],
        ['a', 10],
        ['d', 20],
        ['b', 10.5],
        ['e', 20.1],
      ] as const) {
        clock.schedule(() => order.push(`${name}@${clock.now()}`), delay);
      }
      await clock.advance(20);
      expect(order).toEqual(['a@10', 'b@10.5', 'c@20', 'd@20']);
      expect(clock).toMatchObject({ pending: 1, nextAt: 20.1 });
      expect(clock.now()).toBe(20);
    });

    it('runs what continuations schedule inside the span, at its own time', async () => {
      const clock = new VirtualClock();
      const seen: number[] = [];
      const work = async (): Promise<void> => {
        for (let step = 0; step < 5; step += 1) {
          await later(clock, 10);
          seen.push(clock.now());
        }
      };
      void work();
      await clock.advance(35);
      expect(seen).toEqual([10, 20, 30]);
    });

    it('runs the continuations of one timer before the next timer of the same time', async () => {
      const clock = new VirtualClock();
      const order: string[] = [];
      void later(clock, 5).then(() => order.push('continuation'));
      clock.schedule(() => order.push('timer'), 5);
      await clock.advance(5);
      expect(order).toEqual(['continuation', 'timer']);
    });

    it('flushes promise chains of any length, before and after', async () => {
      const clock = new VirtualClock();
      let steps = 0;
      const chain = async (): Promise<void> => {
        for (; steps < 10_000; steps += 1) await null;
        clock.schedule(() => {
          void Promise.resolve()
            .then(() => Promise.resolve())
            .then(() => {
              steps = -1;
            });
        }, 100);
      };
      void chain();
      await clock.advance(100);
      expect(steps).toBe(-1);
    });

    it('by 0 runs what is due now', async () => {
      const clock = new VirtualClock();
      const callback = vi.fn();
      clock.schedule(callback, 0);
      await clock.advance(0);
      expect(callback).toHaveBeenCalledOnce();
      expect(clock.now()).toBe(0);
    });

    it('rejects with what a callback throws, and can go on afterwards', async () => {
      const clock = new VirtualClock();
      const error = new Error('from a callback');
      const after = vi.fn();
      clock.schedule(() => {
        throw error;
      }, 10);
      clock.schedule(after, 20);
      await expect(clock.advance(100)).rejects.toBe(error);
      expect(clock.now()).toBe(10);
      await clock.advance(10);
      expect(after).toHaveBeenCalledOnce();
    });

    it('lets a promise that rejects meanwhile be awaited afterwards', async () => {
      const unhandled = vi.fn();
      process.on('unhandledRejection', unhandled);
      const clock = new VirtualClock();
      const failing = later(clock, 10).then(() => Promise.reject(new Error('late')));
      await clock.advance(1_000);
      await expect(failing).rejects.toThrow('late');
      await new Promise((resolve) => setImmediate(resolve));
      process.off('unhandledRejection', unhandled);
      expect(unhandled).not.toHaveBeenCalled();
    });

    it('refuses to run twice at the same time', async () => {
      const clock = new VirtualClock();
      const first = clock.advance(10);
      await expect(clock.advance(10)).rejects.toThrow('advanced already');
      await first;
      await clock.advance(10);
      expect(clock.now()).toBe(20);
    });

    it('rejects when timers run without time passing', async () => {
      const clock = new VirtualClock();
      const again = (): void => {
        clock.schedule(again, 0);
      };
      again();
      await expect(clock.advance(1)).rejects.toThrow(/100000 timers have run without time passing/);
    });

    it('is not stopped by fake timers', async () => {
      vi.useFakeTimers();
      try {
        const clock = new VirtualClock();
        const callback = vi.fn();
        clock.schedule(callback, 10);
        await clock.advance(10);
        expect(callback).toHaveBeenCalledOnce();
      } finally {
        vi.useRealTimers();
      }
    });
  });

  describe('advanceTo', () => {
    it('goes to a time, never backwards', async () => {
      const clock = new VirtualClock({ now: 1_000 });
      await clock.advanceTo(1_500.5);
      expect(clock.now()).toBe(1_500.5);
      await expect(clock.advanceTo(1_500)).rejects.toThrow(
        'time must be a finite time, not before now (1500.5)',
      );
    });
  });

  describe('schedule', () => {
    it('gives a function that cancels, also twice and too late', async () => {
      const clock = new VirtualClock();
      const callback = vi.fn();
      const cancel = clock.schedule(callback, 10);
      const ran = clock.schedule(() => {}, 5);
      cancel();
      cancel();
      await clock.advance(10);
      ran();
      expect(callback).not.toHaveBeenCalled();
      expect(clock.pending).toBe(0);
    });

    it('cancels a timer of the same time from a callback', async () => {
      const clock = new VirtualClock();
      const second = vi.fn();
      let cancel = (): void => {};
      clock.schedule(() => cancel(), 10);
      cancel = clock.schedule(second, 10);
      await clock.advance(10);
      expect(second).not.toHaveBeenCalled();
    });

    it.each([-1, Number.NaN, '10', undefined])('refuses a delay of %s', (delay) => {
      expect(() => new VirtualClock().schedule(() => {}, delay as number)).toThrow(
        'delay must be a number of milliseconds of at least 0 or Infinity, but got',
      );
    });

    it('never runs what is Infinity away, and does not count it', async () => {
      const clock = new VirtualClock();
      clock.schedule(() => expect.unreachable(), Number.POSITIVE_INFINITY)();
      expect(clock.pending).toBe(0);
      await clock.runUntilIdle();
    });
  });

  describe('tick', () => {
    it('runs timers at once, and no promise job', () => {
      const clock = new VirtualClock();
      const order: string[] = [];
      void later(clock, 5).then(() => order.push('continuation'));
      clock.schedule(() => order.push('timer'), 10);
      clock.tick(10);
      expect(order).toEqual(['timer']);
      expect(clock.now()).toBe(10);
    });
  });

  describe('runUntilIdle', () => {
    it('runs until no timer is left, and stays at the last one', async () => {
      const clock = new VirtualClock();
      void later(clock, 10).then(() => later(clock, 90));
      await clock.runUntilIdle();
      expect(clock.now()).toBe(100);
      expect(clock.pending).toBe(0);
    });

    it('says what runs away', async () => {
      const clock = new VirtualClock();
      const again = (): void => {
        clock.schedule(again, 10);
      };
      again();
      await expect(clock.runUntilIdle({ limit: 50 })).rejects.toThrow(
        '50 timers have run and 1 are waiting at 500 ms, the next one due at 510 ms: something schedules itself again and again',
      );
    });

    it('refuses a bad limit', async () => {
      await expect(new VirtualClock().runUntilIdle({ limit: 0 })).rejects.toThrow(
        'runUntilIdle.limit must be a whole number of at least 1, but got 0',
      );
    });
  });

  describe('runUntilSettled', () => {
    it('passes just the time that the promise takes, and gives its value', async () => {
      const clock = new VirtualClock();
      clock.schedule(() => {}, 500);
      const value = await clock.runUntilSettled(later(clock, 20).then(() => 'done'));
      expect([value, clock.now()]).toEqual(['done', 20]);
    });

    it("rejects with the promise's own error", async () => {
      const clock = new VirtualClock();
      const error = new Error('own');
      await expect(
        clock.runUntilSettled(later(clock, 20).then(() => Promise.reject(error))),
      ).rejects.toBe(error);
    });

    it('rejects when nothing is left that could settle it', async () => {
      const clock = new VirtualClock();
      clock.schedule(() => {}, 20);
      await expect(clock.runUntilSettled(new Promise(() => {}))).rejects.toThrow(
        'nothing is left at 20 ms that could settle the promise',
      );
    });
  });

  it('equals a sorted list under random histories', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), delay: fc.integer({ min: 0, max: 40 }) }),
      fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(50) }),
      fc.record({ kind: fc.constant('tick' as const), duration: fc.integer({ min: 0, max: 15 }) }),
    );
    await fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new VirtualClock();
        const ran: number[] = [];
        const expected: number[] = [];
        let model: { id: number; time: number }[] = [];
        const cancels: (() => void)[] = [];
        for (const each of steps) {
          if (each.kind === 'add') {
            const id = cancels.length;
            cancels.push(clock.schedule(() => ran.push(id), each.delay));
            model.push({ id, time: clock.now() + each.delay });
          } else if (each.kind === 'cancel') {
            cancels[each.which]?.();
            model = model.filter(({ id }) => id !== each.which);
          } else {
            const now = clock.now() + each.duration;
            clock.tick(each.duration);
            // Array.prototype.sort is stable, so insertion breaks ties.
            const due = model.filter(({ time }) => time <= now).sort((a, b) => a.time - b.time);
            expected.push(...due.map(({ id }) => id));
            model = model.filter(({ time }) => time > now);
          }
          expect(clock.pending).toBe(model.length);
        }
        expect(ran).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    [{ now: Number.NaN }, 'VirtualClock.now must be a finite number, but got NaN'],
    [{ nwo: 1 }, 'VirtualClock.nwo is not an option'],
  ])('refuses %o', (options, message) => {
    expect(() => new VirtualClock(options as object)).toThrow(message);
  });
});
