/**
 * The table of instruments: every metric there is, with its kind, unit, attributes and buckets. Exporters
 * loop over it, the README's table is made from it, and dashboards and alert rules take their names from
 * it.
 *
 * Names follow the semantic conventions of OpenTelemetry (`error.type`, seconds) and, where they name the
 * same thing, gRPC's (`call.duration`, `retry_delay`, `ejections`: gRFC A66, A78, A96) and Polly's
 * (`pipeline`, `strategy`).
 *
 * @see https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
 */

/** Whether it only grows, is read anew each time, or shows how values are spread. */
export type InstrumentKind = 'counter' | 'gauge' | 'histogram';

/** Names of the attributes (labels). */
export type AttributeName =
  | 'error.type'
  | 'messaging.destination.name'
  | 'resil.attempt.kind'
  | 'resil.client'
  | 'resil.critical'
  | 'resil.endpoint'
  | 'resil.instrument'
  | 'resil.key'
  | 'resil.layer'
  | 'resil.mode'
  | 'resil.outcome'
  | 'resil.pipeline'
  | 'resil.reason'
  | 'resil.state'
  | 'resil.strategy'
  | 'resil.target';

/** A metric. */
export interface Instrument {
  /** Name by the conventions of OpenTelemetry; {@link prometheusName} gives that for Prometheus. */
  readonly name: string;
  readonly kind: InstrumentKind;
  /** In UCUM: `s`, `1`, `{call}`. */
  readonly unit: string;
  readonly description: string;
  /** What tells its series apart, beside `resil.pipeline` and, where keys are shown, `resil.key`. */
  readonly attributes: readonly AttributeName[];
  /** Upper bounds of a histogram's buckets, rising. */
  readonly buckets?: readonly number[];
  /** What becomes of values that fall into one series of a gauge. Default: their sum. */
  readonly fold?: 'sum' | 'min' | 'max';
}

/** What an instrument is called in this package. */
export type InstrumentId =
  | 'attempts'
  | 'budgetExhausted'
  | 'budgetLeft'
  | 'cacheFailures'
  | 'cacheRequests'
  | 'cacheStored'
  | 'callDuration'
  | 'callsInFlight'
  | 'circuitRecovery'
  | 'circuitState'
  | 'circuitTime'
  | 'circuitTransitions'
  | 'coalesced'
  | 'concurrencyInUse'
  | 'concurrencyLimit'
  | 'consumerChanges'
  | 'dependencyInfo'
  | 'ejections'
  | 'endpointChanges'
  | 'endpointInFlight'
  | 'endpointState'
  | 'endpointsSkipped'
  | 'failoverMoves'
  | 'failoverPanics'
  | 'fallbacks'
  | 'folded'
  | 'hedgeResults'
  | 'limitChanges'
  | 'messages'
  | 'queueDuration'
  | 'queueLength'
  | 'queueLimit'
  | 'rateAvailable'
  | 'rateSlowed'
  | 'refusals'
  | 'retriesExhausted'
  | 'retryDelay'
  | 'threadChanges'
  | 'throttleRatio'
  | 'timeouts';

/** Those of the semantic conventions for the duration of a request, in seconds. */
const DURATIONS: readonly number[] = Object.freeze([
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]);
/** From a probe's time to an hour, in seconds. */
const RECOVERIES: readonly number[] = Object.freeze([
  1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600,
]);

/** Every metric there is, by what it is called in this package. */
export const instruments: { readonly [Id in InstrumentId]: Instrument } = Object.freeze({
  callDuration: {
    name: 'resil.call.duration',
    kind: 'histogram',
    unit: 's',
    description: 'Duration of a whole call, with its retries and waits.',
    attributes: ['resil.outcome', 'error.type'],
    buckets: DURATIONS,
  },
  callsInFlight: {
    name: 'resil.call.in_flight',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that have begun and not ended.',
    attributes: [],
  },
  attempts: {
    name: 'resil.call.attempts',
    kind: 'counter',
    unit: '{attempt}',
    description: 'Attempts that were asked for: the first of each call, retries, and hedges.',
    attributes: ['resil.attempt.kind'],
  },
  refusals: {
    name: 'resil.refusals',
    kind: 'counter',
    unit: '{refusal}',
    description: 'Calls and attempts that a layer refused; in mode observe, would have refused.',
    attributes: ['resil.layer', 'resil.strategy', 'resil.reason', 'resil.mode'],
  },
  retryDelay: {
    name: 'resil.call.retry_delay',
    kind: 'histogram',
    unit: 's',
    description: 'Wait before a retry.',
    attributes: ['resil.strategy', 'error.type'],
    buckets: DURATIONS,
  },
  retriesExhausted: {
    name: 'resil.retry.exhausted',
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that failed and were not tried again.',
    attributes: ['resil.strategy', 'resil.reason'],
  },
  budgetExhausted: {
    name: 'resil.budget.exhausted',
    kind: 'counter',
    unit: '{attempt}',
    description: 'Retries and hedges that a budget refused.',
    attributes: ['resil.strategy', 'resil.attempt.kind', 'resil.reason'],
  },
  budgetLeft: {
    name: 'resil.budget.left',
    kind: 'gauge',
    unit: '{attempt}',
    description: 'Retries and hedges that a budget would allow now.',
    attributes: ['resil.strategy'],
    fold: 'min',
  },
  circuitState: {
    name: 'resil.circuit.state',
    kind: 'gauge',
    unit: '{circuit}',
    description: 'Circuits in each state: 1 for the state that a circuit is in, 0 for the others.',
    attributes: ['resil.strategy', 'resil.state'],
  },
  circuitTime: {
    name: 'resil.circuit.duration',
    kind: 'counter',
    unit: 's',
    description: 'Time that circuits were in each state.',
    attributes: ['resil.strategy', 'resil.state'],
  },
  circuitTransitions: {
    name: 'resil.circuit.transitions',
    kind: 'counter',
    unit: '{transition}',
    description: 'Changes of state, by the state that followed.',
    attributes: ['resil.strategy', 'resil.state', 'resil.reason', 'resil.mode'],
  },
  circuitRecovery: {
    name: 'resil.circuit.recovery.duration',
    kind: 'histogram',
    unit: 's',
    description: 'Time from when a circuit first opened until it closed.',
    attributes: ['resil.strategy'],
    buckets: RECOVERIES,
  },
  concurrencyInUse: {
    name: 'resil.concurrency.in_use',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that hold a permit of a bulkhead or an adaptive limiter.',
    attributes: ['resil.layer', 'resil.strategy'],
  },
  concurrencyLimit: {
    name: 'resil.concurrency.limit',
    kind: 'gauge',
    unit: '{call}',
    description: 'Permits that a bulkhead has, or an adaptive limiter at the moment.',
    attributes: ['resil.layer', 'resil.strategy'],
  },
  limitChanges: {
    name: 'resil.concurrency.limit_changes',
    kind: 'counter',
    unit: '{change}',
    description: 'Changes of the limit of an adaptive limiter.',
    attributes: ['resil.strategy', 'resil.reason'],
  },
  queueLength: {
    name: 'resil.queue.length',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that wait for their turn.',
    attributes: ['resil.layer', 'resil.strategy'],
  },
  queueLimit: {
    name: 'resil.queue.limit',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that may wait.',
    attributes: ['resil.layer', 'resil.strategy'],
  },
  queueDuration: {
    name: 'resil.queue.duration',
    kind: 'histogram',
    unit: 's',
    description: 'Wait of a call that got its turn.',
    attributes: ['resil.layer', 'resil.strategy'],
    buckets: DURATIONS,
  },
  rateAvailable: {
    name: 'resil.rate_limit.available',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that a rate limiter would let in at once.',
    attributes: ['resil.strategy'],
  },
  rateSlowed: {
    name: 'resil.rate_limit.slowed',
    kind: 'counter',
    unit: '{event}',
    description: 'Times that a server asked for fewer calls.',
    attributes: ['resil.strategy', 'resil.reason'],
  },
  throttleRatio: {
    name: 'resil.throttle.rejection_ratio',
    kind: 'gauge',
    unit: '1',
    description: 'Probability with which a throttle refuses a call now.',
    attributes: ['resil.strategy'],
    fold: 'max',
  },
  timeouts: {
    name: 'resil.timeout.expired',
    kind: 'counter',
    unit: '{call}',
    description: 'Calls and attempts that a timeout cut short.',
    attributes: ['resil.strategy'],
  },
  fallbacks: {
    name: 'resil.fallback.used',
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that a fallback answered.',
    attributes: ['resil.strategy', 'error.type'],
  },
  hedgeResults: {
    name: 'resil.hedge.results',
    kind: 'counter',
    unit: '{hedge}',
    description: 'Attempts of hedged calls that won or lost; the first attempt may be one of them.',
    attributes: ['resil.strategy', 'resil.outcome'],
  },
  cacheRequests: {
    name: 'resil.cache.requests',
    kind: 'counter',
    unit: '{call}',
    description: 'Answers that were looked for in a cache.',
    attributes: ['resil.strategy', 'resil.outcome'],
  },
  cacheStored: {
    name: 'resil.cache.stored',
    kind: 'counter',
    unit: '{answer}',
    description: 'Answers that were stored in a cache.',
    attributes: ['resil.strategy'],
  },
  cacheFailures: {
    name: 'resil.cache.revalidation_failures',
    kind: 'counter',
    unit: '{call}',
    description: 'Answers that could not be asked for anew.',
    attributes: ['resil.strategy', 'error.type'],
  },
  coalesced: {
    name: 'resil.coalesce.joined',
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that shared the flight of another.',
    attributes: ['resil.strategy'],
  },
  endpointState: {
    name: 'resil.endpoint.state',
    kind: 'gauge',
    unit: '{endpoint}',
    description:
      'Endpoints in each state: 1 for the state that an endpoint is in, 0 for the others.',
    attributes: ['resil.strategy', 'resil.endpoint', 'resil.state'],
  },
  endpointInFlight: {
    name: 'resil.endpoint.in_flight',
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that run against an endpoint.',
    attributes: ['resil.strategy', 'resil.endpoint'],
  },
  ejections: {
    name: 'resil.endpoint.ejections',
    kind: 'counter',
    unit: '{ejection}',
    description: 'Endpoints found to be outliers; in mode observe, they were not left out.',
    attributes: ['resil.strategy', 'resil.endpoint', 'resil.reason', 'resil.mode'],
  },
  endpointChanges: {
    name: 'resil.endpoint.transitions',
    kind: 'counter',
    unit: '{transition}',
    description: 'Endpoints that came back, or whose health check failed or passed again.',
    attributes: ['resil.strategy', 'resil.endpoint', 'resil.state'],
  },
  endpointsSkipped: {
    name: 'resil.endpoint.skipped',
    kind: 'counter',
    unit: '{attempt}',
    description: 'Attempts that went on to another endpoint at once.',
    attributes: ['resil.strategy', 'resil.endpoint', 'error.type'],
  },
  failoverMoves: {
    name: 'resil.failover.moves',
    kind: 'counter',
    unit: '{move}',
    description: 'Times that work went to another endpoint for good, by where it went.',
    attributes: ['resil.strategy', 'resil.endpoint'],
  },
  failoverPanics: {
    name: 'resil.failover.transitions',
    kind: 'counter',
    unit: '{transition}',
    description: 'Times that too few endpoints were left, or enough again.',
    attributes: ['resil.strategy', 'resil.state'],
  },
  threadChanges: {
    name: 'resil.worker.transitions',
    kind: 'counter',
    unit: '{transition}',
    description: 'Threads of a worker pool that were started or ended, and why they ended.',
    attributes: ['resil.strategy', 'resil.state', 'resil.reason'],
  },
  consumerChanges: {
    name: 'resil.consumer.transitions',
    kind: 'counter',
    unit: '{transition}',
    description: 'Partitions that were paused or resumed.',
    attributes: ['resil.strategy', 'messaging.destination.name', 'resil.state', 'resil.reason'],
  },
  messages: {
    name: 'resil.consumer.messages',
    kind: 'counter',
    unit: '{message}',
    description:
      'Messages sent on to a retry topic or a dead-letter topic, or taken by none, by where they came from.',
    attributes: ['resil.strategy', 'messaging.destination.name', 'resil.outcome', 'error.type'],
  },
  dependencyInfo: {
    name: 'resil.dependency.info',
    kind: 'gauge',
    unit: '{dependency}',
    description: 'What a pipeline stands before; always 1, to be joined with the rest.',
    attributes: ['resil.client', 'resil.target', 'resil.critical'],
    fold: 'max',
  },
  folded: {
    name: 'resil.telemetry.folded',
    kind: 'counter',
    unit: '{measurement}',
    description: 'Measurements that went to a series called other, for want of room.',
    attributes: ['resil.instrument'],
  },
});

const UNIT_ENDINGS: Readonly<Record<string, string>> = { s: '_seconds', '1': '_ratio' };

/**
 * Its name in Prometheus, by the rules that OpenTelemetry has for it: so rules and dashboards are the same,
 * whichever way a metric went.
 *
 * @see https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
 */
export function prometheusName({ name, kind, unit }: Instrument): string {
  const base = prometheusLabel(name);
  // A ratio says so in its name only where it is a gauge.
  const ending = unit === '1' && kind !== 'gauge' ? '' : (UNIT_ENDINGS[unit] ?? '');
  const withUnit = ending !== '' && !base.endsWith(ending) ? `${base}${ending}` : base;
  return kind === 'counter' ? `${withUnit}_total` : withUnit;
}

/** The label that stands for an attribute in Prometheus. */
export function prometheusLabel(attribute: string): string {
  return attribute.replaceAll('.', '_');
}
