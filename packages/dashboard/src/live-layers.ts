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

/** What the layers tell that a pipeline's own `describe()` leaves out: those of endpoints. */
export function describeWithin(pipeline: Pipeline): readonly LayerDescription[] {
  return partsOf(pipeline).within.flatMap((layer) => {
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

/** Its circuit breakers, in the order of its description, then those of {@link describeWithin}. */
export function breakersOf(pipeline: Pipeline): readonly Switchable[] {
  const { leaves, within } = partsOf(pipeline);
  return [...leaves, ...within].filter(isBreaker) as unknown as readonly Switchable[];
}

/** Layers that calls go through one after the other, and those that one of them chooses from. */
function partsOf({ layers }: Pipeline): {
  readonly leaves: readonly Layer[];
  readonly within: readonly Layer[];
} {
  const leaves = layers.flatMap(leavesOf);
  return { leaves, within: [...new Set(leaves.flatMap(withinOf))] };
}

function leavesOf(layer: Layer): readonly Layer[] {
  const { layers } = layer as LiveLayer;
  if (layers === undefined) return [layer];
  // A pattern that brings another along names itself among its layers.
  return layers.flatMap((part) => (part === layer ? [layer] : leavesOf(part)));
}

function withinOf(layer: Layer): readonly Layer[] {
  const within = ((layer as LiveLayer).within ?? []).flatMap(leavesOf);
  return within.flatMap((part) => [part, ...withinOf(part)]);
}

function isBreaker(layer: Layer): boolean {
  const { isolate, reset } = layer as Partial<Switchable>;
  return (
    typeof isolate === 'function' &&
    typeof reset === 'function' &&
    typeof (layer as LiveLayer).describe === 'function'
  );
}
