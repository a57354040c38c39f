import { standard, standardDefaults, Timeout } from '@resil/core';
import { describe, expect, it } from 'vitest';
import {
  checkResilientOptions,
  type ResilientOptions,
  resilientDefaults,
  standardOptionsFor,
} from './options.js';

const limitsOf = (options: ResilientOptions, timeout?: number): unknown => {
  const { layers } = standard(
    standardOptionsFor(options, timeout === undefined ? {} : { timeout }),
  );
  return layers.flatMap((layer) => (layer instanceof Timeout ? [layer.duration] : []));
};

describe('standardOptionsFor', () => {
  const { totalTimeout, attemptTimeout } = standardDefaults;

  it('takes the standard limits for an instance without a timeout of its own, or with a short one', () => {
    expect(limitsOf({})).toEqual([totalTimeout, attemptTimeout]);
    expect(limitsOf({}, 0)).toEqual([totalTimeout, attemptTimeout]);
    expect(limitsOf({}, 500)).toEqual([totalTimeout, attemptTimeout]);
    expect(standardOptionsFor({}, {}).name).toBe(resilientDefaults.name);
  });

  it("does not cut short what the instance's own timeout allows", () => {
    expect(limitsOf({}, 8_000)).toEqual([totalTimeout, 8_100]);
    expect(limitsOf({}, 60_000)).toEqual([60_100, 60_100]);
  });

  it('keeps to the limits that are given', () => {
    expect(limitsOf({ attemptTimeout: 1_000 }, 60_000)).toEqual([totalTimeout, 1_000]);
    expect(limitsOf({ totalTimeout: 5_000 }, 60_000)).toEqual([5_000, 5_000]);
    expect(limitsOf({ totalTimeout: false }, 60_000)).toEqual([60_100]);
    expect(limitsOf({ attemptTimeout: false }, 60_000)).toEqual([totalTimeout]);
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
