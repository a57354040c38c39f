import { getEventListeners } from 'node:events';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Strategy } from './layer.js';
import { pipeline } from './pipeline.js';
import { sleep } from './sleep.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** A layer that lets every call wait first. */
const slow = (delay: number): Strategy => ({
  name: 'slow',
  run: (call, next) => sleep(call, delay).then(() => next(call)),
});

describe('sleep', () => {
  it('waits for its delay, and leaves no listener and no timer', async () => {
    const { signal } = new AbortController();
    const call = pipeline({ clock }, slow(100)).execute(() => clock.now(), { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await clock.advance(100);
    await expect(call).resolves.toBe(100);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it('of 0 ms lets others go first', async () => {
    const order: string[] = [];
    const call = pipeline({ clock }, slow(0)).execute(() => order.push('slept'));
    order.push('first');
    await clock.runUntilSettled(call);
    expect(order).toEqual(['first', 'slept']);
  });

  it('rejects with the reason as soon as the call is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('gone');
    const call = pipeline({ clock }, slow(1e9)).execute(() => 1, { signal: controller.signal });
    await clock.advance(50);
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(clock.now()).toBe(50);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it('rejects if the call is aborted in the very moment in which the wait ends', async () => {
    // Both fall into the same millisecond, and the wait is found to be over first.
    const call = pipeline({ clock }, slow(9.5)).execute(() => 'began too late', { deadline: 10 });
    const waits: unknown[] = [];
    const probe: Strategy = {
      name: 'probe',
      run: (own, next) =>
        sleep(own, 9.5).then(
          () => next(own),
          (reason) => {
            waits.push(reason);
            throw reason;
          },
        ),
    };
    const probed = pipeline({ clock }, probe).execute(() => 'began too late', { deadline: 10 });
    await clock.advance(10);
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    await expect(probed).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    expect(waits).toMatchObject([{ code: 'RESIL_TIMEOUT' }]);
  });

  it('does not begin in a call that was aborted already', async () => {
    const controller = new AbortController();
    const late: Strategy = {
      name: 'late',
      run: (call, next) => {
        controller.abort('gone');
        return sleep(call, 100).then(() => next(call));
      },
    };
    const call = pipeline({ clock }, late).execute(() => 1, { signal: controller.signal });
    await expect(call).rejects.toBe('gone');
    expect(clock.pending).toBe(0);
  });
});
