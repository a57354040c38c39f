/** A pipeline: layers, outermost first. Compiled once into a chain of stages, walked by each call. */
import type { Call, CallOptions } from './call.js';
import {
  type CallState,
  isObserved,
  type Operation,
  publish,
  RootCall,
  type Scope,
} from './call-state.js';
import { CallTally, failureOf } from './call-tally.js';
import { type Clock, systemClock } from './clock.js';
import { type DeadlineWheel, deadlinesOf } from './deadline-wheel.js';
import { type Dependency, dependencyRule } from './dependency.js';
import {
  describeDependency,
  describeLayer,
  jsonRecord,
  type LayerDescription,
  type PipelineDescription,
} from './description.js';
import { Emitter, eventOf } from './emitter.js';
import type { ResilienceEventInput, ResilienceListener } from './events.js';
import { GuardedStage, type Stage, type TimeLimit } from './guarded-run.js';
import type { CompositeLayer, Guard, Layer, OwnLayer, Strategy } from './layer.js';
import { alone, everyLeafOf, isGuard, isLayer, isTimeLimit, leavesOf } from './layer-kinds.js';
import type { Classify, SettledOutcome } from './outcome.js';
import { register, unregister } from './registry.js';
import { rejectionOf } from './rejection.js';
import { compile, counted, operationStage } from './stages.js';
import {
  checkOptions,
  clockRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
} from './validate.js';

/** What a pipeline may be told beside its layers. */
export interface PipelineOptions {
  /** Name for events. Default: none. */
  readonly name?: string | undefined;
  /** Key for events, for a pipeline that serves one key. Default: that of the call. */
  readonly key?: string | undefined;
  /** Handed to every layer that has no `classify` of its own. Default: a value is a success, an error is a failure. */
  readonly classify?: Classify | undefined;
  /** Source of time; all layers of a pipeline share one. Default: that of its layers, else the system's. */
  readonly clock?: Clock | undefined;
  /** What it stands before, for tools. Default: not known. */
  readonly dependency?: Dependency | undefined;
}

/** A call that was let in, for work that is not one promise: a stream, a callback. */
export interface Admission {
  /** The call: its signal, deadline and attributes. */
  readonly call: Call;
  /** Tells how the work ended; the permits go back. Only the first time counts. */
  settle(outcome: SettledOutcome): void;
}

/** Options of a wrapped function's calls: the same for all, or made from the arguments. */
export type WrapOptions<Args extends readonly unknown[]> =
  | CallOptions
  | ((...args: Args) => CallOptions);

/**
 * Layers around an operation. An instance is shared by all calls; nested in another pipeline it
 * stands for its layers.
 */
export class Pipeline implements CompositeLayer {
  readonly name: string | undefined;
  readonly layers: readonly Layer[];
  readonly clock: Clock;
  /** What it stands before, where that was told. */
  readonly dependency: Dependency | undefined;
  /** @internal The clock that was given to it or to its layers. */
  readonly givenClock: Clock | undefined;
  /** @internal */
  readonly scope: Scope;
  /** @internal */
  readonly deadlines: DeadlineWheel;
  /** @internal */
  readonly tally: CallTally;
  readonly #holds: (() => void)[];
  readonly #first: Stage;
  #withDeadline: Stage | undefined;
  #admitting: Pipeline | undefined;

  /** @throws {@link InvalidOptionError} for bad options, what is not a layer, and layers on different clocks. */
  constructor(options: PipelineOptions, layers: readonly Layer[]);
  /** @internal */
  constructor(options: PipelineOptions, layers: readonly Layer[], shared: SharedParts);
  constructor(options: PipelineOptions, layers: readonly Layer[], shared?: SharedParts) {
    checkOptions('pipeline', options, pipelineRules);
    for (const layer of layers) checkLayer(layer);
    const { name, key, classify, dependency } = options;
    const { emitter, tally, holds } = shared ?? newParts();
    this.name = name;
    this.dependency = dependency;
    this.layers = Object.freeze([...layers]);
    this.givenClock = commonClock(options.clock, this.layers);
    this.clock = this.givenClock ?? systemClock;
    this.deadlines = deadlinesOf(this.clock);
    this.scope = { name, key, classify, emitter, outer: undefined };
    this.#holds = holds;
    for (const layer of everyLeafOf(this.layers) as OwnLayer[]) {
      layer.adopt?.({ name, key });
      if (shared === undefined && layer.hold !== undefined) holds.push(layer.hold());
    }
    this.tally = tally;
    this.#first = counted(this.#compile(), tally);
    for (const layer of this.layers) if (layer instanceof Pipeline) unregister(layer);
    if (shared === undefined) register(this);
  }

  /**
   * Runs `operation` through the layers. Reaches it synchronously when nobody has to wait.
   *
   * Rejects with the operation's own error, with a `ResilienceError` where a layer refused or cut the
   * call short, or with the signal's reason if the caller aborted.
   */
  execute<T>(operation: (call: Call) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    if (typeof operation !== 'function') {
      return Promise.reject(
        new InvalidOptionError('execute: operation', operation, 'must be a function'),
      );
    }
    return this.#start(operation, options) as Promise<T>;
  }

  /** The function with this pipeline around it: same parameters, same result, `this` kept. */
  wrap<This, Args extends readonly unknown[], T>(
    fn: (this: This, ...args: Args) => T,
    options?: WrapOptions<Args>,
  ): (this: This, ...args: Args) => Promise<Awaited<T>> {
    if (typeof fn !== 'function')
      throw new InvalidOptionError('wrap: fn', fn, 'must be a function');
    const pipeline = this;
    return function wrapped(this: This, ...args: Args): Promise<Awaited<T>> {
      let callOptions: CallOptions | undefined;
      try {
        callOptions = typeof options === 'function' ? options(...args) : options;
      } catch (error) {
        return Promise.reject(error);
      }
      return pipeline.execute(() => fn.apply(this, args as never), callOptions) as Promise<
        Awaited<T>
      >;
    };
  }

  /**
   * Lets a call in without running anything, for work that is not one promise. Guards, timeouts and
   * the deadline apply as in `execute`, and a failover chooses the endpoint (`call.endpoint`), whose own
   * guards apply; what repeats or replaces work cannot. A timeout aborts the admitted call; the work is
   * still settled by whoever was let in.
   */
  admit(options?: CallOptions): Promise<Admission> {
    this.#admitting ??= this.narrow(admits);
    const pipeline = this.#admitting;
    return new Promise((resolve, reject) => {
      const operation = (call: Call): Promise<unknown> =>
        new Promise((settleValue, settleError) => {
          const settle = (outcome: SettledOutcome): void => {
            if (outcome.ok) settleValue(outcome.value);
            else settleError(outcome.error);
          };
          resolve({ call, settle });
        });
      pipeline.execute(operation, options).then(undefined, reject);
    });
  }

  /**
   * The same pipeline with some of its layers left out: same state, same name, same listeners. For
   * calls that must not be repeated, or must not be answered by a fallback. `keep` is asked about each
   * guard and strategy; it may give a layer to stand in its place.
   */
  narrow(keep: (layer: Guard | Strategy) => boolean | Layer): Pipeline {
    const { name, key, classify, emitter } = this.scope;
    const layers = narrowed(this.layers, keep);
    const { givenClock: clock, dependency, tally } = this;
    return new Pipeline({ name, key, classify, clock, dependency }, layers, {
      emitter,
      tally,
      holds: this.#holds,
    });
  }

  /** Calls `listener` with every event of this pipeline; the result ends it. */
  on(listener: ResilienceListener): () => void {
    const ends = [this.scope.emitter.add(listener)];
    for (const emitter of new Set(
      everyLeafOf(this.layers).map((layer) => (layer as OwnLayer).emitter),
    )) {
      if (emitter !== undefined) ends.push(emitter.add(listener));
    }
    return () => {
      for (const end of ends) end();
    };
  }

  /**
   * Emits an event in the name of this pipeline, outside of any call: what an adapter has to tell. Costs
   * nothing without a listener. `attempt` is 0.
   */
  emit(input: ResilienceEventInput, name?: string): void {
    if (!isObserved(this.scope)) return;
    const { name: pipeline, key } = this.scope;
    publish(this.scope, eventOf(input, pipeline, key, name, 0, this.clock.now()));
  }

  /**
   * Sends away the calls that wait for their turn in a bulkhead or a limiter (`RESIL_DRAINING`), and lets
   * none wait from now on. What runs goes on, and calls that need not wait are let in: those that finish
   * the work of the process. For good.
   */
  drain(): void {
    for (const layer of everyLeafOf(this.layers)) (layer as OwnLayer).drain?.();
  }

  /**
   * Ends what its layers do beside calls, and that of pipelines inside it: the health checks of a
   * failover that no other pipeline holds. Calls still work. A pipeline that lives as long as the process
   * needs no end; closing it twice is fine.
   */
  close(): void {
    for (const release of this.#holds.splice(0)) release();
    for (const layer of this.layers) if (layer instanceof Pipeline) layer.close();
    unregister(this);
  }

  /** Every layer with its options, live state and counters, as JSON: for health endpoints, dashboards and tools. */
  describe(): PipelineDescription {
    const { name, key } = this.scope;
    const { started, succeeded, failed, rejected, aborted } = this.tally;
    return {
      type: 'pipeline',
      name: name ?? null,
      key: key ?? null,
      dependency: describeDependency(this.dependency),
      options: jsonRecord({ classify: this.scope.classify }),
      state: { inFlight: started - succeeded - failed - rejected - aborted },
      counters: { started, succeeded, failed, rejected, aborted },
      layers: this.layers.flatMap((layer): readonly LayerDescription[] =>
        layer instanceof Pipeline ? [layer.describe()] : leavesOf([layer]).map(describeLayer),
      ),
    };
  }

  #start(operation: Operation, options: CallOptions | undefined): Promise<unknown> {
    if (Number.isNaN(options?.deadline)) {
      return Promise.reject(new InvalidOptionError('call.deadline', NaN, 'must be a number'));
    }
    const call = new RootCall(this, operation, options);
    this.tally.started++;
    const observed = isObserved(this.scope);
    const startedAt = observed ? call.startedAt : 0;
    if (observed) tell(call, { type: 'call.started' }, startedAt);
    const result = call.aborted ? this.#refuseAborted(call) : this.#stageFor(call).run(call);
    call.walkingIn = false;
    if (observed) tellEnd(call, startedAt, result);
    return result;
  }

  /** A deadline that the caller brings is a timeout around everything. */
  #stageFor(call: CallState): Stage {
    if (call.deadline === Infinity) return this.#first;
    this.#withDeadline ??= counted(new GuardedStage(this.#compile(), [], DEADLINE), this.tally);
    return this.#withDeadline;
  }

  #compile(): Stage {
    return compile(this.layers, this.scope, operationStage);
  }

  #refuseAborted(call: RootCall): Promise<never> {
    this.tally.fail(call, call.reason);
    return rejectionOf(call.reason);
  }
}

/**
 * Puts layers together, outermost first. A name or options may stand before them.
 *
 * @throws {@link InvalidOptionError} for bad options, what is not a layer, and layers on different clocks.
 * @example
 * ```ts
 * import { pipeline, retry, timeout } from '@resil/core';
 *
 * const quotes = pipeline('quotes', timeout({ duration: 2_000 }), retry({ maxAttempts: 3 }));
 * await quotes.execute(async ({ attempt }) => `answer ${attempt}`);
 * ```
 */
export function pipeline(
  nameOrOptions: string | PipelineOptions,
  ...layers: readonly Layer[]
): Pipeline;
/** Puts layers together without a name. */
export function pipeline(...layers: readonly Layer[]): Pipeline;
export function pipeline(
  first?: string | PipelineOptions | Layer,
  ...rest: readonly Layer[]
): Pipeline {
  if (first === undefined) return new Pipeline({}, rest);
  if (typeof first === 'string') return new Pipeline({ name: first }, rest);
  if (isLayer(first)) return new Pipeline({}, [first, ...rest]);
  return new Pipeline(first, rest);
}

/** What pipelines have in common that are one to the outside. */
interface SharedParts {
  readonly emitter: Emitter;
  readonly tally: CallTally;
  /** What tells layers that they are no longer held. */
  readonly holds: (() => void)[];
}

function newParts(): SharedParts {
  return { emitter: new Emitter(), tally: new CallTally(), holds: [] };
}

/** Layers with some of them left out or replaced, as {@link Pipeline.narrow} says. */
export function narrowed(
  layers: readonly Layer[],
  keep: (layer: Guard | Strategy) => boolean | Layer,
): readonly Layer[] {
  const kept = (layer: Guard | Strategy): readonly Layer[] => {
    const choice = keep(layer);
    if (choice === false) return [];
    return [choice === true ? alone(layer) : choice];
  };
  return layers.flatMap((layer): readonly Layer[] =>
    layer instanceof Pipeline ? [layer.narrow(keep)] : leavesOf([layer]).flatMap(kept),
  );
}

/** What applies to calls that are let in and run elsewhere. */
function admits(layer: Guard | Strategy): boolean | Layer {
  return isGuard(layer) || isTimeLimit(layer) || ((layer as OwnLayer).admitting?.(admits) ?? false);
}

const pipelineRules: OptionRules<PipelineOptions> = {
  name: nameRule,
  key: nameRule,
  classify: functionRule,
  clock: clockRule,
  dependency: dependencyRule,
};

const DEADLINE: TimeLimit = { name: 'deadline', duration: undefined, expired: 0 };

function tellEnd(call: RootCall, startedAt: number, result: Promise<unknown>): void {
  result.then(
    () => {
      const now = call.clock.now();
      tell(call, { type: 'call.succeeded', duration: now - startedAt }, now);
    },
    (error) => {
      const now = call.clock.now();
      const duration = now - startedAt;
      const end = failureOf(call, error);
      if (end === 'aborted') tell(call, { type: 'call.aborted', duration, reason: error }, now);
      else tell(call, { type: `call.${end}`, duration, error }, now);
    },
  );
}

/** As {@link CallState.emit}, at a time that was read before. */
function tell(call: RootCall, input: ResilienceEventInput, at: number): void {
  const event = eventOf(input, call.scope.name, call.key, call.name, call.attempt, at);
  publish(call.scope, event, call);
}

function commonClock(own: Clock | undefined, layers: readonly Layer[]): Clock | undefined {
  let clock = own;
  const nested = layers.filter((layer) => layer instanceof Pipeline);
  for (const layer of [...everyLeafOf(layers), ...nested]) {
    const layerClock = layer instanceof Pipeline ? layer.givenClock : (layer as OwnLayer).clock;
    if (layerClock === undefined || layerClock === clock) continue;
    if (clock !== undefined) {
      throw new InvalidOptionError(
        `pipeline: clock of layer '${layer.name ?? 'pipeline'}'`,
        layerClock,
        'must be that of the pipeline and of its other layers',
      );
    }
    clock = layerClock;
  }
  return clock;
}

/** @internal */
export function checkLayer(layer: unknown): asserts layer is Layer {
  if (!isLayer(layer)) {
    throw new InvalidOptionError(
      'pipeline: layer',
      layer,
      'must be a guard (name, enter, leave), a strategy (name, run) or a pipeline',
    );
  }
}
