import { standard, standardDefaults } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { checkResilientOptions, resilientDefaults, standardOptionsFor } from './options.js';

describe('standardOptionsFor', () => {
  it('takes the standard limits for an instance without a timeout', () => {
    expect(standardOptionsFor({}, {})).toMatchObject({
      name: resilientDefaults.name,
      attemptTimeout: standardDefaults.attemptTimeout,
      totalTimeout: standardDefaults.totalTimeout,
    });
    expect(standardOptionsFor({}, { timeout: 500 }).attemptTimeout).toBe(3_000);
  });

  it("does not cut short what the instance's own timeout allows", () => {
    const made = standardOptionsFor({}, { timeout: 60_000 });
    expect(made).toMatchObject({ attemptTimeout: 60_100, totalTimeout: 60_100 });
    expect(() => standard(made)).not.toThrow();
  });

  it.each([
    [{ totalTimeout: 2_000 }, { attemptTimeout: 2_000, totalTimeout: 2_000 }],
    [{ totalTimeout: false }, { attemptTimeout: 3_000, totalTimeout: false }],
    [{ attemptTimeout: 40_000 }, { attemptTimeout: 40_000, totalTimeout: 40_000 }],
    [{ attemptTimeout: false }, { attemptTimeout: false, totalTimeout: 10_000 }],
  ] as const)('makes the limits that are left out follow %j', (given, limits) => {
    const made = standardOptionsFor(given, {});
    expect(made).toMatchObject(limits);
    expect(() => standard(made)).not.toThrow();
  });

  it('leaves a contradiction that the user wrote to be refused', () => {
    const options = { attemptTimeout: 2_000, totalTimeout: 1_000 };
    expect(() => standard(standardOptionsFor(options, {}))).toThrow(
      'attemptTimeout must be at most',
    );
  });

  it('leaves a circuit breaker that has its own rule as it is', () => {
    for (const circuitBreaker of [
      false,
      { failureThreshold: 3 },
      { window: { calls: 20 } },
    ] as const) {
      const made = standardOptionsFor({ circuitBreaker }, { timeout: 60_000 });
      expect(made.circuitBreaker).toEqual(circuitBreaker);
      expect(() => standard(made)).not.toThrow();
    }
  });
});

describe('checkResilientOptions', () => {
  it('refuses what is no option, and parts beside a pipeline', () => {
    expect(() => checkResilientOptions({ retries: 3 } as never)).toThrow(
      'resilient.retries is not an option',
    );
    expect(() => checkResilientOptions({ pipeline: () => standard(), retry: false })).toThrow(
      'resilient.retry must be left out where pipeline is given',
    );
  });
});
