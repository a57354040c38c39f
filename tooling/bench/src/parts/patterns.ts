/** Each pattern alone, and the standard pipeline. */
import * as resil from '@resil/core';
import { answer, cockatiels, firing, opossum, ours, shutdown, through } from '../contenders.js';
import { costTable } from '../cost-table.js';
import type { Part } from '../part.js';
import { type Contender, measure } from '../rounds.js';

const BARE = 'bare await';

export const patterns: Part = async (progress) => {
  const contenders: Contender[] = [
    { name: BARE, call: answer },
    through('@resil retry', ours.retry()),
    through('cockatiel retry', cockatiels.retry()),
    through('@resil breaker', ours.circuitBreaker()),
    through('cockatiel breaker', cockatiels.circuitBreaker()),
    firing('opossum breaker', opossum(answer)),
    through('@resil bulkhead', ours.bulkhead()),
    through('cockatiel bulkhead', cockatiels.bulkhead()),
    through('@resil timeout', ours.timeout()),
    through('cockatiel timeout', cockatiels.timeout()),
    firing('opossum breaker + timeout', opossum(answer, { timeout: 1_000 })),
    through('@resil fallback', ours.fallback()),
    through('@resil hedge', ours.hedge()),
    through('@resil rateLimiter', ours.rateLimiter()),
    through('@resil adaptiveLimiter', ours.adaptiveLimiter()),
    through('@resil throttle', ours.throttle()),
    through('@resil failover, three endpoints', ours.failover()),
    through('@resil cache, a hit', ours.cache()),
    through('@resil coalesce, nobody else', ours.coalesce()),
    through('@resil pipeline() of nothing', resil.pipeline()),
    through('@resil standard()', ours.standard()),
  ];
  progress(`${contenders.length} contenders`);
  const measured = await measure(contenders);
  const table = await costTable('Patterns alone', contenders, measured, BARE);
  shutdown();
  return { tables: [table], targets: [] };
};
