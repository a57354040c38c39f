/**
 * Failover: several endpoints do the same work, and each call goes to one of them.
 *
 *   the lowest group with an endpoint to offer > not tried by this call before > less loaded of two
 *
 * An endpoint is left out while it is ejected as an outlier (see outlier-detection.ts) or fails its
 * health check; if too few are left, nobody is left out. What retries and hedges run again goes to an
 * endpoint that this call did not try yet, while there is one. A call that an endpoint certainly did
 * not take (its own guards refused, or `moveOn` says so) goes to the next at once. Which endpoint a
 * call goes to stands in `call.endpoint`.
 */
import type { Call } from './call.js';
import { CallState, type Trail } from './call-state.js';
import type { Clock } from './clock.js';
import { describeLayer, jsonRecord, type LayerDescription } from './description.js';
import { Emitter, emitOfLayer, report } from './emitter.js';
import {
  type Endpoint,
  type EndpointStatus,
  type ResolvedEndpoint,
  resolveEndpoints,
} from './endpoint.js';
import { leastLoadedOfTwo, slowStartShare } from './endpoint-choice.js';
import { isRefusal, NoEndpointError } from './errors.js';
import type { EndpointEvent } from './events.js';
import { type FailoverOptions, failoverDefaults, failoverRules } from './failover-options.js';
import { markOf, type ObservedMark } from './guard-mode.js';
import type { Stage } from './guarded-run.js';
import { HealthChecks } from './health-checks.js';
import type { Guard, Layer, LayerOwner, Strategy } from './layer.js';
import { leavesOf } from './layer-kinds.js';
import type { Classify, Outcome, SettledOutcome } from './outcome.js';
import { OutlierDetection, resolveOutlierDetectionOptions } from './outlier-detection.js';
import { checkLayer, Pipeline } from './pipeline.js';
import { type Random, systemRandom } from './random.js';
import { unregister } from './registry.js';
import { rejectionOf } from './rejection.js';
import { SingleLayer } from './single-layer.js';
import { compile } from './stages.js';
import { checkOptions, InvalidOptionError } from './validate.js';
import { verdictOf } from './verdict.js';

type Next = (call: Call) => Promise<unknown>;

/** Sends each call to one of several endpoints. An instance stands for one service and is shared by all calls to it. */
export class Failover<Target = string> extends SingleLayer implements Strategy {
  readonly name: string;
  readonly clock: Clock | undefined;
  /** @internal */
  readonly emitter: Emitter = new Emitter();
  /** @internal */
  readonly within: readonly Layer[];
  readonly #places: readonly Place<Target>[];
  readonly #rank: FailoverOptions<Target>['rank'];
  readonly #moveOn: FailoverOptions<Target>['moveOn'];
  readonly #slowStart: SlowStart;
  readonly #panicRatio: number;
  readonly #classify: Classify | undefined;
  readonly #random: Random;
  readonly #outliers: OutlierDetection | undefined;
  readonly #checks: HealthChecks<Target> | undefined;
  #owner: LayerOwner | undefined;
  #panicking = false;
  /** What causes the changes that are told at this moment, and where time comes from. */
  #cause: CallState | undefined;
  #lastClock: Clock | undefined;

  /** @throws {@link InvalidOptionError} */
  constructor(options: FailoverOptions<Target>) {
    super();
    checkOptions('failover', options as FailoverOptions<unknown>, failoverRules);
    const defaults = failoverDefaults;
    this.name = options.name ?? defaults.name;
    this.clock = options.clock;
    this.#rank = options.rank;
    this.#moveOn = options.moveOn;
    this.#slowStart = {
      duration: options.slowStartDuration ?? defaults.slowStartDuration,
      ratio: options.slowStartRatio ?? defaults.slowStartRatio,
    };
    this.#panicRatio = options.panicRatio ?? defaults.panicRatio;
    this.#classify = options.classify;
    this.#random = options.random ?? systemRandom;
    const endpoints = resolveEndpoints<Target>(options.endpoints);
    this.#places = endpoints.map((endpoint, index) => {
      const layers = options.layers?.(endpoint) ?? [];
      if (!Array.isArray(layers))
        throw new InvalidOptionError('failover: result of layers', layers, 'must be a list');
      for (const layer of layers) checkLayer(layer);
      return new Place(endpoint, index, layers, this.#slowStart);
    });
    this.within = this.#places.flatMap(({ way }) => way.layers);
    if (options.outlierDetection !== false) {
      this.#outliers = new OutlierDetection(
        endpoints.length,
        resolveOutlierDetectionOptions(options.outlierDetection ?? {}),
        {
          ejected: (index, reason, delay) => this.#ejected(index, reason, delay),
          returned: (index) => this.#returned(index),
        },
      );
    }
    if (options.healthCheck !== undefined) {
      this.#checks = new HealthChecks(endpoints, options.healthCheck, {
        unhealthy: (index, error) =>
          this.#emit({ type: 'endpoint.unhealthy', ...this.#label(index), error }),
        passed: (index, changed) => this.#passed(index, changed),
      });
    }
  }

  /** The endpoints at this moment. */
  get endpoints(): readonly EndpointStatus[] {
    return this.#places.map((place) => ({
      name: place.endpoint.name,
      priority: place.endpoint.priority,
      weight: place.endpoint.weight,
      state: this.#stateOf(place),
      running: place.running,
      ejections: this.#outliers?.ejections(place.index) ?? 0,
    }));
  }

  /** Its options, and its endpoints at this moment with the layers of each. */
  describe(): LayerDescription {
    const endpoints = this.#places.map(({ way }, index) => ({
      ...this.endpoints[index],
      layers: leavesOf(way.layers).map(describeLayer),
    }));
    return {
      type: 'failover',
      name: this.name,
      options: jsonRecord({
        rank: this.#rank,
        moveOn: this.#moveOn,
        outlierDetection: this.#outliers?.options ?? false,
        healthCheck: this.#checks !== undefined,
        slowStartDuration: this.#slowStart.duration,
        slowStartRatio: this.#slowStart.ratio,
        panicRatio: this.#panicRatio,
        classify: this.#classify,
      }),
      state: jsonRecord({ panicking: this.#panicking, endpoints }),
      counters: {},
    };
  }

  /**
   * Where this failover sent a call, with the target's type; `undefined` for a call that did not come
   * through it.
   */
  endpointOf(call: Call): Endpoint<Target> | undefined {
    return this.#sentOf(call)?.place.endpoint;
  }

  /**
   * The same failover for work that only one endpoint can go on with (statements on a connection that
   * is held): a layer that sends calls there, whatever is known of the endpoint, through the
   * endpoint's layers that `keep` lets stand. What comes of them counts.
   *
   * @throws {@link InvalidOptionError} for a name that no endpoint has.
   */
  pinned(name: string, keep?: (layer: Guard | Strategy) => boolean): Strategy {
    const place = this.#places.find(({ endpoint }) => endpoint.name === name);
    if (place === undefined)
      throw new InvalidOptionError('failover.pinned: name', name, 'must be that of an endpoint');
    const way =
      keep === undefined
        ? place.way
        : new Way([unregister(new Pipeline({}, place.way.layers)).narrow(keep)]);
    return {
      name: this.name,
      run: (call, next) => {
        this.#lastClock = (call as CallState).clock;
        const sent = new SentCall(call as CallState, this, place, next as Next);
        return this.#visit(sent, way) as Promise<never>;
      },
    };
  }

  /** Ends the health checks, for good. Calls still work. */
  close(): void {
    this.#checks?.close();
  }

  /** @internal */
  adopt(owner: LayerOwner): void {
    this.#owner ??= owner;
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    const state = call as CallState;
    this.#lastClock = state.clock;
    this.#checks?.start(state.clock);
    const place = this.#choose(state, undefined);
    if (place === undefined)
      return rejectionOf(new NoEndpointError(this.name, this.#places.length));
    return this.#send(place, state, next as Next, undefined) as Promise<T>;
  }

  /** Runs a call at an endpoint; `earlier` are those that did not take it in this run. */
  #send(
    place: Place<Target>,
    call: CallState,
    next: Next,
    earlier: Passed<Target> | undefined,
  ): Promise<unknown> {
    const sent = new SentCall(call, this, place, next);
    noteTry(place, call);
    return this.#visit(sent, place.way).catch((error) =>
      this.#passOn(error, sent, call, next, { place, error, earlier }),
    );
  }

  /** Runs a call at its endpoint, and learns from how it ends. */
  #visit(sent: SentCall<Target>, way: Way): Promise<unknown> {
    const { place } = sent;
    const generation = this.#outliers?.generation(place.index) ?? 0;
    const startedAt = sent.now();
    const ended = (outcome: SettledOutcome): void => {
      place.running--;
      const duration = sent.clock.now() - startedAt;
      this.#learn(place, generation, sent, { ...outcome, duration });
    };
    place.running++;
    return way
      .stageFor(sent.scope, this.#innermost)
      .run(sent)
      .then(
        (value) => {
          ended({ ok: true, value });
          return value;
        },
        (error) => {
          ended({ ok: false, error });
          throw error;
        },
      );
  }

  /** The next endpoint gets a call that this one did not take; otherwise the error comes out. */
  #passOn(
    error: unknown,
    sent: SentCall<Target>,
    call: CallState,
    next: Next,
    passed: Passed<Target>,
  ): Promise<unknown> {
    if (call.aborted || !this.#mayMoveOn(error, sent)) throw error;
    const place = this.#choose(call, passed);
    if (place === undefined) throw toldOf(passed);
    if (call.observed)
      call.emit({ type: 'endpoint.skipped', ...this.#label(passed.place.index), error });
    return this.#send(place, call, next, passed);
  }

  #mayMoveOn(error: unknown, sent: SentCall<Target>): boolean {
    if (isRefusal(error) && !sent.reached) return true;
    try {
      return this.#moveOn?.(error, sent) === true;
    } catch (thrown) {
      report(thrown, 'moveOn');
      return false;
    }
  }

  #learn(place: Place<Target>, generation: number, sent: SentCall<Target>, outcome: Outcome): void {
    const outliers = this.#outliers;
    if (outliers === undefined) return;
    const classify = this.#classify ?? sent.scope.classify;
    const verdict =
      outcome.ok && classify === undefined ? 'success' : verdictOf(classify, outcome, sent).kind;
    if (verdict === 'ignored') return;
    this.#cause = sent;
    outliers.record(place.index, generation, verdict === 'success', sent.clock.now());
    this.#cause = undefined;
  }

  /** The endpoint for a call, but for those in `passed`; `undefined` if there is none. */
  #choose(call: CallState, passed: Passed<Target> | undefined): Place<Target> | undefined {
    const now = call.now();
    this.#cause = call;
    this.#outliers?.sweep(now);
    const ranked = this.#ranked(call);
    const offered = this.#offered(ranked);
    this.#cause = undefined;
    // Better one that is out than none, for a call that nobody took.
    const best = bestOf(offered, call, passed) ?? bestOf(ranked, call, passed);
    return best && leastLoadedOfTwo(best, now, this.#random);
  }

  #ranked(call: CallState): readonly Ranked<Target>[] {
    return this.#places
      .map((place) => ({ place, rank: this.#rankOf(place, call) }))
      .filter(({ rank }) => rank < Infinity);
  }

  #rankOf({ endpoint }: Place<Target>, call: CallState): number {
    if (this.#rank === undefined) return endpoint.priority;
    try {
      const rank = this.#rank(endpoint, call);
      if (typeof rank === 'number' && !Number.isNaN(rank)) return rank;
      report(new TypeError(`rank gave ${String(rank)} instead of a number`), 'rank');
    } catch (error) {
      report(error, 'rank');
    }
    return endpoint.priority;
  }

  /** Those that are available; all of them where too few are. */
  #offered(ranked: readonly Ranked<Target>[]): readonly Ranked<Target>[] {
    const available = ranked.filter(({ place }) => this.#stateOf(place) === 'available');
    const panicking = available.length === 0 || available.length / ranked.length < this.#panicRatio;
    if (ranked.length > 0 && panicking !== this.#panicking) {
      this.#panicking = panicking;
      const type = panicking ? 'failover.panicked' : 'failover.recovered';
      this.#emit({ type, strategy: this.name, available: available.length });
    }
    return panicking ? ranked : available;
  }

  #stateOf({ index }: Place<Target>): EndpointStatus['state'] {
    if (this.#checks?.isHealthy(index) === false) return 'unhealthy';
    return this.#outliers?.isEjected(index) === true ? 'ejected' : 'available';
  }

  #ejected(
    index: number,
    reason: (EndpointEvent & { type: 'endpoint.ejected' })['reason'],
    delay: number,
  ): void {
    const enforced = this.#isEnforced;
    const told = { ...this.#label(index), reason, delay, enforced, ...this.#mark };
    this.#emit({ type: 'endpoint.ejected', ...told });
  }

  #returned(index: number): void {
    // Where it is only observed, the endpoint was never away.
    if (this.#isEnforced) this.#startSlowly(index);
    this.#emit({ type: 'endpoint.returned', ...this.#label(index), ...this.#mark });
  }

  get #isEnforced(): boolean {
    return this.#outliers?.options.enforced === true;
  }

  /** What marks the events of outlier detection. */
  get #mark(): ObservedMark {
    return markOf(this.#isEnforced ? 'enforce' : 'observe');
  }

  #passed(index: number, changed: boolean): void {
    if (changed) {
      this.#startSlowly(index);
      this.#emit({ type: 'endpoint.healthy', ...this.#label(index) });
    }
    this.#outliers?.end(index);
  }

  #startSlowly(index: number): void {
    (this.#places[index] as Place<Target>).returnedAt = this.#lastClock?.now() ?? 0;
  }

  #label(index: number): { readonly strategy: string; readonly endpoint: string } {
    return { strategy: this.name, endpoint: (this.#places[index] as Place<Target>).endpoint.name };
  }

  #emit(event: EndpointEvent): void {
    const clock = this.#lastClock;
    if (clock === undefined) return;
    emitOfLayer({ emitter: this.emitter, owner: this.#owner, clock }, event, this.#cause);
  }

  #sentOf(call: Call): SentCall<Target> | undefined {
    for (let at: Call | undefined = call; at !== undefined; at = at.parent) {
      if (at instanceof SentCall && at.failover === this) return at as SentCall<Target>;
    }
    return undefined;
  }

  /** Behind an endpoint's own layers: what lies further in. */
  readonly #innermost: Stage = {
    run: (call) => {
      const sent = this.#sentOf(call) as SentCall<Target>;
      sent.reached = true;
      return sent.next(call);
    },
  };
}

interface SlowStart {
  readonly duration: number;
  readonly ratio: number;
}

interface Ranked<Target> {
  readonly place: Place<Target>;
  readonly rank: number;
}

/** Endpoints that did not take a call, in one run. */
interface Passed<Target> {
  readonly place: Place<Target>;
  readonly error: unknown;
  readonly earlier: Passed<Target> | undefined;
}

/** Layers that lead to an endpoint, as compiled for the pipelines that calls come from. */
class Way {
  readonly layers: readonly Layer[];
  readonly #stages = new WeakMap<CallState['scope'], Stage>();

  constructor(layers: readonly Layer[]) {
    this.layers = layers;
  }

  stageFor(scope: CallState['scope'], innermost: Stage): Stage {
    if (this.layers.length === 0) return innermost;
    let stage = this.#stages.get(scope);
    if (stage === undefined) {
      stage = compile(this.layers, scope, innermost);
      this.#stages.set(scope, stage);
    }
    return stage;
  }
}

/** An endpoint and what is going on there. */
class Place<Target> {
  readonly endpoint: ResolvedEndpoint<Target>;
  readonly index: number;
  readonly way: Way;
  running = 0;
  /** When it last came back; long ago for one that was never away. */
  returnedAt = -Infinity;
  readonly #slowStart: SlowStart;

  constructor(
    endpoint: ResolvedEndpoint<Target>,
    index: number,
    layers: readonly Layer[],
    slowStart: SlowStart,
  ) {
    this.endpoint = endpoint;
    this.index = index;
    this.way = new Way(layers);
    this.#slowStart = slowStart;
  }

  weightAt(now: number): number {
    const { duration, ratio } = this.#slowStart;
    return this.endpoint.weight * slowStartShare(now - this.returnedAt, duration, ratio);
  }
}

/** A call on its way to an endpoint. */
class SentCall<Target> extends CallState {
  readonly failover: Failover<Target>;
  readonly place: Place<Target>;
  readonly next: Next;
  /** Whether it passed the endpoint's own layers. */
  reached: boolean;

  constructor(parent: CallState, failover: Failover<Target>, place: Place<Target>, next: Next) {
    super(parent.root, parent, parent.attempt, parent.deadline, parent.scope);
    this.failover = failover;
    this.place = place;
    this.next = next;
    this.reached = false;
  }

  override get endpoint(): Endpoint<Target> {
    return this.place.endpoint;
  }
}

/** Those of the lowest group among the least tried; `undefined` if all were passed. */
function bestOf<Target>(
  offered: readonly Ranked<Target>[],
  call: CallState,
  passed: Passed<Target> | undefined,
): Place<Target>[] | undefined {
  let best: Place<Target>[] | undefined;
  let bestTries = Infinity;
  let bestRank = Infinity;
  for (const { place, rank } of offered) {
    if (isAmong(place, passed)) continue;
    const tries = trailTo(place, call)?.tries ?? 0;
    if (tries > bestTries || (tries === bestTries && rank > bestRank)) continue;
    if (best === undefined || tries < bestTries || rank < bestRank) best = [];
    bestTries = tries;
    bestRank = rank;
    best.push(place);
  }
  return best;
}

/** The latest error of endpoints that did not take a call; what one of them said goes before our own refusals. */
function toldOf<Target>(passed: Passed<Target>): unknown {
  for (let at: Passed<Target> | undefined = passed; at !== undefined; at = at.earlier) {
    if (!isRefusal(at.error)) return at.error;
  }
  return passed.error;
}

function isAmong<Target>(place: Place<Target>, passed: Passed<Target> | undefined): boolean {
  for (let at = passed; at !== undefined; at = at.earlier) {
    if (at.place === place) return true;
  }
  return false;
}

/** Where a call was sent to a place, if it was. */
function trailTo(place: object, call: CallState): Trail | undefined {
  for (let at = call.root.trail; at !== undefined; at = at.earlier) {
    if (at.place === place) return at;
  }
  return undefined;
}

function noteTry(place: object, call: CallState): void {
  const trail = trailTo(place, call);
  if (trail === undefined) call.root.trail = { place, tries: 1, earlier: call.root.trail };
  else trail.tries++;
}

/**
 * A failover.
 *
 * @returns A layer; it refuses with {@link NoEndpointError} (`RESIL_NO_ENDPOINT`) if `rank` leaves no endpoint.
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { failover, pipeline, retry } from '@resil/core';
 *
 * const regions = failover({ endpoints: ['eu.example', 'us.example'] });
 * const quotes = pipeline('quotes', retry({ baseDelay: 10 }), regions);
 * const answer = await quotes.execute(async (call) => {
 *   if (call.attempt === 1) throw new Error(`${regions.endpointOf(call)?.target} is down`);
 *   return `answer of ${regions.endpointOf(call)?.target}`;
 * });
 * ```
 */
export function failover<Target = string>(options: FailoverOptions<Target>): Failover<Target> {
  return new Failover(options);
}
