/** What the types promise; checked by the compiler. */
import { expectTypeOf } from 'vitest';
import {
  type Admission,
  type AttemptBudget,
  bulkhead,
  type Call,
  type CallAttributes,
  type CallOptions,
  type CircuitBreaker,
  type CircuitSnapshot,
  type CircuitState,
  type Classify,
  circuitBreaker,
  type Endpoint,
  failover,
  type Guard,
  isRefusal,
  isResilienceError,
  type JsonValue,
  jsonRecord,
  type KeyedDescription,
  keyed,
  type Layer,
  type LayerDescription,
  type Outcome,
  observe,
  type Pipeline,
  type PipelineDescription,
  pipeline,
  type ResilienceError,
  type ResilienceEvent,
  type Retry,
  retry,
  retryBudget,
  type Strategy,
  standard,
  timeout,
  tokenBudget,
  type Verdict,
} from '../src/index.js';

interface Quote {
  readonly price: number;
}

declare function fetchQuote(symbol: string, options?: { readonly fresh: boolean }): Promise<Quote>;
declare function generic<T>(value: T): Promise<T[]>;
declare function withThis(this: { readonly base: string }, path: string): string;

declare module '../src/index.js' {
  interface CallAttributes {
    readonly testRoute?: string;
  }
}

export async function types(): Promise<void> {
  const calls = pipeline('quotes', timeout(), retry(), circuitBreaker(), bulkhead());

  // execute gives what the operation gives, awaited.
  expectTypeOf(calls.execute(() => 1)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(calls.execute(async () => 'text')).toEqualTypeOf<Promise<string>>();
  expectTypeOf(calls.execute(() => {})).toEqualTypeOf<Promise<void>>();
  expectTypeOf(
    calls.execute((): number | Promise<number> => (calls.name === '' ? 1 : Promise.resolve(2))),
  ).toEqualTypeOf<Promise<number>>();
  calls.execute((call) => expectTypeOf(call).toEqualTypeOf<Call>());

  // wrap keeps parameters, optional ones too, the result and generics.
  expectTypeOf(calls.wrap(fetchQuote)).parameters.toEqualTypeOf<
    [symbol: string, options?: { readonly fresh: boolean } | undefined]
  >();
  expectTypeOf(calls.wrap(fetchQuote)('ACME')).toEqualTypeOf<Promise<Quote>>();
  expectTypeOf(calls.wrap((id: number) => id > 1)(1)).toEqualTypeOf<Promise<boolean>>();
  expectTypeOf(await calls.wrap(generic<'a'>)('a')).toEqualTypeOf<'a'[]>();
  calls.wrap(fetchQuote, (symbol, options) => {
    expectTypeOf(symbol).toEqualTypeOf<string>();
    expectTypeOf(options).toEqualTypeOf<{ readonly fresh: boolean } | undefined>();
    return { key: symbol };
  });
  // @ts-expect-error: the parameter is a string
  calls.wrap(fetchQuote)(1);

  // wrap keeps the type of `this`.
  expectTypeOf(calls.wrap(withThis)).thisParameter.toEqualTypeOf<{ readonly base: string }>();
  // @ts-expect-error: `this` is missing
  calls.wrap(withThis)('path');

  // Each pattern alone has the same members.
  expectTypeOf(retry()).toEqualTypeOf<Retry>();
  expectTypeOf(circuitBreaker()).toEqualTypeOf<CircuitBreaker>();
  expectTypeOf(retry().execute(() => 1)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(bulkhead().wrap(fetchQuote)('ACME')).toEqualTypeOf<Promise<Quote>>();
  expectTypeOf(timeout().admit()).toEqualTypeOf<Promise<Admission>>();
  expectTypeOf(circuitBreaker().state).toEqualTypeOf<CircuitState>();
  expectTypeOf(circuitBreaker().snapshot()).toEqualTypeOf<CircuitSnapshot>();
  expectTypeOf(standard()).toEqualTypeOf<Pipeline>();
  expectTypeOf(keyed(() => standard()).for('key')).toEqualTypeOf<Pipeline>();
  expectTypeOf(keyed(() => standard()).execute('key', () => 1)).toEqualTypeOf<Promise<number>>();

  // A pipeline takes a name, options or layers first, and bare kinds from an arrow function.
  pipeline();
  pipeline(timeout());
  pipeline({ classify: () => 'failure' }, timeout());
  pipeline({ classify: ({ ok }) => (ok ? 'success' : { kind: 'failure', repeat: false }) });
  // @ts-expect-error: not an option
  pipeline({ nmae: 'quotes' });
  // @ts-expect-error: not a layer
  pipeline('quotes', { name: 'layer' });
  // @ts-expect-error: not a verdict
  pipeline({ classify: () => 'fine' });

  // Whatever has the shape of a guard or a strategy is a layer.
  const guard: Guard<{ readonly slot: number }> = {
    name: 'own',
    enter: () => ({ slot: 1 }),
    leave(permit, call, outcome) {
      expectTypeOf(permit).toEqualTypeOf<{ readonly slot: number }>();
      expectTypeOf(call).toEqualTypeOf<Call>();
      expectTypeOf(outcome).toEqualTypeOf<Outcome>();
    },
  };
  const strategy: Strategy = {
    name: 'own',
    run: (call, next) => next(call.derive({ attempt: 2 })),
  };
  expectTypeOf(guard).toExtend<Layer>();
  expectTypeOf(strategy).toExtend<Layer>();
  expectTypeOf(calls).toExtend<Layer>();
  pipeline(guard, strategy, calls);

  // Options exclude each other where values do.
  circuitBreaker({ window: { calls: 10 } });
  circuitBreaker({ window: { duration: 10 } });
  // @ts-expect-error: one of the two
  circuitBreaker({ window: { calls: 10, duration: 10 } });
  // @ts-expect-error: not a backoff
  retry({ backoff: 'fibonacci' });
  // @ts-expect-error: not an option
  retry({ retries: 3 });
  retry({ budget: retryBudget() });
  retry({ budget: tokenBudget() });
  retry({ budget: false });
  expectTypeOf(retryBudget()).toExtend<AttemptBudget>();

  // An option may be left out by undefined.
  const missing: number | undefined = undefined as number | undefined;
  timeout({ duration: missing });
  standard({ totalTimeout: missing, retry: false });

  // A description is JSON, and what is in it depends on what was asked.
  expectTypeOf(calls.describe()).toEqualTypeOf<PipelineDescription>();
  expectTypeOf(calls.describe().counters.succeeded).toEqualTypeOf<number>();
  expectTypeOf(calls.describe().layers).toEqualTypeOf<readonly LayerDescription[]>();
  expectTypeOf(retry().describe()).toEqualTypeOf<LayerDescription>();
  expectTypeOf(retryBudget().describe()).toEqualTypeOf<LayerDescription>();
  expectTypeOf(keyed(() => calls).describe().pipelines[0]?.key).toEqualTypeOf<string | undefined>();
  expectTypeOf<LayerDescription>().toExtend<JsonValue>();
  expectTypeOf<PipelineDescription>().toExtend<LayerDescription>();
  expectTypeOf<KeyedDescription>().toExtend<JsonValue>();
  // @ts-expect-error: not JSON
  jsonRecord({}) satisfies { fn: () => void };

  // Errors and events are told apart by code and type.
  const error: unknown = new Error('down');
  if (isResilienceError(error)) expectTypeOf(error).toEqualTypeOf<ResilienceError>();
  if (isRefusal(error)) expectTypeOf(error.retryAfter).toEqualTypeOf<number | undefined>();
  observe((event) => {
    expectTypeOf(event).toEqualTypeOf<ResilienceEvent>();
    if (event.type === 'circuit.opened') expectTypeOf(event.openings).toEqualTypeOf<number>();
    if (event.type === 'retry.exhausted') {
      expectTypeOf(event.reason).toEqualTypeOf<
        'attempts' | 'deadline' | 'retry-after' | 'budget' | 'nested'
      >();
    }
    // @ts-expect-error: not every event has a delay
    event.delay;
  });

  // classify gives a kind or a whole verdict.
  const classify: Classify = (outcome, call) => {
    if (outcome.ok) expectTypeOf(outcome.value).toEqualTypeOf<unknown>();
    else expectTypeOf(outcome.error).toEqualTypeOf<unknown>();
    return call.attempt > 1 ? 'failure' : ({ kind: 'ignored', repeat: true } satisfies Verdict);
  };
  pipeline({ classify });

  // Adapters add typed attributes.
  const attributes: CallAttributes = { testRoute: '/quotes' };
  calls.execute((call) => call.attributes.testRoute, { attributes });
  expectTypeOf<CallOptions['attributes']>().toEqualTypeOf<CallAttributes | undefined>();

  // What a call shows can't be changed.
  calls.execute((call) => {
    // @ts-expect-error: read-only
    call.attempt = 2;
  });
}

// Failover knows the type of its targets, and a string is one.
const hosts = failover({ endpoints: ['eu.example', { target: 'us.example', weight: 2 }] });
declare const someCall: Call;
expectTypeOf(hosts.endpointOf(someCall)).toEqualTypeOf<Endpoint<string> | undefined>();
const clients = failover({
  endpoints: [{ target: new Map<string, number>(), name: 'eu' }],
  rank: ({ target }) => target.size,
});
expectTypeOf(clients.endpointOf(someCall)?.target).toEqualTypeOf<Map<string, number> | undefined>();
// @ts-expect-error a string is no target beside maps
failover<Map<string, number>>({ endpoints: ['eu.example'] });
standard({ failover: { endpoints: [{ target: clients }] } });
