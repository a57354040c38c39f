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
import { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import { describeLayer, jsonRecord, type LayerDescription } from './description.js';
import { Emitter, emitOfLayer, report } from './emitter.js';
import { type Endpoint, type EndpointStatus, resolveEndpoints } from './endpoint.js';
import { leastLoadedOfTwo } from './endpoint-choice.js';
import { EndpointHealth } from './endpoint-health.js';
import { Place, type SlowStart, type Way } from './endpoint-place.js';
import { isRefusal, NoEndpointError } from './errors.js';
import { type FailoverOptions, failoverDefaults, failoverRules } from './failover-options.js';
import type { Stage } from './guarded-run.js';
import type { Guard, Layer, LayerOwner, OwnLayer, Strategy } from './layer.js';
import { leavesOf } from './layer-kinds.js';
import type { Classify, Outcome, SettledOutcome } from './outcome.js';
import { checkLayer } from './pipeline.js';
import { type Random, systemRandom } from './random.js';
import { rejectionOf } from './rejection.js';
import { SingleLayer } from './single-layer.js';
import { leastTried, noteTry, type Passed, type Ranked, toldOf } from './tried-places.js';
import { checkOptions, InvalidOptionError } from './validate.js';
import { verdictOf } from './verdict.js';

type Next = (call: Call) => Promise<unknown>;

/** How calls get to endpoints. */
interface Route<Target> {
  wayTo(place: Place<Target>): Way;
  /** Whether an endpoint that was reached may be left for the next. */
  readonly repeats: boolean;
}

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
  readonly #health: EndpointHealth<Target>;
  #owner: LayerOwner | undefined;

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
    this.#health = new EndpointHealth(this.name, this.#places, options, (event, clock, cause) =>
      emitOfLayer({ emitter: this.emitter, owner: this.#owner, clock }, event, cause),
    );
    this.#panicRatio = options.panicRatio ?? defaults.panicRatio;
  }

  /** The endpoints at this moment. */
  get endpoints(): readonly EndpointStatus[] {
    return this.#places.map((place) => ({
      name: place.endpoint.name,
      priority: place.endpoint.priority,
      weight: place.endpoint.weight,
      state: this.#health.stateOf(place.index),
      running: place.running,
      ejections: this.#health.ejections(place.index),
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
        outlierDetection: this.#health.outlierDetection,
        healthCheck: this.#health.checked,
        slowStartDuration: this.#slowStart.duration,
        slowStartRatio: this.#slowStart.ratio,
        panicRatio: this.#panicRatio,
        classify: this.#classify,
      }),
      state: jsonRecord({ panicking: this.#health.panicking, endpoints }),
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
    const way = keep === undefined ? place.way : place.way.narrow(keep);
    const layer: Strategy & OwnLayer = {
      name: this.name,
      // A pipeline of its own has their clock, and its listeners hear them.
      clock: this.clock,
      within: way.layers,
      run: (call, next) => {
        this.#health.pass(call as CallState);
        const sent = new SentCall(call as CallState, this, place, next as Next);
        return this.#visit(sent, way) as Promise<never>;
      },
    };
    return layer;
  }

  /** Ends the health checks, for good. Calls still work. */
  close(): void {
    this.#health.close();
  }

  /** @internal */
  adopt(owner: LayerOwner): void {
    this.#owner ??= owner;
  }

  /** @internal The health checks go on while anybody holds the failover. */
  hold(): () => void {
    return this.#health.hold();
  }

  /** @internal */
  admitting(keep: (layer: Guard | Strategy) => boolean | Layer): Strategy {
    const ways = this.#places.map(({ way }) => way.narrow(keep));
    const route = {
      wayTo: ({ index }: Place<Target>) => ways[index] as Way,
      repeats: false,
    };
    return {
      name: this.name,
      run: (call, next) => this.#start(call as CallState, next as Next, route) as Promise<never>,
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    return this.#start(call as CallState, next as Next, this.#route) as Promise<T>;
  }

  #start(call: CallState, next: Next, route: Route<Target>): Promise<unknown> {
    this.#health.see(call);
    const place = this.#choose(call, undefined);
    if (place === undefined)
      return rejectionOf(new NoEndpointError(this.name, this.#places.length));
    return this.#send(place, call, next, route, undefined);
  }

  /** Runs a call at an endpoint; `earlier` are those that did not take it in this run. */
  #send(
    place: Place<Target>,
    call: CallState,
    next: Next,
    route: Route<Target>,
    earlier: Passed<Place<Target>> | undefined,
  ): Promise<unknown> {
    const sent = new SentCall(call, this, place, next);
    noteTry(place, call);
    return this.#visit(sent, route.wayTo(place)).catch((error) =>
      this.#passOn(error, sent, call, route, { place, error, earlier }),
    );
  }

  /** Runs a call at its endpoint, and learns from how it ends. */
  #visit(sent: SentCall<Target>, way: Way): Promise<unknown> {
    const { place } = sent;
    const generation = this.#health.generation(place.index);
    const startedAt = sent.now();
    const ended = (outcome: SettledOutcome): void => {
      place.running--;
      if (generation === undefined) return;
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
    route: Route<Target>,
    passed: Passed<Place<Target>>,
  ): Promise<unknown> {
    if (call.aborted || !this.#mayMoveOn(error, sent, route)) throw error;
    const place = this.#choose(call, passed);
    if (place === undefined) throw toldOf(passed);
    if (call.observed)
      call.emit({ type: 'endpoint.skipped', ...this.#health.labelOf(passed.place.index), error });
    return this.#send(place, call, sent.next, route, passed);
  }

  #mayMoveOn(error: unknown, sent: SentCall<Target>, route: Route<Target>): boolean {
    if (isRefusal(error) && !sent.reached) return true;
    if (sent.reached && !route.repeats) return false;
    try {
      return this.#moveOn?.(error, sent) === true;
    } catch (thrown) {
      report(thrown, 'moveOn');
      return false;
    }
  }

  #learn(place: Place<Target>, generation: number, sent: SentCall<Target>, outcome: Outcome): void {
    const classify = this.#classify ?? sent.scope.classify;
    const verdict =
      outcome.ok && classify === undefined ? 'success' : verdictOf(classify, outcome, sent).kind;
    if (verdict === 'ignored') return;
    this.#health.record(place.index, generation, verdict === 'success', sent);
  }

  /** The endpoint for a call, but for those in `passed`; `undefined` if there is none. */
  #choose(call: CallState, passed: Passed<Place<Target>> | undefined): Place<Target> | undefined {
    this.#health.sweep(call);
    const ranked = this.#ranked(call);
    const offered = this.#health.offered(ranked, call);
    // Better one that is out than none, for a call that nobody took.
    const best = leastTried(offered, call, passed) ?? leastTried(ranked, call, passed);
    return best && leastLoadedOfTwo(best, call.now(), this.#random);
  }

  #ranked(call: CallState): readonly Ranked<Place<Target>>[] {
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

  #sentOf(call: Call): SentCall<Target> | undefined {
    for (let at: Call | undefined = call; at !== undefined; at = at.parent) {
      if (at instanceof SentCall && at.failover === this) return at as SentCall<Target>;
    }
    return undefined;
  }

  readonly #route: Route<Target> = { wayTo: ({ way }) => way, repeats: true };

  /** Behind an endpoint's own layers: what lies further in. */
  readonly #innermost: Stage = {
    run: (call) => {
      const sent = this.#sentOf(call) as SentCall<Target>;
      sent.reached = true;
      return sent.next(call);
    },
  };
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
