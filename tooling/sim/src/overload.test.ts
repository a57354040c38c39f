import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limiters } from './limiters.js';
import { OverloadBed } from './overload.js';

const PATIENCE = 120_000;

describe('a real HTTP server at five times its capacity', () => {
  let bed: OverloadBed;
  beforeAll(async () => {
    bed = await OverloadBed.start({
      workers: 10,
      serviceTime: 100,
      timeout: 1_000,
      times: 5,
      warmUp: 2_000,
      duration: 2_000,
    });
  }, PATIENCE);
  afterAll(() => bed.stop());

  it(
    'answers next to nobody in time, unless an adaptive limiter lets only as many go as it can take',
    async () => {
      const without = await bed.overload([]);
      const limiter = limiters.vegas?.();
      const limited = await bed.overload(limiter === undefined ? [] : [limiter]);
      // Counts, of runs of the same length one after the other: how fast the machine is falls out.
      expect(without.failed).toBeGreaterThan(without.good);
      expect(limited.good).toBeGreaterThan(2 * without.good);
      expect(limited.refused).toBeGreaterThan(limited.good);
      expect(limited.failed).toBeLessThan(limited.good);
      expect(limiter?.explain().length).toBeGreaterThan(0);
    },
    PATIENCE,
  );
});
