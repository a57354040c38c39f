/** Criteria of patterns: what stands before each dependency. */
import type { InspectedPipeline } from '../inspection.js';
import { has, layersOf, repeatersOf } from '../lint/layers.js';
import { all, type Criterion, type Evidence, without } from './criterion.js';

const pipelinesOf = ({ service }: Evidence): readonly InspectedPipeline[] => service.pipelines;

/** Counts the pipelines that pass a test. */
function each(evidence: Evidence, passes: (pipeline: InspectedPipeline) => boolean, what: string) {
  const pipelines = pipelinesOf(evidence);
  const failing = pipelines.filter((pipeline) => !passes(pipeline)).map(({ place }) => place);
  const measured = all(pipelines.length - failing.length, pipelines.length, what);
  if (failing.length === 0) return measured;
  return { ...measured, evidence: `${measured.evidence}; not ${failing.join(', ')}` };
}

/** Met if at least one pipeline passes a test. */
function some(evidence: Evidence, passes: (pipeline: InspectedPipeline) => boolean, what: string) {
  const passing = pipelinesOf(evidence).filter(passes);
  const places = passing.map(({ place }) => place).join(', ');
  return {
    met: passing.length > 0,
    evidence: passing.length === 0 ? `no pipeline has ${what}` : `${what}: ${places}`,
  };
}

/** What limits calls; a pool of pg is one already. */
function isLimited(pipeline: InspectedPipeline): boolean {
  return (
    has(pipeline, 'bulkhead', 'adaptiveLimiter', 'rateLimiter') ||
    pipeline.dependency.client === 'pg'
  );
}

/** A hedge that goes by the latencies that it saw has no fixed delay. */
function hedgesByLatency(pipeline: InspectedPipeline): boolean {
  return layersOf(pipeline, 'hedge').some(({ layer }) => layer.options.delay === undefined);
}

/** The criteria of patterns. */
export const patternCriteria: readonly Criterion[] = [
  {
    id: 'timeouts',
    area: 'patterns',
    level: 1,
    title: 'every pipeline has a timeout',
    next: 'put a timeout({ duration }) into each; `resil explain no-timeout`',
    measure: (evidence) =>
      each(evidence, (pipeline) => has(pipeline, 'timeout'), 'pipelines have a timeout'),
  },
  {
    id: 'bounded-retries',
    area: 'patterns',
    level: 2,
    title: 'retries end, have one owner and can’t storm',
    next: 'see what `resil lint --rule retry-storm double-retry endless-retry` says of each',
    measure: (evidence) => without(evidence, ['retry-storm', 'double-retry', 'endless-retry']),
  },
  {
    id: 'names',
    area: 'patterns',
    level: 2,
    title: 'every pipeline has a name of its own',
    next: 'give each the name of what it stands before; `resil explain unnamed-pipeline`',
    measure: (evidence) => without(evidence, ['unnamed-pipeline']),
  },
  {
    id: 'circuit-breakers',
    area: 'patterns',
    level: 3,
    title: 'every pipeline has a circuit breaker that refuses',
    next: 'add a circuitBreaker to each, and take mode: "observe" away when its numbers are right',
    measure: (evidence) =>
      each(
        evidence,
        (pipeline) =>
          layersOf(pipeline, 'circuitBreaker').some(
            ({ layer }) => layer.options.mode !== 'observe',
          ),
        'pipelines have a circuit breaker that refuses',
      ),
  },
  {
    id: 'isolation',
    area: 'patterns',
    level: 3,
    title: 'every dependency has its own limit on calls',
    next: 'add a bulkhead or a limiter to each; `resil explain shared-guard`',
    measure: (evidence) => {
      const shared = without(evidence, ['shared-guard']);
      return shared.met ? each(evidence, isLimited, 'pipelines have a limit of their own') : shared;
    },
  },
  {
    id: 'nothing-hidden',
    area: 'patterns',
    level: 3,
    title: 'no client is used past a pipeline',
    next: 'wrap the clients that `resil lint --rule hidden-dependency` finds',
    measure: (evidence) => without(evidence, ['hidden-dependency']),
  },
  {
    id: 'degradation',
    area: 'patterns',
    level: 4,
    title: 'it is known which dependencies are critical, and something answers in their place',
    next: 'say dependency: { critical: true } (or so in the settings) of those without which the service can’t work, and give them a fallback, a cache or a failover',
    measure: (evidence) => {
      const critical = pipelinesOf(evidence).filter(
        ({ dependency }) => dependency.critical === true,
      );
      if (critical.length === 0)
        return { met: false, evidence: 'no dependency is said to be critical' };
      const answered = critical.filter((one) => has(one, 'fallback', 'cache', 'failover'));
      return all(
        answered.length,
        critical.length,
        'critical dependencies have an answer in their place',
      );
    },
  },
  {
    id: 'fitting-times',
    area: 'patterns',
    level: 4,
    title: 'timeouts, windows and recovery fit one another',
    next: 'see what `resil lint` says of each',
    measure: (evidence) =>
      without(evidence, [
        'cascading-timeout',
        'no-time-to-retry',
        'unbounded-queue-wait',
        'short-window',
        'reset-before-restart',
        'too-few-probes',
        'different-settings',
      ]),
  },
  {
    id: 'context',
    area: 'patterns',
    level: 4,
    title: 'deadline and who retries are handed on from service to service',
    next: 'put the middleware of @resil/context around the handlers of its server',
    measure: ({ service, project }) => {
      const own = service.imports.some(({ name }) => name === '@resil/context');
      const files = project.sources.filter(({ imports }) => imports.includes('@resil/context'));
      if (own || files.length > 0) {
        return {
          met: true,
          evidence: `@resil/context is imported${files[0] === undefined ? '' : ` by ${files[0].path}`}`,
        };
      }
      return { met: false, evidence: '@resil/context is not imported' };
    },
  },
  {
    id: 'budgets',
    area: 'patterns',
    level: 5,
    title: 'every retry and hedge goes by a budget, so that repeating follows success',
    next: 'give each retry and hedge a retryBudget; one may serve several',
    measure: (evidence) => {
      const repeating = pipelinesOf(evidence).flatMap((pipeline) =>
        repeatersOf(pipeline).filter(({ kind }) => kind !== 'client'),
      );
      const budgeted = repeating.filter(({ bound }) => bound === 'budget');
      return all(budgeted.length, repeating.length, 'retries and hedges have a budget');
    },
  },
  {
    id: 'adaptive-limits',
    area: 'patterns',
    level: 5,
    title: 'limits find themselves',
    next: 'put an adaptiveLimiter in the place of a bulkhead whose number is a guess',
    measure: (evidence) =>
      some(evidence, (pipeline) => has(pipeline, 'adaptiveLimiter'), 'an adaptive limiter'),
  },
  {
    id: 'adaptive-hedging',
    area: 'patterns',
    level: 5,
    title: 'hedges go by the latencies that were seen',
    next: 'add hedge({}) without a delay before an idempotent dependency whose tail matters',
    measure: (evidence) => some(evidence, hedgesByLatency, 'a hedge that goes by latency'),
  },
  {
    id: 'throttling',
    area: 'patterns',
    level: 5,
    title: 'load follows what the dependency takes',
    next: 'add a throttle before a dependency that turns calls away when it has too many',
    measure: (evidence) => some(evidence, (pipeline) => has(pipeline, 'throttle'), 'a throttle'),
  },
];
