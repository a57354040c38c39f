import type { AdaptiveLimiter } from '@resil/core';
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
      duration: 4_000,
    });
  }, PATIENCE);
  afterAll(() => bed.stop());

  it(
    'answers next to nobody in time, unless an adaptive limiter lets only as many go as it can take',
    async () => {
      const without = await bed.overload([]);
      const limiter = limiters.aimd?.() as AdaptiveLimiter;
      const limited = await bed.overload([limiter]);
      expect(without.failed).toBeGreaterThan(without.good);
      expect(without.goodput).toBeLessThan(0.5 * without.capacity);
      // Of what the server's workers could do in that run, however busy the machine was in it.
      expect(limited.goodput).toBeGreaterThanOrEqual(0.95 * limited.capacity);
      expect(limited.refused).toBeGreaterThan(limited.good);
      expect(limiter.explain().length).toBeGreaterThan(0);
    },
    PATIENCE,
  );
});
