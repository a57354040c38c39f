/** What makes every pattern usable alone: it runs calls through a pipeline of itself. */
import type { Call, CallOptions } from './call.js';
import type { LayerDescription } from './description.js';
import type { ResilienceListener } from './events.js';
import type { Layer } from './layer.js';
import { type Admission, Pipeline, type WrapOptions } from './pipeline.js';

/** A pattern that can stand in a pipeline, or be used alone. */
export abstract class SingleLayer {
  abstract readonly name: string;

  /** Its options, live state and counters as JSON. See {@link Pipeline.describe}. */
  abstract describe(): LayerDescription;

  #pipeline: Pipeline | undefined;

  /** Runs `operation` through this layer alone. See {@link Pipeline.execute}. */
  execute<T>(operation: (call: Call) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return this.#alone().execute(operation, options);
  }

  /** The function with this layer around it. See {@link Pipeline.wrap}. */
  wrap<This, Args extends readonly unknown[], T>(
    fn: (this: This, ...args: Args) => T,
    options?: WrapOptions<Args>,
  ): (this: This, ...args: Args) => Promise<Awaited<T>> {
    return this.#alone().wrap(fn, options);
  }

  /** Lets a call in through this layer alone. See {@link Pipeline.admit}. */
  admit(options?: CallOptions): Promise<Admission> {
    return this.#alone().admit(options);
  }

  /** Hears the calls made through this layer alone, and what happens to it outside of calls. */
  on(listener: ResilienceListener): () => void {
    return this.#alone().on(listener);
  }

  #alone(): Pipeline {
    this.#pipeline ??= new Pipeline({ name: this.name }, [this as unknown as Layer]);
    return this.#pipeline;
  }
}
