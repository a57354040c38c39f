/** An endpoint of a failover, the layers that lead to it, and what is going on there. */
import type { CallState } from './call-state.js';
import type { ResolvedEndpoint } from './endpoint.js';
import { slowStartShare } from './endpoint-choice.js';
import type { Stage } from './guarded-run.js';
import type { Guard, Layer, Strategy } from './layer.js';
import { narrowed } from './pipeline.js';
import { compile } from './stages.js';

/** Layers that lead to an endpoint, as compiled for the pipelines that calls come from. */
export class Way {
  readonly layers: readonly Layer[];
  readonly #stages = new WeakMap<CallState['scope'], Stage>();

  constructor(layers: readonly Layer[]) {
    this.layers = layers;
  }

  /** The way with some of its layers left out. */
  narrow(keep: (layer: Guard | Strategy) => boolean | Layer): Way {
    return new Way(narrowed(this.layers, keep));
  }

  stageFor(scope: CallState['scope'], innermost: Stage): Stage {
    if (this.layers.length === 0) return innermost;
    let stage = this.#stages.get(scope);
    if (stage === undefined) {
      stage = compile(this.layers, scope, innermost);
      this.#stages.set(scope, stage);
    }
    return stage;
  }
}

/** How an endpoint that returns gets back to its full weight. */
export interface SlowStart {
  readonly duration: number;
  readonly ratio: number;
}

/** An endpoint and what is going on there. */
export class Place<Target> {
  readonly endpoint: ResolvedEndpoint<Target>;
  readonly index: number;
  readonly way: Way;
  running: number = 0;
  /** When it last came back; long ago for one that was never away. */
  returnedAt: number = -Infinity;
  readonly #slowStart: SlowStart;

  constructor(
    endpoint: ResolvedEndpoint<Target>,
    index: number,
    layers: readonly Layer[],
    slowStart: SlowStart,
  ) {
    this.endpoint = endpoint;
    this.index = index;
    this.way = new Way(layers);
    this.#slowStart = slowStart;
  }

  weightAt(now: number): number {
    const { duration, ratio } = this.#slowStart;
    return this.endpoint.weight * slowStartShare(now - this.returnedAt, duration, ratio);
  }
}
