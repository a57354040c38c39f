/**
 * A span around whatever lies further in: innermost in a pipeline, a span for each attempt. For operations
 * whose client makes no spans of its own; instrumented clients make one for each request anyway.
 */
import { SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import {
  type Call,
  checkOptions,
  type LayerDescription,
  nameRule,
  type OptionRules,
  objectRule,
  SingleLayer,
  type Strategy,
} from '@resil/core';
import { errorTypeOf } from '@resil/telemetry';

/** Options of {@link attemptSpan}. */
export interface AttemptSpanOptions {
  /** Name of the spans and of the layer. @defaultValue `attemptSpanDefaults.name` (`'attempt'`) */
  readonly name?: string | undefined;
  /** What spans are made with. Default: a tracer of the global provider. */
  readonly tracer?: Tracer | undefined;
}

/** Defaults of {@link attemptSpan}. */
export const attemptSpanDefaults: { readonly name: string } = Object.freeze({ name: 'attempt' });

const rules: OptionRules<AttemptSpanOptions> = {
  name: nameRule,
  tracer: objectRule('a tracer', ({ startActiveSpan }) => typeof startActiveSpan === 'function'),
};

/** A span around what lies further in. An instance may be shared. */
export class AttemptSpan extends SingleLayer implements Strategy {
  readonly name: string;
  readonly #tracer: Tracer;
  readonly #counters = { spans: 0 };

  /** @throws {@link InvalidOptionError} */
  constructor(options: AttemptSpanOptions = {}) {
    super();
    checkOptions('attemptSpan', options, rules);
    this.name = options.name ?? attemptSpanDefaults.name;
    this.#tracer = options.tracer ?? trace.getTracer('@resil/opentelemetry');
  }

  describe(): LayerDescription {
    return {
      type: 'attemptSpan',
      name: this.name,
      options: {},
      state: {},
      counters: { ...this.#counters },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    this.#counters.spans++;
    const attributes = {
      'resil.attempt': call.attempt,
      ...(call.name !== undefined && { 'resil.call_name': call.name }),
    };
    return this.#tracer.startActiveSpan(
      this.name,
      { kind: SpanKind.INTERNAL, attributes },
      async (span) => {
        try {
          return await next(call);
        } catch (error) {
          // No message and no stack: a client's errors hold headers, parameters and values.
          span.setAttribute('error.type', errorTypeOf(error));
          span.setStatus({ code: SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      },
    );
  }
}

/**
 * A span for each attempt, if it stands innermost.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { pipeline, retry } from '@resil/core';
 *
 * const quotes = pipeline('quotes', retry({ maxAttempts: 3 }), attemptSpan({ name: 'quote' }));
 * await quotes.execute(async () => 'answer');
 * ```
 */
export function attemptSpan(options: AttemptSpanOptions = {}): AttemptSpan {
  return new AttemptSpan(options);
}
