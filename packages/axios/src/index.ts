// The adapter

// What an outcome means
export { classify, createClassify, type HttpAttributes } from './classify.js';
export type { HeaderSource } from './headers.js';
export { type RequestResilience, type ResilientOptions, resilientDefaults } from './options.js';
export { resilient } from './resilient.js';
export { serverDelay, type WallClock } from './retry-after.js';
