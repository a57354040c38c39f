/** A dependency as the operations kit speaks of it: its pipelines by name, with what they do when it is away. */
import type { LayerDescription } from '@resil/core';
import type { InspectedPipeline, Inspection } from '../inspection.js';
import {
  has,
  layersOf,
  limitInside,
  limitsOf,
  numberOf,
  type Repeater,
  repeatersOf,
} from '../lint/layers.js';
import { type DependencySettings, objectiveDefault, type Settings } from '../settings.js';

/** What stands before one dependency. */
export interface ProtectedDependency {
  /** Name of the pipeline, as in metrics and events. */
  readonly name: string;
  readonly pipeline: InspectedPipeline;
  /** Share of calls that must succeed. */
  readonly objective: number;
  readonly critical: boolean;
  readonly settings: DependencySettings;
  /** Milliseconds for a whole call; `Infinity` without a limit. */
  readonly totalTimeout: number;
  /** Milliseconds for an attempt; `Infinity` without a limit. */
  readonly attemptTimeout: number;
  readonly repeaters: readonly Repeater[];
  readonly breaker: BreakerSettings | undefined;
  /** Layers in which calls may wait. */
  readonly queues: readonly QueueSettings[];
  /** Whether somebody answers in its place, and who. */
  readonly answers: readonly string[];
}

/** A circuit breaker, by the options that operators ask about. */
export interface BreakerSettings {
  readonly name: string;
  /** `5 failures in a row`, `50 % of at least 10 calls within 30 s`. */
  readonly opens: string;
  /** Milliseconds until it probes; `undefined` where that is computed. */
  readonly resetTimeout: number | undefined;
  readonly halfOpenCalls: number;
}

/** A layer with a limit on calls, and a queue before it. */
export interface QueueSettings {
  readonly type: string;
  readonly name: string;
  readonly maxConcurrentCalls: number | undefined;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
}

/**
 * The dependencies of a service, one for each name. Pipelines without a name have no series that could be
 * told from others, and are left out.
 */
export function dependenciesOf(service: Inspection, settings: Settings): ProtectedDependency[] {
  const byName = new Map<string, InspectedPipeline>();
  for (const pipeline of service.pipelines) {
    if (pipeline.name !== null && !byName.has(pipeline.name)) byName.set(pipeline.name, pipeline);
  }
  return [...byName].map(([name, pipeline]) => dependencyOf(name, pipeline, settings));
}

function dependencyOf(
  name: string,
  pipeline: InspectedPipeline,
  { dependencies }: Settings,
): ProtectedDependency {
  const settings = dependencies?.[name] ?? {};
  const limits = limitsOf(pipeline);
  const [breaker] = layersOf(pipeline, 'circuitBreaker');
  const retry = layersOf(pipeline, 'retry')[0]?.index ?? -1;
  return {
    name,
    pipeline,
    objective: settings.objective ?? objectiveDefault,
    critical: settings.critical ?? pipeline.dependency.critical ?? false,
    settings,
    totalTimeout: limits[0]?.duration ?? Infinity,
    attemptTimeout: limitInside(pipeline, retry),
    repeaters: repeatersOf(pipeline),
    breaker: breaker && breakerOf(breaker.layer),
    queues: layersOf(pipeline, ...QUEUES)
      .filter(({ layer }) => (numberOf(layer, 'maxQueueSize') ?? 0) > 0)
      .map(({ layer }) => queueOf(layer)),
    answers: ANSWERS.filter((type) => has(pipeline, type)),
  };
}

const QUEUES = ['bulkhead', 'rateLimiter', 'adaptiveLimiter'];
const ANSWERS = ['fallback', 'cache', 'failover'];

function breakerOf(layer: LayerDescription): BreakerSettings {
  const threshold = numberOf(layer, 'failureThreshold');
  const ratio = numberOf(layer, 'failureRatio') ?? 0;
  const { calls, duration } = (layer.options.window ?? {}) as { calls?: number; duration?: number };
  const within =
    calls === undefined ? `within ${(duration ?? 0) / 1_000} s` : `of the last ${calls}`;
  return {
    name: layer.name ?? 'circuit-breaker',
    opens:
      threshold === undefined
        ? `${Math.round(ratio * 100)} % of at least ${numberOf(layer, 'minimumCalls')} calls ${within} failed`
        : `${threshold} calls in a row failed`,
    resetTimeout: numberOf(layer, 'resetTimeout'),
    halfOpenCalls: numberOf(layer, 'halfOpenCalls') ?? 1,
  };
}

function queueOf(layer: LayerDescription): QueueSettings {
  return {
    type: layer.type,
    name: layer.name ?? layer.type,
    maxConcurrentCalls: numberOf(layer, 'maxConcurrentCalls') ?? numberOf(layer, 'maxLimit'),
    maxQueueSize: numberOf(layer, 'maxQueueSize') ?? 0,
    queueTimeout: numberOf(layer, 'queueTimeout') ?? Infinity,
  };
}
