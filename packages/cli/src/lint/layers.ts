/** Reads the layers of an inspected pipeline. */
import type { LayerDescription } from '@resil/core';
import type { InspectedPipeline } from '../inspection.js';

/** A layer, and how far in it stands. */
export interface Placed {
  readonly layer: LayerDescription;
  readonly index: number;
}

/** The layers of a kind, outermost first. */
export function layersOf({ layers }: InspectedPipeline, ...types: readonly string[]): Placed[] {
  return layers
    .map((layer, index) => ({ layer, index }))
    .filter(({ layer }) => types.includes(layer.type));
}

/** Whether there is a layer of a kind. */
export function has(pipeline: InspectedPipeline, ...types: readonly string[]): boolean {
  return layersOf(pipeline, ...types).length > 0;
}

/** An option that is a number; `null` stands for `Infinity`, and `undefined` comes out for anything else. */
export function numberOf(layer: LayerDescription, option: string): number | undefined {
  const value = layer.options[option];
  if (value === null) return Infinity;
  return typeof value === 'number' ? value : undefined;
}

/** A limit of time, and how far in it stands. */
export interface Limit {
  readonly name: string;
  readonly duration: number;
  readonly index: number;
}

/** The limits of time, outermost first. */
export function limitsOf(pipeline: InspectedPipeline): Limit[] {
  return layersOf(pipeline, 'timeout').map(({ layer, index }) => ({
    name: layer.name ?? 'timeout',
    duration: numberOf(layer, 'duration') ?? Infinity,
    index,
  }));
}

/** The shortest limit outside of a place; `Infinity` without one. */
export function limitOutside(pipeline: InspectedPipeline, index: number): number {
  const outer = limitsOf(pipeline).filter((limit) => limit.index < index);
  return Math.min(Infinity, ...outer.map(({ duration }) => duration));
}

/** The shortest limit inside of a place; `Infinity` without one. */
export function limitInside(pipeline: InspectedPipeline, index: number): number {
  const inner = limitsOf(pipeline).filter((limit) => limit.index > index);
  return Math.min(Infinity, ...inner.map(({ duration }) => duration));
}

/** What repeats calls. */
export interface Repeater {
  /** `retry 'retry'`, `kafkajs itself`. */
  readonly what: string;
  /** Attempts for each one that reaches it. */
  readonly attempts: number;
  /** What keeps it within bounds while the dependency is down; `undefined` if nothing does. */
  readonly bound: 'budget' | 'breaker' | undefined;
  readonly kind: 'retry' | 'hedge' | 'client';
}

/** All that repeats a call on its way, outermost first, the client underneath last. */
export function repeatersOf(pipeline: InspectedPipeline): Repeater[] {
  const repeaters = layersOf(pipeline, 'retry', 'hedge').map(({ layer, index }): Repeater => {
    const kind = layer.type === 'retry' ? 'retry' : 'hedge';
    const attempts =
      kind === 'retry'
        ? (numberOf(layer, 'maxAttempts') ?? 1)
        : 1 + (numberOf(layer, 'maxHedges') ?? 0);
    const bound = layer.state.budget !== false ? 'budget' : hasBreakerInside(pipeline, index);
    return { what: `${kind} '${layer.name ?? kind}'`, attempts, bound, kind };
  });
  const { client, innerAttempts } = pipeline.dependency;
  if (innerAttempts !== null && innerAttempts > 1) {
    const what = `${client ?? 'the client'} itself`;
    repeaters.push({ what, attempts: innerAttempts, bound: undefined, kind: 'client' });
  }
  return repeaters.filter(({ attempts }) => attempts > 1);
}

/** An open circuit takes the attempts of a retry outside of it off the dependency. */
function hasBreakerInside(pipeline: InspectedPipeline, index: number): 'breaker' | undefined {
  const inside = layersOf(pipeline, 'circuitBreaker').some(
    (breaker) => breaker.index > index && breaker.layer.options.mode !== 'observe',
  );
  return inside ? 'breaker' : undefined;
}

/** Attempts multiplied. */
export function product(repeaters: readonly Pick<Repeater, 'attempts'>[]): number {
  return repeaters.reduce((attempts, repeater) => attempts * repeater.attempts, 1);
}

/** `3 of retry 'retry' × 6 of kafkajs itself`. */
export function productText(repeaters: readonly Repeater[]): string {
  return repeaters
    .map(({ what, attempts }) => `${attempts === Infinity ? '∞' : attempts} of ${what}`)
    .join(' × ');
}

/** A number for JSON. */
export function figure(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
