/**
 * Requests that allow themselves more time than the standard limits: a report with `timeout: 60_000`.
 * Where the limits are ours by default, and nobody asked for them, they give way to such a request. It
 * goes through the same breaker, bulkhead and budget as all others, between longer timeouts.
 */
import { type Layer, type Pipeline, Timeout, timeout } from '@resil/core';

/** How much longer than axios' own timeout an attempt may take, so that axios' own error comes first. */
const OWN_TIMEOUT_MARGIN = 100;

/** How many different timeouts are remembered per pipeline; forgotten all at once beyond. */
const MAX_REMEMBERED = 50;

/** The limit of an attempt whose request has this `timeout`; 0 if it has none. */
export function limitOf(requestTimeout: number | undefined): number {
  return requestTimeout ? requestTimeout + OWN_TIMEOUT_MARGIN : 0;
}

/** Makes room for requests whose own timeout is longer than an attempt may take. */
export class LongRequests {
  readonly #attemptTimeout: number;
  readonly #totalTimeout: number;
  readonly #pipelineOf: (key: string, layers: readonly Layer[]) => Pipeline;
  readonly #stretched = new WeakMap<Pipeline, Map<number, Pipeline>>();

  /**
   * @param attemptTimeout What an attempt may take in the pipelines that are stretched.
   * @param totalTimeout What no call may exceed; `Infinity` if the user set no limit.
   * @param pipelineOf Makes a pipeline of layers.
   */
  constructor(
    attemptTimeout: number,
    totalTimeout: number,
    pipelineOf: (key: string, layers: readonly Layer[]) => Pipeline,
  ) {
    this.#attemptTimeout = attemptTimeout;
    this.#totalTimeout = totalTimeout;
    this.#pipelineOf = pipelineOf;
  }

  /** The pipeline for a request with this `timeout`: `usual`, that of its key, or one between longer timeouts. */
  pipelineFor(usual: Pipeline, key: string, requestTimeout: number | undefined): Pipeline {
    const limit = Math.min(limitOf(requestTimeout), this.#totalTimeout);
    if (limit <= this.#attemptTimeout) return usual;
    let known = this.#stretched.get(usual);
    if (known === undefined || known.size >= MAX_REMEMBERED) {
      known = new Map();
      this.#stretched.set(usual, known);
    }
    let stretched = known.get(limit);
    if (stretched === undefined) {
      stretched = this.#pipelineOf(key, stretchedTo(limit, usual.layers));
      known.set(limit, stretched);
    }
    return stretched;
  }
}

/** The same layers, in which no timeout ends before `limit`. */
function stretchedTo(limit: number, layers: readonly Layer[]): Layer[] {
  return layers.map((layer) =>
    layer instanceof Timeout && layer.duration < limit
      ? timeout({ name: layer.name, duration: limit })
      : layer,
  );
}
