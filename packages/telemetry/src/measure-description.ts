/** What a description says, as measurements: everything that has a value at a moment. */
import type {
  EndpointStatus,
  JsonRecord,
  JsonValue,
  KeyedDescription,
  LayerDescription,
  PipelineDescription,
} from '@resil/core';
import type { CircuitStateName, CircuitTimes } from './circuit-times.js';
import type { Place, Recorder } from './recorder.js';

const ENDPOINT_STATES: readonly EndpointStatus['state'][] = ['available', 'ejected', 'unhealthy'];
const STATES: readonly CircuitStateName[] = ['closed', 'open', 'half-open', 'isolated'];

/** Adds what a pipeline, or all of a set of keyed ones, says of itself. */
export function measureDescription(
  description: PipelineDescription | KeyedDescription,
  recorder: Recorder,
  circuits: CircuitTimes,
): void {
  if (isKeyed(description)) {
    for (const pipeline of description.pipelines) {
      measurePipeline(pipeline, pipeline.key, recorder, circuits);
    }
  } else measurePipeline(description, description.key, recorder, circuits);
  const { dependency } = description;
  if (dependency === null) return;
  const names = new Set([description.name]);
  if (isKeyed(description)) {
    if (description.pipelines.length > 0) names.clear();
    for (const { name } of description.pipelines) names.add(name);
  }
  for (const pipeline of names) {
    const { client, target, critical = false } = dependency;
    const values = [text(client), text(target), String(critical)];
    recorder.show('dependencyInfo', { pipeline, key: undefined }, values, 1);
  }
}

function measurePipeline(
  { name, state, layers }: PipelineDescription,
  key: string | null,
  recorder: Recorder,
  circuits: CircuitTimes,
): void {
  const place = { pipeline: name, key };
  recorder.show('callsInFlight', place, [], state.inFlight);
  measureLayers(layers, place, recorder, circuits);
}

function measureLayers(
  layers: readonly LayerDescription[],
  place: Place,
  recorder: Recorder,
  circuits: CircuitTimes,
): void {
  for (const layer of layers) {
    if (isPipeline(layer))
      measurePipeline(layer, layer.key ?? place.key ?? null, recorder, circuits);
    else measures[layer.type]?.(layer, place, recorder, circuits);
  }
}

type Measure = (
  layer: LayerDescription,
  place: Place,
  recorder: Recorder,
  circuits: CircuitTimes,
) => void;

const measures: Readonly<Record<string, Measure | undefined>> = {
  circuitBreaker: ({ name, state }, place, recorder, circuits) => {
    const strategy = name ?? undefined;
    for (const one of STATES) {
      recorder.show('circuitState', place, [strategy, one], state.state === one ? 1 : 0);
    }
    const { state: current, stateDuration } = state;
    circuits.described(place, name ?? '', current as CircuitStateName, Number(stateDuration));
  },
  bulkhead: ({ name, options, state }, place, recorder) => {
    const values = ['bulkhead', name ?? undefined];
    show(recorder, 'concurrencyInUse', place, values, state.running);
    show(recorder, 'concurrencyLimit', place, values, options.maxConcurrentCalls);
    show(recorder, 'queueLength', place, values, state.waiting);
    show(recorder, 'queueLimit', place, values, options.maxQueueSize);
  },
  adaptiveLimiter: ({ name, options, state }, place, recorder) => {
    const values = ['adaptive_limiter', name ?? undefined];
    show(recorder, 'concurrencyInUse', place, values, state.inFlight);
    show(recorder, 'concurrencyLimit', place, values, state.limit);
    show(recorder, 'queueLength', place, values, state.waiting);
    show(recorder, 'queueLimit', place, values, options.maxQueueSize);
  },
  rateLimiter: ({ name, options, state }, place, recorder) => {
    const values = ['rate_limiter', name ?? undefined];
    show(recorder, 'queueLength', place, values, state.waiting);
    show(recorder, 'queueLimit', place, values, options.maxQueueSize);
    show(recorder, 'rateAvailable', place, [name ?? undefined], state.available);
  },
  throttle: ({ name, state }, place, recorder) =>
    show(recorder, 'throttleRatio', place, [name ?? undefined], state.rejectionRatio),
  retry: ({ state }, place, recorder) => showBudget(state.budget, place, recorder),
  hedge: ({ state }, place, recorder) => showBudget(state.budget, place, recorder),
  // Its events are those of a bulkhead, of threads.
  workerPool: ({ name, options, state }, place, recorder) => {
    const values = ['bulkhead', name ?? undefined];
    show(recorder, 'concurrencyInUse', place, values, state.running);
    show(recorder, 'concurrencyLimit', place, values, options.maxThreads);
    show(recorder, 'queueLength', place, values, state.waiting);
    show(recorder, 'queueLimit', place, values, options.maxQueueSize);
  },
  failover: ({ name, state }, place, recorder, circuits) => {
    if (!Array.isArray(state.endpoints)) return;
    for (const endpoint of state.endpoints as unknown as readonly DescribedEndpoint[]) {
      const values = [name ?? undefined, endpoint.name];
      for (const one of ENDPOINT_STATES) {
        recorder.show('endpointState', place, [...values, one], endpoint.state === one ? 1 : 0);
      }
      recorder.show('endpointInFlight', place, values, endpoint.running);
      measureLayers(endpoint.layers, place, recorder, circuits);
    }
  },
};

/** An endpoint of a failover, with what stands before it alone. */
type DescribedEndpoint = EndpointStatus & { readonly layers: readonly LayerDescription[] };

/** Whatever of it is not a number is not known, or endless. */
function show(
  recorder: Recorder,
  id: Parameters<Recorder['show']>[0],
  place: Place,
  values: readonly (string | undefined)[],
  value: JsonValue | undefined,
): void {
  if (typeof value === 'number') recorder.show(id, place, values, value);
}

function showBudget(budget: JsonValue | undefined, place: Place, recorder: Recorder): void {
  if (typeof budget !== 'object' || budget === null || Array.isArray(budget)) return;
  const { name, state } = budget as { name?: JsonValue; state?: JsonRecord };
  show(recorder, 'budgetLeft', place, [text(name)], state?.balance ?? state?.tokens);
}

function isKeyed(
  description: PipelineDescription | KeyedDescription,
): description is KeyedDescription {
  return description.type === 'keyed';
}

function isPipeline(layer: LayerDescription): layer is PipelineDescription {
  return layer.type === 'pipeline';
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
