import { circuitBreaker, pipeline, timeout } from '@resil/core';
import { describe, expect, it, vi } from 'vitest';
import { type FaultInjectionOptions, faultInjection } from './fault-injection.js';
import { seededRandom } from './seeded-random.js';
import { VirtualClock } from './virtual-clock.js';

const CALLS = 50_000;

describe('faultInjection', () => {
  it("has the shares of Polly's chaos example: 2 %, 49 %, 9.8 %, 0.882 % of all calls", async () => {
    const clock = new VirtualClock();
    const chaos = faultInjection({
      random: seededRandom('polly'),
      fault: { ratio: 0.02 },
      latency: { ratio: 0.5, delay: 30_000 },
      outcome: { ratio: 0.1, value: 'injected' },
      behavior: { ratio: 0.01, run: () => {} },
    });
    const target = pipeline({ clock }, chaos);
    const seen = { failed: 0, late: 0, injected: 0, real: 0 };
    const calls: Promise<unknown>[] = [];
    for (let call = 0; call < CALLS; call += 1) {
      calls.push(
        target
          .execute(() => 'real')
          .then(
            (value) => {
              seen[value as 'real' | 'injected'] += 1;
              if (clock.now() > 0) seen.late += 1;
            },
            () => {
              seen.failed += 1;
            },
          ),
      );
    }
    await clock.advance(30_000);
    await Promise.all(calls);
    // Four standard deviations of a share p of 50,000 calls.
    const close = (count: number, share: number): void => {
      const deviation = Math.sqrt(share * (1 - share) * CALLS);
      expect(Math.abs(count - share * CALLS)).toBeLessThan(4 * deviation);
    };
    close(chaos.counts.faults, 0.02);
    close(chaos.counts.latencies, 0.49);
    close(chaos.counts.outcomes, 0.098);
    close(chaos.counts.behaviors, 0.00882);
    expect(chaos.counts).toEqual({
      calls: CALLS,
      faults: seen.failed,
      latencies: seen.late,
      outcomes: seen.injected,
      behaviors: chaos.counts.behaviors,
    });
    expect(seen.failed + seen.injected + seen.real).toBe(CALLS);
  });

  it('is the same in every run with a seed', async () => {
    const run = async (): Promise<string> => {
      const target = pipeline(
        faultInjection({ random: seededRandom(7), outcome: { ratio: 0.5, value: 'x' } }),
      );
      let story = '';
      for (let call = 0; call < 64; call += 1) story += await target.execute(() => '.');
      return story;
    };
    const story = await run();
    expect(story).toBe(await run());
    expect(new Set(story)).toEqual(new Set(['x', '.']));
  });

  it('ratio 0 never, ratio 1 always', async () => {
    const error = new Error('own');
    const operation = vi.fn();
    await pipeline(faultInjection({ fault: { ratio: 0, error } })).execute(operation);
    expect(operation).toHaveBeenCalledOnce();
    const always = pipeline(faultInjection({ fault: { ratio: 1, error } }));
    await expect(always.execute(operation)).rejects.toBe(error);
    expect(operation).toHaveBeenCalledOnce();
  });

  it('makes errors and values from the call', async () => {
    const faults = pipeline(
      faultInjection({
        fault: { ratio: 1, error: (call: { name?: string }) => `${call.name} failed` },
      }),
    );
    await expect(faults.execute(() => 1, { name: 'quote' })).rejects.toBe('quote failed');
    const values = pipeline(
      faultInjection({ outcome: { ratio: 1, value: ({ key }: { key?: string }) => key } }),
    );
    expect(await values.execute(() => 1, { key: 'EUR' })).toBe('EUR');
    const plain = pipeline(faultInjection({ fault: { ratio: 1 } }));
    await expect(plain.execute(() => 1)).rejects.toThrow('injected fault');
  });

  it('draws latency evenly from delay to maxDelay', async () => {
    const clock = new VirtualClock();
    const latency = { ratio: 1, delay: 100, maxDelay: 300 };
    const target = pipeline({ clock }, faultInjection({ random: seededRandom(1), latency }));
    const delays: number[] = [];
    for (let call = 0; call < 1_000; call += 1) {
      const start = clock.now();
      delays.push((await clock.runUntilSettled(target.execute(() => clock.now()))) - start);
    }
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...delays)).toBeLessThanOrEqual(301);
    expect(delays.reduce((sum, delay) => sum + delay) / 1_000).toBeGreaterThan(190);
    expect(delays.reduce((sum, delay) => sum + delay) / 1_000).toBeLessThan(210);
  });

  it('an abort ends the wait at once, and the operation is not run', async () => {
    const clock = new VirtualClock();
    const target = pipeline({ clock }, faultInjection({ latency: { ratio: 1, delay: 1_000 } }));
    const controller = new AbortController();
    const operation = vi.fn();
    const call = target.execute(operation, { signal: controller.signal });
    await clock.advance(500);
    controller.abort('enough');
    await expect(call).rejects.toBe('enough');
    await clock.advance(1_000);
    expect(operation).not.toHaveBeenCalled();
  });

  it('circuitBreaker > timeout > faultInjection: latency counts as the dependency that is slow', async () => {
    const clock = new VirtualClock();
    const breaker = circuitBreaker({ failureThreshold: 2, clock });
    const latency = { ratio: 1, delay: 1_000 };
    const target = pipeline(breaker, timeout({ duration: 500 }), faultInjection({ latency }));
    for (let call = 0; call < 2; call += 1) {
      await expect(clock.runUntilSettled(target.execute(() => 'late'))).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
      });
    }
    expect(breaker.state).toBe('open');
  });

  it('waits for the behavior, and fails with what it throws', async () => {
    const story: string[] = [];
    const run = async (): Promise<void> => {
      await null;
      story.push('behavior');
    };
    await pipeline(faultInjection({ behavior: { ratio: 1, run } })).execute(() =>
      story.push('operation'),
    );
    expect(story).toEqual(['behavior', 'operation']);
    const failing = faultInjection({ behavior: { ratio: 1, run: () => Promise.reject('broken') } });
    await expect(pipeline(failing).execute(() => story.push('operation'))).rejects.toBe('broken');
    expect(story).toHaveLength(2);
  });

  it('enabled: false and a function that says no let calls be', async () => {
    for (const enabled of [false, () => false]) {
      const chaos = faultInjection({ enabled, fault: { ratio: 1 } });
      expect(await pipeline(chaos).execute(() => 'real')).toBe('real');
      expect(chaos.counts).toMatchObject({ calls: 1, faults: 0 });
    }
    const onlyQuotes = faultInjection({
      enabled: ({ name }) => name === 'quote',
      fault: { ratio: 1 },
    });
    await expect(pipeline(onlyQuotes).execute(() => 1, { name: 'quote' })).rejects.toThrow();
    expect(await pipeline(onlyQuotes).execute(() => 1, { name: 'order' })).toBe(1);
  });

  it.each([
    [undefined, 'faultInjection options must be an object, but got undefined'],
    [{ faults: {} }, 'faultInjection.faults is not an option; known are fault, latency'],
    [{ fault: 0.5 }, 'faultInjection.fault must be an object with a ratio, but got 0.5'],
    [{ fault: {} }, 'faultInjection.fault.ratio must be given, but got undefined'],
    [
      { fault: { ratio: 1.5 } },
      'faultInjection.fault.ratio must be a ratio from 0 to 1, but got 1.5',
    ],
    [
      { fault: { ratio: Number.NaN } },
      'faultInjection.fault.ratio must be a ratio from 0 to 1, but got NaN',
    ],
    [{ fault: { ratio: 1, value: 1 } }, 'faultInjection.fault.value is not an option'],
    [{ latency: { ratio: 1 } }, 'faultInjection.latency.delay must be given'],
    [
      { latency: { ratio: 1, delay: -5 } },
      'faultInjection.latency.delay must be a number of milliseconds of at least 0, but got -5',
    ],
    [
      { latency: { ratio: 1, delay: 5, maxDelay: 4 } },
      'faultInjection.latency.maxDelay must be at least delay (5), but got 4',
    ],
    [{ outcome: { ratio: 1 } }, 'faultInjection.outcome.value must be given'],
    [
      { behavior: { ratio: 1, run: 'x' } },
      "faultInjection.behavior.run must be a function, but got 'x'",
    ],
    [{ enabled: 1 }, 'faultInjection.enabled must be true or false, or a function, but got 1'],
    [{ random: 4 }, 'faultInjection.random must be a function, but got 4'],
  ])('refuses %o', (options, message) => {
    expect(() => faultInjection(options as FaultInjectionOptions)).toThrow(message);
  });
});
