// Adaptive limiter

export { AdaptiveLimiter, adaptiveLimiter } from './adaptive-limiter.js';
export {
  type AdaptiveLimiterOptions,
  adaptiveLimiterDefaults,
  type LimiterPartition,
} from './adaptive-limiter-options.js';
// Ambient context
export {
  type AmbientContext,
  type AmbientProvider,
  ambientDeadline,
  contextHeaders,
  provideAmbient,
} from './ambient.js';
// Calls and pipelines
export type { AttemptBudget, BudgetRefusal } from './attempt-budget.js';
export { type Backoff, type BackoffSettings, backoffDelay, type Jitter } from './backoff.js';
// Bulkhead
export { Bulkhead, type BulkheadOptions, bulkhead, bulkheadDefaults } from './bulkhead.js';
// Cache
export { Cache, type CacheOptions, cache, cacheDefaults } from './cache.js';
export {
  type CachedAnswer,
  type CacheStore,
  MemoryStore,
  type MemoryStoreOptions,
  memoryStore,
  memoryStoreDefaults,
} from './cache-store.js';
export type { Call, CallAttributes, CallOptions, DeriveOptions } from './call.js';
export type { KeyFunction } from './call-key.js';
export { Cancellation } from './cancellation.js';
// Circuit breaker
export { CircuitBreaker, circuitBreaker } from './circuit-breaker.js';
export {
  type CircuitBreakerOptions,
  type CircuitSnapshot,
  type CircuitState,
  type CircuitWindow,
  circuitBreakerDefaults,
} from './circuit-breaker-options.js';
// Time, chance and waiting
export { type Clock, systemClock } from './clock.js';
// Coalesce
export { Coalesce, type CoalesceOptions, coalesce, coalesceDefaults } from './coalesce.js';
// Budgets
export {
  ConcurrencyBudget,
  type ConcurrencyBudgetOptions,
  concurrencyBudget,
  concurrencyBudgetDefaults,
} from './concurrency-budget.js';
// Dependencies
export { type Dependency, dependencyRule } from './dependency.js';
// Descriptions
export {
  type Describable,
  type JsonRecord,
  type JsonValue,
  jsonRecord,
  type KeyedDescription,
  type LayerDescription,
  type PipelineDescription,
} from './description.js';
// Events
export { type ErrorReporter, observe, report, reportErrorsTo } from './emitter.js';
// Failover
export type { Endpoint, EndpointOptions, EndpointStatus } from './endpoint.js';
// Errors
export {
  BulkheadFullError,
  CircuitIsolatedError,
  CircuitOpenError,
  DrainingError,
  HedgeLostError,
  isRefusal,
  isResilienceError,
  LimitExceededError,
  NoEndpointError,
  OutcomeUnknownError,
  QueueTimeoutError,
  RateLimitedError,
  ResilienceError,
  type ResilienceErrorCode,
  type ResilienceErrorDetails,
  ThrottledError,
  TimeoutError,
} from './errors.js';
export type {
  BulkheadEvent,
  BulkheadRejection,
  CacheEvent,
  CallEvent,
  CircuitEvent,
  CircuitReason,
  CoalesceEvent,
  ConsumerEvent,
  ConsumerPauseReason,
  EndpointEjectionReason,
  EndpointEvent,
  FallbackEvent,
  HedgeEvent,
  LimiterEvent,
  LimiterRejection,
  RateLimitEvent,
  RateLimitReason,
  ResilienceEvent,
  ResilienceEventBase,
  ResilienceEventInput,
  ResilienceEventType,
  ResilienceListener,
  RetryEvent,
  RetryStopReason,
  ThrottleEvent,
  TimeoutEvent,
  WorkerEndReason,
  WorkerEvent,
} from './events.js';
export { Failover, failover } from './failover.js';
export { type FailoverOptions, failoverDefaults } from './failover-options.js';
export type { WindowSnapshot } from './failure-window.js';
// Fallback
export {
  Fallback,
  type FallbackFunction,
  type FallbackOptions,
  fallback,
  fallbackDefaults,
} from './fallback.js';
export { type GradientOptions, gradient, gradientDefaults } from './gradient.js';
export { type Gradient2Options, gradient2, gradient2Defaults } from './gradient2.js';
// Guard mode
export { type GuardMode, markOf, modeRule, type ObservedMark } from './guard-mode.js';
export { type HealthCheckOptions, healthCheckDefaults } from './health-checks.js';
// Hedge
export { Hedge, type HedgeOptions, hedge, hedgeDefaults } from './hedge.js';
export {
  type DescribeKeyedOptions,
  describeKeyedDefaults,
  Keyed,
  type KeyedOptions,
  keyed,
  keyedDefaults,
} from './keyed.js';
export {
  LatencyHistogram,
  type LatencyHistogramOptions,
  latencyHistogramDefaults,
} from './latency-histogram.js';
export type { CompositeLayer, Guard, Layer, Strategy } from './layer.js';
export type { LimitAlgorithm, LimitBounds, LimitReason, OfLimit } from './limit-algorithm.js';
export {
  type AimdOptions,
  aimd,
  aimdDefaults,
  type VegasOptions,
  vegas,
  vegasDefaults,
} from './limit-algorithms.js';
export type { LimitDecision } from './limit-history.js';
export type { PartitionState } from './limit-partition.js';
export type {
  Classify,
  FailureOutcome,
  Outcome,
  SettledOutcome,
  SuccessOutcome,
  Verdict,
  VerdictKind,
} from './outcome.js';
export {
  type FailureShareOptions,
  type OutlierDetectionOptions,
  outlierDetectionDefaults,
  type SuccessRateOptions,
} from './outlier-detection.js';
export {
  type Admission,
  Pipeline,
  type PipelineOptions,
  pipeline,
  type WrapOptions,
} from './pipeline.js';
export {
  type EarlyRejectionOptions,
  earlyRejectionDefaults,
  type QueueDiscipline,
} from './queue-order.js';
export { type Random, systemRandom } from './random.js';
// Rate limiter
export { RateLimiter, rateLimiter } from './rate-limiter.js';
export {
  type RateHint,
  type RateLimiterOptions,
  type RateQuota,
  rateLimiterDefaults,
} from './rate-limiter-options.js';
// Registry
export { registered, unregister } from './registry.js';
// Retry
export { Retry, type RetryOptions, retry, retryDefaults } from './retry.js';
export {
  RetryBudget,
  type RetryBudgetOptions,
  retryBudget,
  retryBudgetDefaults,
} from './retry-budget.js';
export { type SampleWindowOptions, sampleWindowDefaults } from './sample-window.js';
export { SingleLayer } from './single-layer.js';
export { sleep } from './sleep.js';
export {
  type StandardFailoverOptions,
  type StandardOptions,
  type StandardServiceOptions,
  standard,
  standardDefaults,
  standardRules,
} from './standard.js';
// Throttle
export { Throttle, type ThrottleOptions, throttle, throttleDefaults } from './throttle.js';
// Timeout
export { Timeout, type TimeoutOptions, timeout, timeoutDefaults } from './timeout.js';
export {
  TokenBudget,
  type TokenBudgetOptions,
  tokenBudget,
  tokenBudgetDefaults,
} from './token-budget.js';

// Options
export {
  booleanRule,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  numberRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
  ratioRule,
} from './validate.js';
