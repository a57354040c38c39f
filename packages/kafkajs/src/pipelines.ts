/** The pipelines of a client, one per key. */
import { Fallback, type Keyed, keyed, type Pipeline, pipeline, Retry, standard } from '@resil/core';
import { classify } from './classify.js';
import { kafkaDefaults, type ResolvedKafkaOptions } from './options.js';

/** Gives the pipelines of a key. */
export class Pipelines {
  readonly #options: ResolvedKafkaOptions;
  readonly #certain: boolean;
  readonly #own: Pipeline;
  readonly #others: Keyed;
  readonly #once = new WeakMap<Pipeline, Pipeline>();
  readonly #wholes = new WeakMap<Pipeline, Pipeline>();

  /** Builds the client's own, so that bad options are refused at once. With `certain`, no fallback answers for what was not done. */
  constructor(options: ResolvedKafkaOptions, certain = false) {
    this.#options = options;
    this.#certain = certain;
    this.#own = this.#create(options.key);
    this.#others = keyed((key) => this.#create(key), {
      name: options.name,
      dependency: options.standard.dependency,
      maxKeys: kafkaDefaults.maxKeys,
      ...(options.clock && { clock: options.clock }),
    });
  }

  /** The pipeline of a key; the client's own if there is none. */
  of(key: string | undefined): Pipeline {
    return key === undefined || key === this.#options.key ? this.#own : this.#others.for(key);
  }

  /** The pipeline for sends to these topics. */
  for(topics: readonly string[], key: string | undefined): Pipeline {
    if (key !== undefined || this.#options.keyBy === 'cluster') return this.of(key);
    const [first] = topics;
    return this.of(topics.every((topic) => topic === first) ? first : undefined);
  }

  /** The same pipeline for what can't be repeated or replaced by itself: a part of a transaction. */
  once(whole: Pipeline): Pipeline {
    let narrowed = this.#once.get(whole);
    if (narrowed === undefined) {
      narrowed = whole.narrow((layer) => !(layer instanceof Retry || layer instanceof Fallback));
      this.#once.set(whole, narrowed);
    }
    return narrowed;
  }

  #create(key: string): Pipeline {
    const { name, clock, pipeline: custom, standard: parts } = this.#options;
    const { dependency } = parts;
    const judge = parts.classify ?? classify;
    const made =
      custom === undefined
        ? standard({ ...parts, key, classify: judge })
        : pipeline({ name, key, clock, classify: judge, dependency }, custom(key));
    if (!this.#certain) return made;
    const certain = made.narrow((layer) => !(layer instanceof Fallback));
    // The whole is the one that `registered` knows, for as long as it is there.
    this.#wholes.set(certain, made);
    return certain;
  }
}
