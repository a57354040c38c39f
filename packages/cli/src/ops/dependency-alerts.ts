/** The alerts of one dependency, but for its objective: one for each way in which its layers tell that something is wrong. */
import { durationText, shareText } from '../duration-text.js';
import { has } from '../lint/layers.js';
import type { AlertRule } from './alerts.js';
import { type Expressions, type Matchers, maxBy, sumBy } from './promql.js';
import type { ProtectedDependency } from './protected-dependency.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Retries for each first attempt from which somebody should look. */
const RETRIES = 0.2;
/** Share of attempts that time out, of answers by a fallback, of calls that a throttle turns away. */
const SHARE = 0.1;
/** Share of a queue that is taken. */
const FULL = 0.8;
/** Openings of a circuit within a quarter of an hour. */
const OPENINGS = 4;

/** The alerts of a dependency, as its layers give cause for. */
export function alertsOf(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  return [
    ...ofCircuits(dependency, expressions),
    ...ofRetries(dependency, expressions),
    ...ofQueues(dependency, expressions),
    ...ofLatency(dependency, expressions),
    ...ofAnswers(dependency, expressions),
    ...ofMessages(dependency, expressions),
    ofSilence(dependency, expressions),
  ];
}

function of({ name }: ProtectedDependency, matchers: Matchers = {}): Matchers {
  return { 'resil.pipeline': name, ...matchers };
}

function ofCircuits(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, breaker, critical, pipeline } = dependency;
  if (breaker === undefined) return [];
  const { restartDuration } = pipeline.dependency;
  const state = (matchers: Matchers): string =>
    expressions.series('circuitState', of(dependency, matchers));
  // A circuit that probes in vain is half-open as long as its probes take: scrapes may meet nothing else.
  const notClosed = state({ 'resil.state': ['open', 'half-open'] });
  const open = `max_over_time(${notClosed}[${expressions.duration(MINUTE)}])`;
  const opened = expressions.series(
    'circuitTransitions',
    of(dependency, { 'resil.state': 'open', 'resil.mode': 'enforce' }),
  );
  return [
    {
      alert: 'ResilCircuitOpen',
      expr: `${maxBy(['resil.pipeline', 'resil.strategy'], open)} > 0`,
      for: expressions.duration(Math.max(30 * SECOND, restartDuration ?? 0)),
      labels: { severity: critical ? 'page' : 'ticket' },
      annotations: {
        summary: `the circuit of ${name} is open`,
        description: `It opens when ${breaker.opens}, and is probed ${breaker.resetTimeout === undefined ? 'after a time that is computed' : `every ${durationText(breaker.resetTimeout)}`}. Calls are refused at once until ${breaker.halfOpenCalls} ${breaker.halfOpenCalls === 1 ? 'probe has' : 'probes have'} succeeded.`,
      },
    },
    {
      alert: 'ResilCircuitFlaps',
      expr: `${sumBy(['resil.pipeline', 'resil.strategy'], `increase(${opened}[${expressions.duration(15 * MINUTE)}])`)} > ${OPENINGS}`,
      labels: { severity: 'ticket' },
      annotations: {
        summary: `the circuit of ${name} opens again and again`,
        description: `More than ${OPENINGS} times within 15 minutes: ${name} passes the probes and fails the load.`,
      },
    },
    {
      alert: 'ResilCircuitIsolated',
      expr: `${maxBy(['resil.pipeline', 'resil.strategy'], state({ 'resil.state': 'isolated' }))} > 0`,
      for: expressions.duration(60 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `${name} has been isolated for an hour`,
        description: 'Somebody isolated its circuit by hand; it stays so until somebody resets it.',
      },
    },
  ];
}

function ofRetries(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, repeaters } = dependency;
  const alerts: AlertRule[] = [];
  const kind = (value: string): string =>
    sumBy(
      ['resil.pipeline'],
      expressions.rate('attempts', 5 * MINUTE, of(dependency, { 'resil.attempt.kind': value })),
    );
  if (repeaters.some((repeater) => repeater.kind === 'retry')) {
    alerts.push({
      alert: 'ResilManyRetries',
      expr: `${kind('retry')} / ${kind('first')} > ${RETRIES}`,
      for: expressions.duration(10 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `many calls of ${name} are repeated`,
        description: `{{ $value | humanizePercentage }} retries for each call, over ${shareText(RETRIES)}: failures are hidden, and ${name} has more to do.`,
      },
    });
  }
  if (repeaters.some(({ bound }) => bound === 'budget')) {
    const refused = expressions.rate('budgetExhausted', 5 * MINUTE, of(dependency));
    alerts.push({
      alert: 'ResilRetryBudgetExhausted',
      expr: `${sumBy(['resil.pipeline', 'resil.strategy'], refused)} > 0`,
      for: expressions.duration(5 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `the retry budget of ${name} is used up`,
        description: `{{ $value | humanize }} retries a second are refused: ${name} fails so often that repeating would only add to its load.`,
      },
    });
  }
  return alerts;
}

/** Names of layers in the label `resil_layer`. */
const LAYER_LABELS: Readonly<Record<string, string>> = {
  bulkhead: 'bulkhead',
  rateLimiter: 'rate_limiter',
  adaptiveLimiter: 'adaptive_limiter',
  throttle: 'throttle',
};

function ofQueues(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, queues, pipeline } = dependency;
  const alerts: AlertRule[] = [];
  const labels = ['resil.pipeline', 'resil.layer', 'resil.strategy'] as const;
  if (queues.length > 0) {
    const length = sumBy(labels, expressions.series('queueLength', of(dependency)));
    const limit = sumBy(labels, expressions.series('queueLimit', of(dependency)));
    const sizes = queues.map((queue) => `${queue.name}: ${queue.maxQueueSize}`).join(', ');
    alerts.push({
      alert: 'ResilQueueFull',
      expr: `${length} / ${limit} > ${FULL}`,
      for: expressions.duration(2 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `calls queue up before ${name}`,
        description: `{{ $value | humanizePercentage }} of the places are taken (${sizes}); what comes when none is left is refused.`,
      },
    });
  }
  const refusing = Object.keys(LAYER_LABELS).filter((type) => has(pipeline, type));
  if (refusing.length > 0) {
    const layer = refusing.map((type) => LAYER_LABELS[type] as string);
    const refused = expressions.rate(
      'refusals',
      5 * MINUTE,
      of(dependency, { 'resil.layer': layer, 'resil.mode': 'enforce' }),
    );
    alerts.push({
      alert: 'ResilCallsRefused',
      expr: `${sumBy(labels, refused)} > 0`,
      for: expressions.duration(5 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `calls of ${name} are refused for want of room`,
        description: `{{ $value | humanize }} a second: more is asked for than ${name} can do, or it has become slow.`,
      },
    });
  }
  return alerts;
}

function ofLatency(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, totalTimeout, attemptTimeout } = dependency;
  if (totalTimeout === Infinity) return [];
  const buckets = sumBy(
    ['resil.pipeline'],
    expressions.rate('callDuration', 5 * MINUTE, of(dependency), '_bucket'),
  ).replace('sum by (', 'sum by (le, ');
  const expired = sumBy(
    ['resil.pipeline'],
    expressions.rate('timeouts', 5 * MINUTE, of(dependency)),
  );
  const attempts = sumBy(
    ['resil.pipeline'],
    expressions.rate('attempts', 5 * MINUTE, of(dependency)),
  );
  const slow = (0.8 * totalTimeout) / SECOND;
  return [
    {
      alert: 'ResilSlow',
      expr: `histogram_quantile(0.99, ${buckets}) > ${slow}`,
      for: expressions.duration(10 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `${name} answers slowly`,
        description: `One call in a hundred takes {{ $value | humanizeDuration }} and more; a call may take ${durationText(totalTimeout)}.`,
      },
    },
    {
      alert: 'ResilTimeouts',
      expr: `${expired} / ${attempts} > ${SHARE}`,
      for: expressions.duration(5 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `attempts of ${name} time out`,
        description: `{{ $value | humanizePercentage }} of the attempts; each may take ${durationText(attemptTimeout)}.`,
      },
    },
  ];
}

function ofAnswers(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, pipeline } = dependency;
  const alerts: AlertRule[] = [];
  if (has(pipeline, 'fallback')) {
    const used = sumBy(
      ['resil.pipeline'],
      expressions.rate('fallbacks', 5 * MINUTE, of(dependency)),
    );
    const calls = sumBy(
      ['resil.pipeline'],
      expressions.rate('callDuration', 5 * MINUTE, of(dependency), '_count'),
    );
    alerts.push({
      alert: 'ResilFallbackAnswers',
      expr: `${used} / ${calls} > ${SHARE}`,
      for: expressions.duration(10 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `a fallback answers for ${name}`,
        description: '{{ $value | humanizePercentage }} of the calls get the second-best answer.',
      },
    });
  }
  if (has(pipeline, 'throttle')) {
    alerts.push({
      alert: 'ResilThrottled',
      expr: `${maxBy(['resil.pipeline', 'resil.strategy'], expressions.series('throttleRatio', of(dependency)))} > ${SHARE}`,
      for: expressions.duration(5 * MINUTE),
      labels: { severity: 'ticket' },
      annotations: {
        summary: `calls of ${name} are turned away`,
        description: `{{ $value | humanizePercentage }} of the calls are refused here, because ${name} turns calls away.`,
      },
    });
  }
  if (has(pipeline, 'failover')) {
    const ejected = expressions.series('ejections', of(dependency, { 'resil.mode': 'enforce' }));
    alerts.push({
      alert: 'ResilEndpointEjected',
      expr: `${sumBy(['resil.pipeline', 'resil.endpoint'], `increase(${ejected}[${expressions.duration(10 * MINUTE)}])`)} > 0`,
      labels: { severity: 'ticket' },
      annotations: {
        summary: `an endpoint of ${name} is left out`,
        description: 'It failed more than the others, and gets no calls for a while.',
      },
    });
  }
  return alerts;
}

function ofMessages(dependency: ProtectedDependency, expressions: Expressions): AlertRule[] {
  const { name, pipeline } = dependency;
  if (pipeline.dependency.client !== 'kafkajs') return [];
  const dead = expressions.series('messages', of(dependency, { 'resil.outcome': 'dead-lettered' }));
  return [
    {
      alert: 'ResilDeadLetters',
      expr: `${sumBy(['resil.pipeline', 'messaging.destination.name'], `increase(${dead}[${expressions.duration(15 * MINUTE)}])`)} > 0`,
      labels: { severity: 'ticket' },
      annotations: {
        summary: `messages of ${name} were given up`,
        description: '{{ $value | humanize }} went to the dead-letter topic within 15 minutes.',
      },
    },
  ];
}

/** No news is bad news: everything else is silent when nothing is measured. */
function ofSilence(dependency: ProtectedDependency, expressions: Expressions): AlertRule {
  return {
    alert: 'ResilNotMeasured',
    expr: `absent(${expressions.series('callsInFlight', of(dependency))})`,
    for: expressions.duration(10 * MINUTE),
    labels: { severity: 'ticket' },
    annotations: {
      summary: `nothing is known of ${dependency.name}`,
      description:
        'No metric of its pipeline arrives: the exporter is gone, the pipeline has another name, or nobody has called it since the process began.',
    },
  };
}
