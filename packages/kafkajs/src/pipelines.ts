/** The pipelines of a client, one per key. */
import { type Keyed, keyed, type Pipeline, pipeline, standard } from '@resil/core';
import { classify } from './classify.js';
import { kafkaDefaults, type ResolvedKafkaOptions } from './options.js';

/** Gives the pipelines of a key. */
export class Pipelines {
  readonly #options: ResolvedKafkaOptions;
  readonly #own: Pipeline;
  readonly #others: Keyed;

  /** Builds the client's own, so that bad options are refused at once. */
  constructor(options: ResolvedKafkaOptions) {
    this.#options = options;
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

  #create(key: string): Pipeline {
    const { name, clock, pipeline: custom, standard: parts } = this.#options;
    const judge = parts.classify ?? classify;
    if (custom === undefined) return standard({ ...parts, key, classify: judge });
    const { dependency } = parts;
    return pipeline({ name, key, clock, classify: judge, dependency }, custom(key));
  }
}
