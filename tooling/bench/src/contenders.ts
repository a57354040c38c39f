/** The same protection by this library and by its peers, with the same numbers as far as they have them. */
import * as resil from '@resil/core';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import type { Contender } from './rounds.js';

/** What is protected: the cheapest asynchronous function there is. */
export const answer = async (): Promise<number> => 1;

const MAX_ATTEMPTS = 3;
const FAILURE_THRESHOLD = 5;
const RESET_TIMEOUT = 600_000;
const MAX_CONCURRENT_CALLS = 10;
const DURATION = 1_000;

/** The patterns of this library. */
export const ours = {
  retry: (): resil.Retry => resil.retry({ maxAttempts: MAX_ATTEMPTS }),
  circuitBreaker: (): resil.CircuitBreaker =>
    resil.circuitBreaker({ failureThreshold: FAILURE_THRESHOLD, resetTimeout: RESET_TIMEOUT }),
  bulkhead: (): resil.Bulkhead => resil.bulkhead({ maxConcurrentCalls: MAX_CONCURRENT_CALLS }),
  timeout: (): resil.Timeout => resil.timeout({ duration: DURATION }),
  fallback: (): resil.Fallback => resil.fallback(() => 0),
  hedge: (): resil.Hedge => resil.hedge({ delay: DURATION, idempotent: true }),
  /** With room for every call: what is measured is the way through. */
  rateLimiter: (): resil.RateLimiter => resil.rateLimiter({ maxCalls: 1e9, interval: 1_000 }),
  adaptiveLimiter: (): resil.AdaptiveLimiter => resil.adaptiveLimiter(),
  throttle: (): resil.Throttle => resil.throttle(),
  failover: (): resil.Failover<string> => resil.failover({ endpoints: ['a', 'b', 'c'] }),
  /** Every call but the first is answered by it. */
  cache: (): resil.Cache => resil.cache({ key: () => 'answer', freshDuration: RESET_TIMEOUT }),
  coalesce: (): resil.Coalesce => resil.coalesce({ key: () => 'answer' }),
  all: (): resil.Pipeline =>
    resil.pipeline(ours.retry(), ours.circuitBreaker(), ours.bulkhead(), ours.timeout()),
  standard: (): resil.Pipeline => resil.standard({ name: 'answers' }),
};

/** cockatiel's policies. Its `maxAttempts` leaves the first attempt out. */
export const cockatiels = {
  retry: (): cockatiel.RetryPolicy =>
    cockatiel.retry(cockatiel.handleAll, {
      maxAttempts: MAX_ATTEMPTS - 1,
      backoff: new cockatiel.ExponentialBackoff(),
    }),
  circuitBreaker: (): cockatiel.CircuitBreakerPolicy =>
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: RESET_TIMEOUT,
      breaker: new cockatiel.ConsecutiveBreaker(FAILURE_THRESHOLD),
    }),
  bulkhead: (): cockatiel.BulkheadPolicy => cockatiel.bulkhead(MAX_CONCURRENT_CALLS),
  /** Frees the caller at once, as ours does. Aborts its signal also on return, unless told otherwise. */
  timeout: (abortOnReturn = true): cockatiel.TimeoutPolicy =>
    cockatiel.timeout(DURATION, { strategy: cockatiel.TimeoutStrategy.Aggressive, abortOnReturn }),
  all: (abortOnReturn = true): cockatiel.IPolicy =>
    cockatiel.wrap(
      cockatiels.retry(),
      cockatiels.circuitBreaker(),
      cockatiels.bulkhead(),
      cockatiels.timeout(abortOnReturn),
    ),
};

/** opossum's breaker, with or without its timeout and capacity. */
export function opossum<Result>(
  fn: () => Promise<Result>,
  options: Opossum.Options = {},
): Opossum<[], Result> {
  const breaker = new Opossum(fn, { timeout: false, resetTimeout: RESET_TIMEOUT, ...options });
  breakers.push(breaker);
  return breaker;
}

/** opossum's breaker with all that it has of the four patterns. */
export function opossumWithAll(): Opossum<[], number> {
  return opossum(answer, { timeout: DURATION, capacity: MAX_CONCURRENT_CALLS });
}

const breakers: Opossum[] = [];

/** Ends the timers of the peers. */
export function shutdown(): void {
  for (const breaker of breakers) breaker.shutdown();
}

/** A contender that sends `answer` through something with an `execute`. */
export function through(
  name: string,
  policy: { execute(fn: () => Promise<number>): PromiseLike<unknown> },
): Contender {
  return { name, call: () => policy.execute(answer) };
}

/** A contender that fires a breaker of opossum. */
export function firing(name: string, breaker: Opossum): Contender {
  return { name, call: () => breaker.fire() };
}
