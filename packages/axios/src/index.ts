// The adapter

export type { RequestResilience, ResilientOptions } from './options.js';
export { resilientDefaults } from './options.js';
export { resilient } from './resilient.js';

// What an outcome means

export type { HttpAttributes } from './classify.js';
export { classify, createClassify } from './classify.js';

// What a server says about waiting

export type { WallClock } from './clock.js';
export type { BaseURLFailover } from './failover.js';
export type { HeaderSource } from './headers.js';
export { rateLimitHint } from './rate-limit-hint.js';
export { rateHint, serverDelay } from './retry-after.js';
