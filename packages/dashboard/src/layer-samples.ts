/** What of a pipeline's layers is shown: read from what each layer tells of itself in `describe()`. */
import type { CircuitState, JsonRecord, JsonValue, LayerDescription } from '@resil/core';
import { shortened } from './event-digest.js';
import type { BreakerSample, BudgetSample, LimitSample } from './protocol.js';

/** The layers of a pipeline, as far as they are shown. */
export interface LayerSamples {
  readonly state: CircuitState | null;
  readonly waiting: number;
  /** Extra attempts since the pipeline was made. */
  readonly retries: number;
  readonly breakers: readonly BreakerSample[];
  readonly limits: readonly LimitSample[];
  readonly budgets: readonly BudgetSample[];
}

/** Breakers, limits and budgets of a pipeline that are shown at most. */
export const MAX_PARTS = 100;

/** How bad a state is; the order of the series `state`. */
export const circuitStates: readonly CircuitState[] = ['closed', 'half-open', 'open', 'isolated'];

const NO_LIMIT = {
  running: null,
  limit: null,
  waiting: null,
  maxWaiting: null,
  rejectionRatio: null,
} as const;

/** `now` is on the scale of 1970. */
export function sampleLayers(layers: readonly LayerDescription[], now: number): LayerSamples {
  const breakers: BreakerSample[] = [];
  const limits: LimitSample[] = [];
  const budgets = new Map<string, BudgetSample>();
  let retries = 0;
  for (const layer of layers) {
    if (layer.type === 'circuitBreaker') breakers.push(breakerOf(layer, breakers.length, now));
    const limit = limitOf(layer);
    if (limit !== undefined) limits.push(limit);
    const budget = budgetOf(layer.state.budget);
    // One that is shared by several layers is shown once.
    if (budget !== undefined) budgets.set(`${budget.type} ${budget.name}`, budget);
    if (layer.type === 'retry') retries += layer.counters.retries ?? 0;
  }
  return {
    state: worstOf(breakers.map(({ state }) => state)),
    waiting: limits.reduce((sum, { waiting }) => sum + (waiting ?? 0), 0),
    retries,
    breakers: breakers.slice(0, MAX_PARTS),
    limits: limits.slice(0, MAX_PARTS),
    budgets: [...budgets.values()].slice(0, MAX_PARTS),
  };
}

/** Every layer of a description, those of pipelines inside it included. */
export function flatLayers(layers: readonly LayerDescription[]): readonly LayerDescription[] {
  return layers.flatMap((layer) =>
    layer.type === 'pipeline'
      ? flatLayers((layer as LayerDescription & { layers: readonly LayerDescription[] }).layers)
      : [layer],
  );
}

/** The worst of some states; `null` of none. */
export function worstOf(states: readonly (CircuitState | null)[]): CircuitState | null {
  let worst: CircuitState | null = null;
  for (const state of states) {
    if (state === null) continue;
    if (worst === null || circuitStates.indexOf(state) > circuitStates.indexOf(worst))
      worst = state;
  }
  return worst;
}

function breakerOf(layer: LayerDescription, index: number, now: number): BreakerSample {
  const { state, stateDuration, openings, nextProbeDelay } = layer.state;
  const shown = circuitStates.includes(state as CircuitState) ? (state as CircuitState) : 'closed';
  const delay = numberOf(nextProbeDelay);
  return {
    index,
    name: shortened(layer.name ?? layer.type),
    state: shown,
    since: Math.round(now - (numberOf(stateDuration) ?? 0)),
    openings: numberOf(openings) ?? 0,
    nextProbeAt: shown === 'open' && delay !== null ? Math.round(now + delay) : null,
  };
}

function limitOf({ type, name, options, state }: LayerDescription): LimitSample | undefined {
  const common = { ...NO_LIMIT, type, name: shortened(name ?? type) };
  const maxWaiting = numberOf(options.maxQueueSize);
  const waiting = numberOf(state.waiting);
  switch (type) {
    case 'bulkhead': {
      const limit = numberOf(options.maxConcurrentCalls);
      return { ...common, running: numberOf(state.running), limit, waiting, maxWaiting };
    }
    case 'adaptiveLimiter': {
      const limit = numberOf(state.limit);
      return { ...common, running: numberOf(state.inFlight), limit, waiting, maxWaiting };
    }
    case 'rateLimiter':
      return { ...common, limit: wholeOf(state.available), waiting, maxWaiting };
    case 'throttle':
      return { ...common, rejectionRatio: roundedOf(numberOf(state.rejectionRatio)) };
    default:
      return undefined;
  }
}

function budgetOf(value: JsonValue | undefined): BudgetSample | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { type, name, state, counters } = value as JsonRecord;
  const { balance, tokens } = (state ?? {}) as JsonRecord;
  const left = roundedOf(numberOf(balance ?? tokens));
  if (left === null) return undefined;
  const refused = numberOf((counters as JsonRecord | undefined)?.refused) ?? 0;
  return { type: shortened(String(type)), name: shortened(String(name ?? type)), left, refused };
}

function numberOf(value: JsonValue | undefined): number | null {
  return typeof value === 'number' ? value : null;
}

function wholeOf(value: JsonValue | undefined): number | null {
  return typeof value === 'number' ? Math.floor(value) : null;
}

function roundedOf(value: number | null): number | null {
  return value === null ? null : Math.round(value * 100) / 100;
}
