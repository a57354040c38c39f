import { describe, expect, it } from 'vitest';
import { isInSample } from './in-sample.js';
import { percentOf, sumOf, tableOf } from './results.js';
import { mutatedFiles, testsOf } from './sources.js';

const retry = { name: 'retry.ts', killed: 17, hanging: 1, survived: 1, uncovered: 1 };
const backoff = { name: 'backoff.ts', killed: 10, hanging: 0, survived: 0, uncovered: 0 };

describe('results', () => {
  it('counts what hangs as noticed, and what no test reaches as not', () => {
    expect(percentOf(retry)).toBe(90);
    expect(percentOf(sumOf([retry, backoff]))).toBeCloseTo(93.33, 2);
    expect(tableOf([retry, backoff])).toMatch(/all +│ +93\.3 │ +27 │ +1 │ +1 │ +1/);
  });

  it('takes the same share of all spots each time', () => {
    const spots = Array.from({ length: 4_000 }, (_, line) => ({
      location: { start: { line, column: line % 7 } },
      replacement: 'true',
    }));
    const chosen = spots.filter((spot) => isInSample('src/retry.ts', spot, 0.1));
    expect(chosen.length / spots.length).toBeCloseTo(0.1, 1);
    expect(chosen.every((spot) => isInSample('/elsewhere/retry.ts', spot, 0.1))).toBe(true);
    expect(chosen.every((spot) => isInSample('src/retry.ts', spot, 0.2))).toBe(true);
    expect(spots.every((spot) => isInSample('src/retry.ts', spot, 1))).toBe(true);
  });

  it('mutates what holds code, and runs the tests of a file before the others', () => {
    expect(mutatedFiles()).toContain('circuit-breaker.ts');
    expect(mutatedFiles()).not.toContain('events.ts');
    expect(testsOf('circuit-breaker-options.ts')[0]).toBe('src/circuit-breaker.test.ts');
    expect(testsOf('throttle.ts')[0]).toBe('src/throttle.test.ts');
    expect(testsOf('retry.ts')).not.toContain('src/throttle.test.ts');
    expect(testsOf('retry.ts')).toContain('test/composition.test.ts');
  });
});
