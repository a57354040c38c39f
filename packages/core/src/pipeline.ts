/**
 * A pipeline: layers, outermost first. Compiled once into a chain of stages, walked by each call.
 * Guards and timeouts that stand together form one stage, each strategy is a stage of its own, the
 * operation is the last.
 */
import type { Call, CallOptions } from './call.js';
import {
  type CallState,
  isObserved,
  type Operation,
  publish,
  RootCall,
  type Scope,
} from './call-state.js';
import { type Clock, systemClock } from './clock.js';
import { type DeadlineWheel, deadlinesOf } from './deadline-wheel.js';
import { Emitter } from './emitter.js';
import { isRefusal } from './errors.js';
import type { ResilienceEventInput, ResilienceListener } from './events.js';
import { GuardedStage, type Stage, type TimeLimit } from './guarded-run.js';
import type { CompositeLayer, Guard, Layer, OwnLayer, Strategy, TimeLimitLayer } from './layer.js';
import type { Classify, SettledOutcome } from './outcome.js';
import { rejectionOf } from './rejection.js';
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
  /** @internal The clock that was given to it or to its layers. */
  readonly givenClock: Clock | undefined;
  /** @internal */
  readonly scope: Scope;
  /** @internal */
  readonly deadlines: DeadlineWheel;
  readonly #first: Stage;
  #withDeadline: Stage | undefined;
  #admitting: Pipeline | undefined;

  /** @throws {@link InvalidOptionError} for bad options, what is not a layer, and layers on different clocks. */
  constructor(options: PipelineOptions, layers: readonly Layer[]);
  /** @internal */
  constructor(options: PipelineOptions, layers: readonly Layer[], emitter: Emitter);
  constructor(options: PipelineOptions, layers: readonly Layer[], emitter = new Emitter()) {
    checkOptions('pipeline', options, pipelineRules);
    for (const layer of layers) checkLayer(layer);
    const { name, key, classify } = options;
    this.name = name;
    this.layers = Object.freeze([...layers]);
    this.givenClock = commonClock(options.clock, this.layers);
    this.clock = this.givenClock ?? systemClock;
    this.deadlines = deadlinesOf(this.clock);
    this.scope = { name, key, classify, emitter, outer: undefined };
    for (const layer of everyLeafOf(this.layers)) (layer as OwnLayer).adopt?.({ name, key });
    this.#first = compile(this.layers, this.scope, operationStage);
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
   * the deadline apply as in `execute`; what repeats or replaces work cannot. A timeout aborts the
   * admitted call; the work is still settled by whoever was let in.
   */
  admit(options?: CallOptions): Promise<Admission> {
    this.#admitting ??= this.narrow((layer) => isGuard(layer) || isTimeLimit(layer));
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
    const kept = (layer: Guard | Strategy): readonly Layer[] => {
      const choice = keep(layer);
      if (choice === false) return [];
      return [choice === true ? alone(layer) : choice];
    };
    const layers = this.layers.flatMap((layer): readonly Layer[] =>
      layer instanceof Pipeline ? [layer.narrow(keep)] : leavesOf([layer]).flatMap(kept),
    );
    return new Pipeline({ name, key, classify, clock: this.givenClock }, layers, emitter);
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
    publish(this.scope, { ...input, pipeline, key, name, attempt: 0, at: this.clock.now() });
  }

  #start(operation: Operation, options: CallOptions | undefined): Promise<unknown> {
    if (Number.isNaN(options?.deadline)) {
      return Promise.reject(new InvalidOptionError('call.deadline', NaN, 'must be a number'));
    }
    const call = new RootCall(this, operation, options);
    const observed = isObserved(this.scope);
    const startedAt = observed ? call.startedAt : 0;
    if (observed) call.emit({ type: 'call.started' });
    const result = call.aborted ? rejectionOf(call.reason) : this.#stageFor(call).run(call);
    call.walkingIn = false;
    if (observed) tellEnd(call, startedAt, result);
    return result;
  }

  /** A deadline that the caller brings is a timeout around everything. */
  #stageFor(call: CallState): Stage {
    if (call.deadline === Infinity) return this.#first;
    this.#withDeadline ??= new GuardedStage(this.#first, [], DEADLINE);
    return this.#withDeadline;
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

const pipelineRules: OptionRules<PipelineOptions> = {
  name: nameRule,
  key: nameRule,
  classify: functionRule,
  clock: clockRule,
};

const DEADLINE: TimeLimit = { name: 'deadline', duration: undefined };

/** The innermost stage: the operation itself. */
const operationStage: Stage = {
  run(call) {
    call.begin();
    call.root.walkingIn = false;
    try {
      const result = call.root.operation(call);
      return result instanceof Promise ? result : Promise.resolve(result);
    } catch (error) {
      return rejectionOf(error);
    }
  },
};

/** A strategy and what lies further in. */
class StrategyStage implements Stage {
  readonly #strategy: Strategy;
  readonly #next: (call: Call) => Promise<unknown>;

  constructor(strategy: Strategy, next: Stage) {
    this.#strategy = strategy;
    this.#next = (call) => next.run(call as CallState);
  }

  run(call: CallState): Promise<unknown> {
    try {
      return this.#strategy.run(call, this.#next);
    } catch (error) {
      return rejectionOf(error);
    }
  }
}

/** Passes into the scope of a nested pipeline, or out of it again. */
class ScopeStage implements Stage {
  readonly #scope: Scope;
  readonly #next: Stage;

  constructor(scope: Scope, next: Stage) {
    this.#scope = scope;
    this.#next = next;
  }

  run(call: CallState): Promise<unknown> {
    return this.#next.run(call.within(this.#scope));
  }
}

/** @internal Builds the chain of stages from the innermost one outwards. */
export function compile(layers: readonly Layer[], scope: Scope, innermost: Stage): Stage {
  let stage = innermost;
  const classified = scope.classify !== undefined;
  let inside: Guard[] = [];
  let limit: TimeLimit | undefined;
  let outside: Guard[] = [];
  const closeStretch = (): void => {
    const guards = [...outside, ...inside];
    if (guards.length > 0 || limit !== undefined)
      stage = new GuardedStage(stage, guards, limit, outside.length, classified);
    inside = [];
    limit = undefined;
    outside = [];
  };
  for (const layer of layers.toReversed()) {
    if (layer instanceof Pipeline) {
      closeStretch();
      const inner = nestedScope(layer.scope, scope);
      stage = new ScopeStage(inner, compile(layer.layers, inner, new ScopeStage(scope, stage)));
    } else if (isComposite(layer)) {
      for (const part of leavesOf([layer]).toReversed()) add(part);
    } else add(layer);
  }
  closeStretch();
  return stage;

  function add(layer: Guard | Strategy): void {
    if (isGuard(layer)) (limit === undefined ? inside : outside).unshift(layer);
    else if (isTimeLimit(layer)) {
      if (limit !== undefined) closeStretch();
      limit = layer;
    } else {
      closeStretch();
      stage = new StrategyStage(layer, stage);
    }
  }
}

/** A nested pipeline speaks under its own name and asks its own `classify`, and falls back to the outer one's. */
function nestedScope(inner: Scope, outer: Scope): Scope {
  return {
    name: inner.name ?? outer.name,
    key: inner.key ?? outer.key,
    classify: inner.classify ?? outer.classify,
    emitter: inner.emitter,
    outer,
  };
}

/** A layer without those that its options bring along. */
class Alone implements CompositeLayer {
  readonly name: string;
  readonly layers: readonly (Guard | Strategy)[];

  constructor(layer: Guard | Strategy) {
    this.name = layer.name;
    this.layers = [layer];
  }
}

function alone(layer: Guard | Strategy): Layer {
  return isComposite(layer) ? new Alone(layer) : layer;
}

/** The guards and strategies that layers stand for. */
function leavesOf(layers: readonly Layer[]): (Guard | Strategy)[] {
  return layers.flatMap((layer) => {
    if (!isComposite(layer)) return layer;
    if (layer instanceof Alone) return layer.layers;
    // A pattern that brings another along names itself among its layers.
    return layer.layers.flatMap((part) =>
      part === layer ? (part as Layer as Guard | Strategy) : leavesOf([part]),
    );
  });
}

/** As `leavesOf`, with the layers that strategies send calls through by themselves. */
function everyLeafOf(layers: readonly Layer[]): (Guard | Strategy)[] {
  return leavesOf(layers).flatMap((layer) => [
    layer,
    ...everyLeafOf((layer as OwnLayer).within ?? []),
  ]);
}

function tellEnd(call: RootCall, startedAt: number, result: Promise<unknown>): void {
  const tell = (event: (duration: number) => ResilienceEventInput): void => {
    call.emit(event(call.clock.now() - startedAt));
  };
  result.then(
    () => tell((duration) => ({ type: 'call.succeeded', duration })),
    (error) => {
      if (call.cancelled) tell((duration) => ({ type: 'call.aborted', duration, reason: error }));
      else if (isRefusal(error)) tell((duration) => ({ type: 'call.rejected', duration, error }));
      else tell((duration) => ({ type: 'call.failed', duration, error }));
    },
  );
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

function isLayer(value: unknown): value is Layer {
  if (typeof value !== 'object' || value === null) return false;
  return (
    isComposite(value as Layer) ||
    isGuard(value as Layer) ||
    typeof (value as Strategy).run === 'function'
  );
}

function isComposite(layer: Layer): layer is CompositeLayer {
  return Array.isArray((layer as CompositeLayer).layers);
}

function isGuard(layer: Layer): layer is Guard {
  return (
    typeof (layer as Guard).enter === 'function' && typeof (layer as Guard).leave === 'function'
  );
}

function isTimeLimit(layer: object): layer is TimeLimitLayer {
  return (layer as TimeLimitLayer).timeLimit === true;
}
