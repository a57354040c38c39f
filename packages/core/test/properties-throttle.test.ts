/** Random histories of a throttle against a list of everything that happened. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { throttle } from '../src/throttle.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';
import { hostOn, refuses, startedCall } from './started-call.js';

interface Rules {
  readonly minSuccessRatio: number;
  readonly maxRejectionRatio: number;
  readonly minimumCalls: number;
  readonly duration: number;
}

const rules: fc.Arbitrary<Rules> = fc.record({
  minSuccessRatio: fc.constantFrom(0.1, 0.5, 2 / 3, 1 / 1.1, 1),
  maxRejectionRatio: fc.constantFrom(0.5, 0.9, 1),
  minimumCalls: fc.constantFrom(0, 1, 5, 20),
  duration: fc.constantFrom(10, 1_000, 120_000),
});

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('calls' as const),
      count: fc.integer({ min: 1, max: 12 }),
      end: fc.constantFrom(
        'accepted' as const,
        'failed' as const,
        'failed' as const,
        'ignored' as const,
      ),
      chance: fc.constantFrom(0, 0.1, 0.5, 0.89, 0.999),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      time: fc.oneof(fc.nat(20), fc.constantFrom(99, 100, 999, 12_000, 500_000)),
    }),
  },
);

/** The formula over a list. */
class ReferenceThrottle {
  readonly #rules: Rules;
  #requests: { readonly part: number; readonly accepted: boolean }[] = [];

  constructor(chosen: Rules) {
    this.#rules = chosen;
  }

  record(now: number, accepted: boolean): void {
    this.#requests.push({ part: this.#part(now), accepted });
  }

  probability(now: number): number {
    const { minSuccessRatio, maxRejectionRatio, minimumCalls } = this.#rules;
    this.#requests = this.#requests.filter(({ part }) => part > this.#part(now) - 10);
    const requests = this.#requests.length;
    const accepts = this.#requests.filter(({ accepted }) => accepted).length;
    if (requests < minimumCalls) return 0;
    const p = Math.max(0, (requests - accepts / minSuccessRatio) / (requests + 1));
    return Math.min(maxRejectionRatio, p);
  }

  #part(now: number): number {
    return Math.floor(now / (this.#rules.duration / 10));
  }
}

describe('throttle', () => {
  const seen = { refused: 0, capped: 0, let: 0 };

  it(
    'refuses with the probability of the formula, whatever came before',
    () => {
      fc.assert(
        fc.property(
          rules,
          fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
          (chosen, history) => {
            const clock = new VirtualClock();
            let chance = 0;
            const { duration, ...options } = chosen;
            const classify = (): 'ignored' => 'ignored';
            const guards = { window: { duration }, clock, random: () => chance, ...options };
            const guard = throttle(guards);
            const model = new ReferenceThrottle(chosen);
            const call = startedCall(hostOn(clock));
            const ignoring = startedCall({ ...hostOn(clock), scope: { ...call.scope, classify } });
            for (const next of history) {
              if (next.do === 'wait') clock.tick(next.time);
              else chance = next.chance;
              const now = clock.now();
              for (let count = 0; next.do === 'calls' && count < next.count; count++) {
                const p = model.probability(now);
                const refused = refuses(guard, call);
                same(refused, chance < p, 'refused');
                if (refused) {
                  model.record(now, false);
                  seen.refused++;
                  if (p === chosen.maxRejectionRatio) seen.capped++;
                  continue;
                }
                seen.let++;
                const ok = next.end === 'accepted';
                if (next.end !== 'ignored') model.record(now, ok);
                guard.leave(
                  undefined,
                  next.end === 'ignored' ? ignoring : call,
                  ok ? { ok, value: 1, duration: 0 } : { ok, error: 'down', duration: 0 },
                );
              }
              same(guard.rejectionRatio, model.probability(now), 'probability');
            }
          },
        ),
        runs(5_000),
      );
    },
    PATIENCE,
  );

  it('was driven into every corner by these histories', () => {
    for (const [corner, times] of Object.entries(seen))
      expect(times, corner).toBeGreaterThan(1_000);
  });
});
