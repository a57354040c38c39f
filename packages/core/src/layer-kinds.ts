/** What is what among layers, told by their shape, and what stands for several of them. */
import type { CompositeLayer, Guard, Layer, OwnLayer, Strategy, TimeLimitLayer } from './layer.js';

/** Whether a value can stand in a pipeline. */
export function isLayer(value: unknown): value is Layer {
  if (typeof value !== 'object' || value === null) return false;
  return (
    isComposite(value as Layer) ||
    isGuard(value as Layer) ||
    typeof (value as Strategy).run === 'function'
  );
}

/** Whether a layer stands for others. */
export function isComposite(layer: Layer): layer is CompositeLayer {
  return Array.isArray((layer as CompositeLayer).layers);
}

/** Whether a layer is a guard. */
export function isGuard(layer: Layer): layer is Guard {
  return (
    typeof (layer as Guard).enter === 'function' && typeof (layer as Guard).leave === 'function'
  );
}

/** Whether a layer is a timeout. */
export function isTimeLimit(layer: object): layer is TimeLimitLayer {
  return (layer as TimeLimitLayer).timeLimit === true;
}

/** A layer without those that its options bring along. */
class Alone implements CompositeLayer {
  readonly name: string;
  readonly layers: readonly (Guard | Strategy)[];

  constructor(layer: Guard | Strategy) {
    this.name = layer.name;
    this.layers = [layer];
  }
}

/** The layer itself, without what its options bring along. */
export function alone(layer: Guard | Strategy): Layer {
  return isComposite(layer) ? new Alone(layer) : layer;
}

/** The guards and strategies that layers stand for. */
export function leavesOf(layers: readonly Layer[]): (Guard | Strategy)[] {
  return layers.flatMap((layer) => {
    if (!isComposite(layer)) return layer;
    if (layer instanceof Alone) return layer.layers;
    // A pattern that brings another along names itself among its layers.
    return layer.layers.flatMap((part) =>
      part === layer ? (part as Layer as Guard | Strategy) : leavesOf([part]),
    );
  });
}

/** As `leavesOf`, with the layers that strategies send calls through by themselves. */
export function everyLeafOf(layers: readonly Layer[]): (Guard | Strategy)[] {
  return leavesOf(layers).flatMap((layer) => [
    layer,
    ...everyLeafOf((layer as OwnLayer).within ?? []),
  ]);
}
