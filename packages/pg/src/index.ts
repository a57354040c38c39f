// The seam

export type { PgEffect, PgErrorMeaning } from './classify.js';
// What outcomes mean
export { classify, meaningOf, sqlStateOf } from './classify.js';
export type { PgDriver } from './driver.js';
// Libraries that build their own pool
export { resilientDriver } from './driver.js';
export type { PgCallState, PgOptions, QueryPhase, QueryResilience } from './options.js';
// Options
export { pgDefaults } from './options.js';
export { resilient } from './resilient.js';
// Several servers
export { NoServerError, type TargetSessionAttrs } from './target-session.js';
export type { IsolationLevel, TransactionOptions } from './transaction.js';
// Transactions
export { TransactionRolledBackError, transaction, transactionDefaults } from './transaction.js';
