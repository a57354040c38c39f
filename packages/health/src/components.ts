/**
 * What the pipelines say of the health of the service, by what they describe of themselves.
 *
 * A circuit that is open fails, until a probe may be let in: from then on it warns, because a service that
 * is not ready gets no calls, and a circuit without calls would never close. A bulkhead or a limiter whose
 * queue is full warns. Of endpoints, one that is out warns, and fails when all are. What a layer only
 * observes warns at most.
 */
import type {
  JsonRecord,
  Keyed,
  KeyedDescription,
  LayerDescription,
  Pipeline,
  PipelineDescription,
} from '@resil/core';
import { type HealthStatus, softened, worstOf } from './statuses.js';

/** One part of the service, as `application/health+json` shows it. */
export interface HealthComponent {
  /** Which of several: the layer's name, or the key. */
  readonly componentId: string;
  readonly componentType: 'component' | 'datastore' | 'system';
  readonly observedValue?: number | string;
  readonly observedUnit?: string;
  readonly status: HealthStatus;
  /** When that was so, as an ISO date. */
  readonly time: string;
  /** What to know of it, where it does not pass. */
  readonly output?: string;
}

/** Components by name, and what they mean for the whole. */
export interface Findings {
  readonly checks: Record<string, HealthComponent[]>;
  readonly status: HealthStatus;
  /** Whether something fails that the service cannot do without. */
  readonly unavailable: boolean;
  /** Status of each named pipeline. */
  readonly byName: ReadonlyMap<string, HealthStatus>;
}

/** Keys shown at most for each name; those that don't pass come first. */
const MAX_SHOWN = 20;

interface Part extends Omit<HealthComponent, 'time'> {
  readonly type: string;
}

/** Looks at pipelines. */
export function findingsOf(pipelines: readonly (Pipeline | Keyed)[], time: string): Findings {
  const checks: Record<string, HealthComponent[]> = {};
  const statuses: HealthStatus[] = [];
  const byName = new Map<string, HealthStatus>();
  let unavailable = false;
  for (const [at, pipeline] of pipelines.entries()) {
    const description = pipeline.describe();
    const name = description.name ?? `pipeline ${at + 1}`;
    const critical = description.dependency?.critical === true;
    const { parts, status } = isKeyed(description) ? ofKeyed(description) : ofPipeline(description);
    const shown = softened(status, critical);
    if (shown === 'fail') unavailable = true;
    statuses.push(shown);
    byName.set(name, worstOf([byName.get(name) ?? 'pass', status]));
    for (const { type, ...part } of parts) {
      checks[`${name}:${type}`] ??= [];
      checks[`${name}:${type}`]?.push({ ...part, time });
    }
  }
  for (const list of Object.values(checks)) {
    list.sort((one, other) => Number(one.status === 'pass') - Number(other.status === 'pass'));
    list.splice(MAX_SHOWN);
  }
  return { checks, status: worstOf(statuses), unavailable, byName };
}

interface Judged {
  readonly parts: readonly Part[];
  readonly status: HealthStatus;
}

/** Of many keys one that fails is a warning; only when all fail nothing works. */
function ofKeyed(description: KeyedDescription): Judged {
  const judged = description.pipelines.map((pipeline) => ofPipeline(pipeline));
  const statuses = judged.map(({ status }) => status);
  const allFail = statuses.length > 0 && statuses.every((status) => status === 'fail');
  return {
    parts: judged.flatMap(({ parts }) => parts),
    status: allFail ? 'fail' : softened(worstOf(statuses), false),
  };
}

function ofPipeline(description: PipelineDescription): Judged {
  const { key } = description;
  const parts = description.layers.flatMap((layer): readonly Part[] => {
    if (layer.type === 'pipeline') return ofPipeline(layer as PipelineDescription).parts;
    const part = ofLayer(layer);
    if (part === undefined) return [];
    const componentId = key ?? layer.name ?? layer.type;
    return [{ componentId, componentType: 'component', type: layer.type, ...part }];
  });
  return { parts, status: worstOf(parts.map(({ status }) => status)) };
}

type Seen = Pick<HealthComponent, 'observedValue' | 'observedUnit' | 'status' | 'output'>;

function ofLayer(layer: LayerDescription): Seen | undefined {
  const seen = looks[layer.type]?.(layer.state, layer.options);
  if (seen === undefined || layer.options.mode !== 'observe') return seen;
  return { ...seen, status: softened(seen.status, false) };
}

const looks: Readonly<
  Record<string, (state: JsonRecord, options: JsonRecord) => Seen | undefined>
> = {
  circuitBreaker({ state, nextProbeDelay }) {
    const observedValue = String(state);
    if (state === 'closed') return { observedValue, status: 'pass' };
    if (state === 'half-open')
      return { observedValue, status: 'warn', output: 'it is being probed' };
    if (state === 'isolated') return { observedValue, status: 'fail', output: 'isolated by hand' };
    return {
      observedValue,
      status: 'fail',
      output: `a probe is allowed in ${Math.ceil(Number(nextProbeDelay))} ms`,
    };
  },
  bulkhead: ({ running, waiting }, { maxQueueSize, maxConcurrentCalls }) =>
    crowd(Number(running), Number(waiting), maxConcurrentCalls, maxQueueSize),
  adaptiveLimiter: ({ inFlight, waiting, limit }, { maxQueueSize }) =>
    crowd(Number(inFlight), Number(waiting), limit, maxQueueSize),
  failover({ endpoints }) {
    if (!Array.isArray(endpoints)) return undefined;
    const out = endpoints.filter(isOut);
    const available = endpoints.length - out.length;
    return {
      observedValue: available,
      observedUnit: 'endpoints',
      status: available === 0 ? 'fail' : out.length > 0 ? 'warn' : 'pass',
      ...(out.length > 0 && { output: `${out.length} of ${endpoints.length} are out` }),
    };
  },
};

function crowd(
  running: number,
  waiting: number,
  limit: JsonRecord[string] | undefined,
  maxQueueSize: JsonRecord[string] | undefined,
): Seen {
  const full =
    typeof limit === 'number' && running >= limit && waiting >= Number(maxQueueSize ?? Infinity);
  return {
    observedValue: running,
    observedUnit: 'calls',
    status: full ? 'warn' : 'pass',
    ...(full && { output: `full: ${running} running, ${waiting} waiting` }),
  };
}

function isKeyed(
  description: PipelineDescription | KeyedDescription,
): description is KeyedDescription {
  return description.type === 'keyed';
}

/** An endpoint that is left out, or whose own guards let nothing through. */
function isOut({
  state,
  layers,
}: {
  readonly state: string;
  readonly layers?: LayerDescription[];
}): boolean {
  return state !== 'available' || (layers ?? []).some((layer) => ofLayer(layer)?.status === 'fail');
}
