/**
 * The ways through one pipeline, by kind of call:
 *
 * - `unary`: the pipeline as it is, with places where a cancellation comes in.
 * - `serverStream`: all of it until the first message; guards hold until the stream ends.
 * - `streaming`: for streams of the client's, guards alone. What was streamed can't be sent again, and
 *   how long it takes is up to the caller.
 */
import {
  type Call,
  type CircuitBreaker,
  type Guard,
  type Layer,
  Pipeline,
  Timeout,
} from '@resil/core';
import { CancellationPoint } from './cancellation.js';
import { StreamGuard, type StreamProgress } from './stream-guard.js';

/** The ways through one pipeline. */
export interface Lanes {
  readonly unary: Pipeline;
  readonly serverStream: Pipeline;
  readonly streaming: Pipeline;
  /** The circuit breakers in it. */
  readonly breakers: readonly CircuitBreaker[];
}

const known = new WeakMap<Pipeline, Lanes>();
const cancellationPoint = new CancellationPoint();

/** The ways through `pipeline`, made when it is first used. */
export function lanesOf(pipeline: Pipeline): Lanes {
  let lanes = known.get(pipeline);
  if (lanes === undefined) {
    const leaves = leavesOf(pipeline.layers);
    const guarded = leaves.map((layer) =>
      isGuard(layer) ? new StreamGuard(layer, progressOf) : layer,
    );
    const guards = guarded.filter((layer) => layer instanceof StreamGuard);
    lanes = {
      unary: variant(pipeline, leaves),
      serverStream: variant(pipeline, guarded),
      streaming: variant(pipeline, guards),
      breakers: leaves.filter(isBreaker),
    };
    known.set(pipeline, lanes);
  }
  return lanes;
}

/** The call's attributes are those of a guarded stream: no other call comes this way. */
function progressOf(call: Call): StreamProgress {
  return call.attributes.grpc as unknown as StreamProgress;
}

/** Other layers in the same scope: the same name, key, `classify`, clock and listeners; and ways in for a cancellation. */
function variant(pipeline: Pipeline, leaves: readonly Layer[]): Pipeline {
  const layers = leaves.flatMap((layer, index) => {
    const outer = leaves[index - 1];
    const becomesAnother = outer === undefined || outer instanceof Timeout;
    return becomesAnother && !(layer instanceof Timeout) ? [cancellationPoint, layer] : [layer];
  });
  // What narrow() does, which can leave layers out but not put others in their place.
  const { name, key, classify, emitter } = (pipeline as unknown as Scoped).scope;
  const Variant = Pipeline as unknown as new (
    options: object,
    layers: readonly Layer[],
    emitter: unknown,
  ) => Pipeline;
  return new Variant({ name, key, classify, clock: pipeline.clock }, layers, emitter);
}

interface Scoped {
  readonly scope: { name: unknown; key: unknown; classify: unknown; emitter: unknown };
}

/** The guards and strategies that layers stand for, outermost first. */
function leavesOf(layers: readonly Layer[]): Layer[] {
  return layers.flatMap((layer) =>
    'layers' in layer
      ? layer.layers.flatMap((part) => (part === layer ? [part] : leavesOf([part])))
      : [layer],
  );
}

function isGuard(layer: Layer): layer is Guard {
  return 'enter' in layer && 'leave' in layer;
}

function isBreaker(layer: Layer): layer is CircuitBreaker & Layer {
  return 'isolate' in layer && 'reset' in layer && 'state' in layer;
}
