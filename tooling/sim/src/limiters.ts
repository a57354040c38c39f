/** The limiters that the overload bed compares. */
import { type AdaptiveLimiter, adaptiveLimiter, aimd, type Clock } from '@resil/core';

const sampleWindow = { minDuration: 200, maxDuration: 200 };

/** The limiters, by name. AIMD is told from when an answer counts as too slow, for this server refuses nothing. */
export const limiters: Readonly<Record<string, (clock?: Clock) => AdaptiveLimiter>> = {
  vegas: (clock) => adaptiveLimiter({ algorithm: 'vegas', sampleWindow, clock }),
  gradient2: (clock) => adaptiveLimiter({ algorithm: 'gradient2', sampleWindow, clock }),
  aimd: (clock) =>
    adaptiveLimiter({
      algorithm: aimd({ minLimit: 1, slowCallDuration: 400 }),
      sampleWindow,
      clock,
    }),
};
