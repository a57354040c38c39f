import { seededRandom, VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  type CircuitBreaker,
  circuitBreaker,
  isResilienceError,
  pipeline,
  retry,
  standard,
  systemClock,
  timeout,
} from '../../src/index.js';
import { runChild } from '../child.js';

const fail = (): Promise<never> => Promise.reject(new Error('down'));

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('costs', () => {
  it('a call sets no timer of its own: many deadlines share one', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const calls = pipeline(
      { clock: systemClock },
      timeout({ duration: 60_000 }),
      retry(),
      bulkhead({ maxConcurrentCalls: 5_000 }),
      timeout({ duration: 30_000 }),
    );
    await Promise.all(Array.from({ length: 2_000 }, () => calls.execute(async () => 1)));
    // One for the deadlines, which may move to a nearer one, and one that lets it go.
    expect(set.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it('a call makes no AbortController that nobody reads', async () => {
    let made = 0;
    class CountedController extends AbortController {
      constructor() {
        super();
        made++;
      }
    }
    vi.stubGlobal('AbortController', CountedController);
    const calls = standard({ clock });
    for (let call = 0; call < 10; call++) await calls.execute(() => 1);
    const cut = pipeline({ clock }, timeout({ duration: 10 })).execute(() => new Promise(() => {}));
    await clock.advance(10);
    await cut.catch(() => {});
    expect(made).toBe(0);
  });

  it('no promise race is run', async () => {
    const race = vi.spyOn(Promise, 'race');
    await clock
      .runUntilSettled(standard({ clock, random: seededRandom(1) }).execute(fail))
      .catch(() => {});
    expect(race).not.toHaveBeenCalled();
  });

  it('a refusal captures no stack trace, and leaves that of the operation alone', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1 });
    const own = await breaker.execute(fail).catch((error: unknown) => error as Error);
    expect((own as Error).stack).toMatch(/\n\s+at /);
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    void limit.execute(() => new Promise(() => {}));
    for (const layer of [breaker, limit]) {
      const refusal = await layer.execute(() => 1).catch((error: unknown) => error);
      expect(isResilienceError(refusal)).toBe(true);
      expect((refusal as Error).stack ?? '').not.toMatch(/\n\s+at /);
    }
  });

  it('one failure costs the same with a thousand and with a hundred thousand calls in the window', async () => {
    const code = `
      const failing = () => { throw 0; };
      const cost = async (breaker) => {
        let least = Infinity;
        for (let round = 0; round < 20; round++) {
          const start = process.cpuUsage();
          for (let call = 0; call < 500; call++) await breaker.execute(failing).catch(() => {});
          const { user, system } = process.cpuUsage(start);
          least = Math.min(least, user + system);
        }
        return least;
      };
      const filled = async (window, calls) => {
        const breaker = core.circuitBreaker({ failureRatio: 1, window });
        await breaker.execute(() => 1);
        for (let call = 0; call < calls; call++) await breaker.execute(() => 1);
        return breaker;
      };
      let worst = 0;
      for (const kind of [(calls) => ({ calls }), () => ({ duration: 3_600_000 })]) {
        const small = await filled(kind(1_000), 900);
        const large = await filled(kind(200_000), 100_000);
        await cost(small);
        worst = Math.max(worst, (await cost(large)) / (await cost(small)));
      }
      console.log(worst < 5 ? 'the same' : worst + ' times as much');`;
    expect(await runChild(code)).toMatchObject({ output: 'the same', code: 0 });
  });

  it('time is monotonic: neither Date.now nor a system clock that jumps matters', async () => {
    const dateNow = vi.spyOn(Date, 'now').mockImplementation(() => {
      throw new Error('Date.now was asked');
    });
    const breaker: CircuitBreaker = circuitBreaker({
      resetTimeout: 5,
      window: { duration: 1_000 },
    });
    const calls = pipeline(
      timeout({ duration: 1_000 }),
      retry({ baseDelay: 1 }),
      breaker,
      bulkhead(),
    );
    for (let call = 0; call < 5; call++) await calls.execute(fail).catch(() => {});
    expect(breaker.state).not.toBe('closed');
    await standard().execute(() => 1);
    expect(dateNow).not.toHaveBeenCalled();
    dateNow.mockRestore();
  });

  it('a delay above 2^31-1 ms does not fire at once', async () => {
    vi.useFakeTimers();
    const month = 30 * 86_400_000;
    const operation = vi.fn(fail);
    const calls = retry({ baseDelay: month, jitter: 'none', maxAttempts: 2 });
    const waiting = calls.execute(operation).catch(() => 'ended');
    const limited = timeout({ duration: month }).execute(() => new Promise(() => {}));
    const cut = limited.catch(() => 'cut');
    let settled = 0;
    for (const call of [waiting, cut]) void call.then(() => settled++);
    await vi.advanceTimersByTimeAsync(month - 1_000);
    expect([operation.mock.calls.length, settled]).toEqual([1, 0]);
    await vi.advanceTimersByTimeAsync(1_001);
    expect([await waiting, await cut, operation.mock.calls.length]).toEqual(['ended', 'cut', 2]);
  });

  it('a pipeline is compiled once: a call looks at no option and at no list of layers', async () => {
    let reads = 0;
    const counted = <T extends object>(target: T): T =>
      new Proxy(target, {
        get(own, property, receiver) {
          reads++;
          return Reflect.get(own, property, receiver) as unknown;
        },
      });
    const layers = counted([
      retry(counted({ maxAttempts: 2 })),
      timeout(counted({ duration: 50 })),
    ]);
    const calls = pipeline(counted({ name: 'once', clock }), counted({ name: 'both', layers }));
    expect(reads).toBeGreaterThan(0);
    reads = 0;
    await calls.execute(() => 1);
    expect(reads).toBe(0);
  });

  it('no registry of the process keeps breakers or pipelines', async () => {
    const code = `
      const kept = [];
      for (let made = 0; made < 1_000; made++) {
        kept.push(new WeakRef(core.circuitBreaker()), new WeakRef(core.pipeline('p' + made, core.retry())));
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
      gc();
      const alive = kept.filter((ref) => ref.deref() !== undefined).length;
      console.log(alive <= 10 ? 'few' : alive + ' alive');`;
    expect(await runChild(code, { exposeGc: true })).toMatchObject({ output: 'few', code: 0 });
  });
});
