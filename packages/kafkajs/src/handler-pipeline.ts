/** The pipeline that handlers run in: that of `standard` without a total timeout, and with a bulkhead that consumers can share. */
import {
  type Bulkhead,
  type BulkheadOptions,
  CircuitBreaker,
  type Classify,
  isRefusal,
  Pipeline,
  type Random,
  type RetryOptions,
  standard,
  unregister,
} from '@resil/core';
import { isRebalance } from './classify.js';
import { classifyHandler } from './classify-handler.js';
import type { ResolvedConsumerOptions } from './consumer-options.js';
import { kafkaState } from './options.js';

/** What handlers run in. */
export interface HandlerPipeline {
  readonly pipeline: Pipeline;
  readonly breaker: CircuitBreaker | undefined;
  /** What outcomes mean; the error of a rebalance says nothing of what the handler calls. */
  readonly classify: Classify;
}

/** Builds it. With `draining`, nothing is repeated any more. */
export function handlerPipeline(
  options: ResolvedConsumerOptions,
  draining: () => boolean,
): HandlerPipeline {
  const { name, attemptTimeout, circuitBreaker, bulkhead = false, clock, random } = options;
  const own = options.classify ?? classifyHandler;
  const classify: Classify = (outcome, call) =>
    !outcome.ok && isRebalance(outcome.error) ? 'ignored' : own(outcome, call);
  let breaker: CircuitBreaker | undefined;
  const inner = standard({
    name,
    key: name,
    clock,
    random,
    classify,
    totalTimeout: false,
    attemptTimeout,
    circuitBreaker,
    bulkhead: isShared(bulkhead) ? false : bulkhead,
    // What fails as a probe makes room for another partition's.
    retry: retryPart(
      options.retry,
      random,
      (repeated) => repeated && !draining() && breaker?.state !== 'half-open',
    ),
  });
  const layers = [...unregister(inner).layers];
  breaker = layers.find((layer) => layer instanceof CircuitBreaker);
  // Inside the breaker, outside of the attempt's timeout.
  if (isShared(bulkhead)) {
    layers.splice(layers.length - (attemptTimeout === false ? 0 : 1), 0, bulkhead);
  }
  return {
    pipeline: new Pipeline({ name, key: name, classify, clock }, layers),
    breaker,
    classify,
  };
}

/** A bulkhead of the user's own, of whatever copy of the core. */
function isShared(bulkhead: BulkheadOptions | Bulkhead | false): bulkhead is Bulkhead {
  return typeof (bulkhead as Partial<Bulkhead>).enter === 'function';
}

function retryPart(
  own: RetryOptions | false | undefined,
  random: Random | undefined,
  goesOn: (repeated: boolean) => boolean,
): RetryOptions | false {
  if (own === false) return false;
  const { shouldRetry } = own ?? {};
  return {
    budget: false,
    ...(random && { random }),
    ...own,
    shouldRetry: (error, call) =>
      goesOn(kafkaState(call)?.once !== true) &&
      !isRebalance(error) &&
      !isRefusal(error) &&
      (shouldRetry?.(error, call) ?? true),
  };
}
