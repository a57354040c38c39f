/** What a `rateLimiter` reads out of an outcome of axios. */
import type { Outcome, RateHint } from '@resil/core';
import { responseOf } from './classify.js';
import { systemWallClock } from './clock.js';
import { rateHint } from './retry-after.js';

/**
 * What the server of an answer says about its limits (`Retry-After`, `RateLimit`, `RateLimit-Policy`,
 * `X-RateLimit-*`), for the option `hint` of a `rateLimiter`; nothing where no answer came.
 *
 * @example
 * ```ts
 * import { pipeline, rateLimiter } from '@resil/core';
 * import { rateLimitHint, resilient } from '@resil/axios';
 * import axios from 'axios';
 *
 * const api = resilient(axios.create(), {
 *   pipeline: () => pipeline(rateLimiter({ maxCalls: 50, hint: rateLimitHint })),
 * });
 * ```
 */
export function rateLimitHint(outcome: Outcome): RateHint | undefined {
  const response = responseOf(outcome);
  return response === undefined ? undefined : rateHint(response.headers, systemWallClock);
}
