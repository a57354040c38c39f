/**
 * The ways through one pipeline, by kind of call:
 *
 * - `unary`: the pipeline as it is.
 * - `serverStream`: all of it until the first message, without a hedge; guards hold until the stream
 *   ends.
 * - `streaming`: for streams of the client's, guards alone. What was streamed can't be sent again, and
 *   how long it takes is up to the caller.
 */
import {
  type Call,
  type CircuitBreaker,
  type Guard,
  Hedge,
  type Pipeline,
  type Strategy,
} from '@resil/core';
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

/** The ways through `pipeline`, made when it is first used. */
export function lanesOf(pipeline: Pipeline): Lanes {
  let lanes = known.get(pipeline);
  if (lanes === undefined) {
    const guards = new Map<Guard, StreamGuard>();
    const breakers: CircuitBreaker[] = [];
    const serverStream = pipeline.narrow((layer) => {
      if (isBreaker(layer)) breakers.push(layer);
      if (!isGuard(layer)) return !(layer instanceof Hedge);
      const guard = new StreamGuard(layer, progressOf);
      guards.set(layer, guard);
      return guard;
    });
    const streaming = pipeline.narrow((layer) => guards.get(layer as Guard) ?? false);
    lanes = { unary: pipeline, serverStream, streaming, breakers };
    known.set(pipeline, lanes);
  }
  return lanes;
}

/** The call's attributes are those of a guarded stream: no other call comes this way. */
function progressOf(call: Call): StreamProgress {
  return call.attributes.grpc as unknown as StreamProgress;
}

function isGuard(layer: Guard | Strategy): layer is Guard {
  return 'enter' in layer && 'leave' in layer;
}

function isBreaker(layer: Guard | Strategy): layer is CircuitBreaker {
  return 'isolate' in layer && 'reset' in layer && 'state' in layer;
}
