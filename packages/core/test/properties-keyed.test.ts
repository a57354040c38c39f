/** Random histories of keyed pipelines against a plain list in order of use. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyed } from '../src/keyed.js';
import { type Pipeline, pipeline } from '../src/pipeline.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

type Step =
  | { readonly do: 'use'; readonly key: string }
  | { readonly do: 'wait'; readonly time: number }
  | { readonly do: 'count' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('use' as const),
        key: fc.constantFrom('a', 'b', 'c', 'd', 'e', '', '__proto__'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('wait' as const),
        time: fc.oneof(fc.nat(40), fc.constantFrom(99, 100, 101, 1_000)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('count' as const) }) },
  ),
  { minLength: 5, maxLength: 60, size: 'max' },
);

describe('keyed', () => {
  it(
    'keeps the keys that were used last, and none that is idle',
    () => {
      let pushedOut = 0;
      let idle = 0;
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 6 }),
          fc.constantFrom(1, 50, 100, Infinity),
          steps,
          (maxKeys, idleTimeout, history) => {
            const clock = new VirtualClock();
            const made: string[] = [];
            const shards = keyed(
              (key) => {
                made.push(key);
                return pipeline({ clock });
              },
              { maxKeys, idleTimeout, clock },
            );
            // By the book: oldest use first.
            let list: { key: string; usedAt: number; shard: Pipeline }[] = [];
            const dropIdle = (): void => {
              const kept = list.filter(({ usedAt }) => clock.now() - usedAt < idleTimeout);
              idle += list.length - kept.length;
              list = kept;
            };
            for (const step of history) {
              if (step.do === 'wait') clock.tick(step.time);
              else if (step.do === 'count') {
                dropIdle();
                same(shards.size, list.length, 'keys');
              } else {
                dropIdle();
                const known = list.find(({ key }) => key === step.key);
                const before = made.length;
                const shard = shards.for(step.key);
                same(made.length - before, known === undefined ? 1 : 0, 'pipelines made');
                if (known !== undefined) same(shard === known.shard, true, 'the same pipeline');
                list = list.filter((slot) => slot !== known);
                list.push({ key: step.key, usedAt: clock.now(), shard });
                if (list.length > maxKeys) {
                  list.shift();
                  pushedOut += 1;
                }
              }
            }
            dropIdle();
            same(shards.size, list.length, 'keys in the end');
            same(clock.pending, 0, 'timers');
          },
        ),
        runs(5_000),
      );
      expect(pushedOut).toBeGreaterThan(1_000);
      expect(idle).toBeGreaterThan(1_000);
    },
    PATIENCE,
  );
});
