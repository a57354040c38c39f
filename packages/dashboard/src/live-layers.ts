/** The layers of a pipeline as they are, to be looked at and, if allowed, switched. */
import type { CircuitBreaker, Layer, LayerDescription, Pipeline } from '@resil/core';
import { report } from '@resil/core';

/** What a layer may have beside its shape; told by shape, so that another copy of the core is served too. */
interface LiveLayer {
  readonly name?: string | undefined;
  /** Layers that it stands for. */
  readonly layers?: readonly Layer[];
  /** Layers that it sends calls through by itself. */
  readonly within?: readonly Layer[];
  describe?(): LayerDescription;
}

/** What a person can do to a circuit. */
export type Switchable = Pick<CircuitBreaker, 'name' | 'isolate' | 'reset'>;

/** Every layer of a pipeline, those of pipelines and endpoints inside it included, once. */
export function liveLayers(pipeline: Pipeline): readonly Layer[] {
  const found = new Set<Layer>();
  for (const layer of pipeline.layers) collect(layer, found);
  return [...found];
}

/** What each of them tells; nothing of one that can't. */
export function describeLive(pipeline: Pipeline): readonly LayerDescription[] {
  return liveLayers(pipeline).flatMap((layer) => {
    const live = layer as LiveLayer;
    if (typeof live.describe !== 'function') return [];
    try {
      return [live.describe()];
    } catch (error) {
      report(error, `describe of '${live.name}'`);
      return [];
    }
  });
}

/** Its circuit breakers, in the order of their descriptions. */
export function breakersOf(pipeline: Pipeline): readonly Switchable[] {
  return liveLayers(pipeline).filter(isBreaker) as unknown as readonly Switchable[];
}

function collect(layer: Layer, found: Set<Layer>): void {
  const { layers, within } = layer as LiveLayer;
  let itself = layers === undefined;
  for (const part of layers ?? []) {
    // A pattern that brings another along names itself among its layers.
    if (part === layer) itself = true;
    else collect(part, found);
  }
  if (itself) found.add(layer);
  for (const part of within ?? []) collect(part, found);
}

function isBreaker(layer: Layer): boolean {
  const { isolate, reset } = layer as Partial<Switchable>;
  return (
    typeof isolate === 'function' &&
    typeof reset === 'function' &&
    typeof (layer as LiveLayer).describe === 'function'
  );
}
