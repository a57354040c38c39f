/** The limiters that the overload bed compares. */
import { type AdaptiveLimiter, adaptiveLimiter, aimd } from '@resil/core';

const sampleWindow = { minDuration: 200, maxDuration: 200 };

/** The limiters, by name. AIMD is told from when an answer counts as too slow, for this server refuses nothing. */
export const limiters: Readonly<Record<string, () => AdaptiveLimiter>> = {
  vegas: () => adaptiveLimiter({ algorithm: 'vegas', sampleWindow }),
  gradient2: () => adaptiveLimiter({ algorithm: 'gradient2', sampleWindow }),
  aimd: () =>
    adaptiveLimiter({
      algorithm: aimd({ minLimit: 1, slowCallDuration: 400 }),
      sampleWindow,
    }),
};
