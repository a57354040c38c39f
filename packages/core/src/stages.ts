/**
 * Compiles layers into the chain of stages that calls walk. Guards and timeouts that stand together
 * form one stage, each strategy is a stage of its own, the operation is the last.
 */
import { ambientProvider, handedDown } from './ambient.js';
import type { Call } from './call.js';
import type { CallState, Scope } from './call-state.js';
import type { CallTally } from './call-tally.js';
import { GuardedStage, type Stage, type TimeLimit } from './guarded-run.js';
import type { CompositeLayer, CountingStrategy, Guard, Layer, Strategy } from './layer.js';
import { isComposite, isGuard, isTimeLimit, leavesOf } from './layer-kinds.js';
import { rejectionOf } from './rejection.js';

/** The innermost stage: the operation itself. */
export const operationStage: Stage = {
  run(call) {
    call.begin();
    call.root.walkingIn = false;
    try {
      const { operation } = call.root;
      const result =
        ambientProvider === undefined
          ? operation(call)
          : ambientProvider.run(handedDown(call), () => operation(call));
      return result instanceof Promise ? result : Promise.resolve(result);
    } catch (error) {
      return rejectionOf(error);
    }
  },
};

/** A strategy and what lies further in. */
class StrategyStage implements Stage {
  readonly #strategy: CountingStrategy;
  readonly #next: (call: Call) => Promise<unknown>;
  /** Set only where the strategy counts how its calls end. */
  tally: CallTally | undefined;

  constructor(strategy: Strategy, next: Stage) {
    this.#strategy = strategy;
    this.tally = undefined;
    this.#next = (call) => next.run(call as CallState);
  }

  /** Whether the strategy counts how its calls end. */
  get counts(): boolean {
    return this.#strategy.countsCalls === true;
  }

  run(call: CallState): Promise<unknown> {
    try {
      return this.#strategy.run(call, this.#next, this.tally);
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

/** Counts how calls end where no stage further in can do so on its way. */
class TallyStage implements Stage {
  readonly #tally: CallTally;
  readonly #next: Stage;

  constructor(tally: CallTally, next: Stage) {
    this.#tally = tally;
    this.#next = next;
  }

  run(call: CallState): Promise<unknown> {
    return this.#tally.watch(call.root, this.#next.run(call));
  }
}

/** A pipeline, as a layer of another: it has a scope of its own. */
interface ScopedLayer extends CompositeLayer {
  readonly scope: Scope;
}

function isScoped(layer: Layer): layer is ScopedLayer {
  return isComposite(layer) && 'scope' in layer;
}

/** Lets `tally` count the calls that end in `stage`, the outermost of a pipeline. */
export function counted(stage: Stage, tally: CallTally): Stage {
  if (!(stage instanceof GuardedStage || (stage instanceof StrategyStage && stage.counts)))
    return new TallyStage(tally, stage);
  stage.tally = tally;
  return stage;
}

/** Builds the chain of stages from the innermost one outwards. */
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
    if (isScoped(layer)) {
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
