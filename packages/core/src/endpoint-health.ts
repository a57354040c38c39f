/**
 * What a failover knows of its endpoints: which are ejected as outliers, which fail their health check,
 * and whether too few are left to go by that. Tells what changes as events.
 */
import type { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import type { Endpoint, EndpointStatus } from './endpoint.js';
import type { Place } from './endpoint-place.js';
import type { EndpointEvent } from './events.js';
import { type FailoverOptions, failoverDefaults } from './failover-options.js';
import { markOf, type ObservedMark } from './guard-mode.js';
import { HealthChecks } from './health-checks.js';
import {
  OutlierDetection,
  type OutlierDetectionOptions,
  resolveOutlierDetectionOptions,
} from './outlier-detection.js';
import type { Ranked } from './tried-places.js';

/** Sets of endpoints that are remembered to have too few left; `rank` may make as many as it likes. */
const MOST_PANICS = 1_000;

/** Tells an event; `cause` is the call that it comes of, if it does. */
export type TellEndpointEvent = (
  event: EndpointEvent,
  clock: Clock,
  cause: CallState | undefined,
) => void;

/** The health of the endpoints of one failover. */
export class EndpointHealth<Target> {
  readonly #strategy: string;
  readonly #places: readonly Place<Target>[];
  readonly #panicRatio: number;
  readonly #tell: TellEndpointEvent;
  readonly #outliers: OutlierDetection | undefined;
  readonly #checks: HealthChecks<Target> | undefined;
  /** Sets of endpoints that too few are left of: `rank` may allow calls to different ones. */
  readonly #panics = new Set<string>();
  #holders = 0;
  /** What causes the changes that are told at this moment, and where time comes from. */
  #cause: CallState | undefined;
  #clock: Clock | undefined;

  /** @throws {@link InvalidOptionError} */
  constructor(
    strategy: string,
    places: readonly Place<Target>[],
    options: FailoverOptions<Target>,
    tell: TellEndpointEvent,
  ) {
    this.#strategy = strategy;
    this.#places = places;
    this.#panicRatio = options.panicRatio ?? failoverDefaults.panicRatio;
    this.#tell = tell;
    if (options.outlierDetection !== false) {
      this.#outliers = new OutlierDetection(
        places.length,
        resolveOutlierDetectionOptions(options.outlierDetection ?? {}),
        {
          ejected: (index, reason, delay) => this.#ejected(index, reason, delay),
          returned: (index) => this.#returned(index),
        },
      );
    }
    if (options.healthCheck !== undefined) {
      const endpoints = places.map(({ endpoint }): Endpoint<Target> => endpoint);
      this.#checks = new HealthChecks(endpoints, options.healthCheck, {
        unhealthy: (index, error) =>
          this.#emit({ type: 'endpoint.unhealthy', ...this.labelOf(index), error }),
        passed: (index, changed) => this.#passed(index, changed),
      });
    }
  }

  get outlierDetection(): OutlierDetectionOptions | false {
    return this.#outliers?.options ?? false;
  }
  get checked(): boolean {
    return this.#checks !== undefined;
  }
  get panicking(): boolean {
    return this.#panics.size > 0;
  }

  /** A call comes by: time comes from its clock from now on. */
  see(call: CallState): void {
    this.#clock = call.clock;
    this.#checks?.start(call.clock);
  }

  /** As `see`, for a call that goes by without a choice. */
  pass(call: CallState): void {
    this.#clock = call.clock;
  }

  /** The health checks go on while anybody holds them. */
  hold(): () => void {
    this.#holders++;
    this.#checks?.resume();
    return () => {
      this.#holders--;
      if (this.#holders === 0) this.#checks?.pause();
    };
  }

  /** Ends the health checks, for good. */
  close(): void {
    this.#checks?.close();
  }

  stateOf(index: number): EndpointStatus['state'] {
    if (this.#checks?.isHealthy(index) === false) return 'unhealthy';
    return this.#outliers?.isEjected(index) === true ? 'ejected' : 'available';
  }

  ejections(index: number): number {
    return this.#outliers?.ejections(index) ?? 0;
  }

  /** Brings ejections and returns up to the time of a call. */
  sweep(call: CallState): void {
    this.#cause = call;
    this.#outliers?.sweep(call.now());
    this.#cause = undefined;
  }

  /** Those that are available; all of them where too few are. */
  offered(
    ranked: readonly Ranked<Place<Target>>[],
    call: CallState,
  ): readonly Ranked<Place<Target>>[] {
    const available = ranked.filter(({ place }) => this.stateOf(place.index) === 'available');
    const panicking = available.length === 0 || available.length / ranked.length < this.#panicRatio;
    if (ranked.length > 0 && (panicking || this.panicking)) {
      this.#cause = call;
      this.#notePanic(panicking, ranked, available.length);
      this.#cause = undefined;
    }
    return panicking ? ranked : available;
  }

  /** What tells results of the ejection that an endpoint is in now from those of an earlier one; `undefined` where results don't matter. */
  generation(index: number): number | undefined {
    return this.#outliers?.generation(index);
  }

  /** Learns that a call to an endpoint succeeded or failed. */
  record(index: number, generation: number, succeeded: boolean, call: CallState): void {
    this.#cause = call;
    this.#outliers?.record(index, generation, succeeded, call.clock.now());
    this.#cause = undefined;
  }

  /** What names an endpoint in events. */
  labelOf(index: number): { readonly strategy: string; readonly endpoint: string } {
    const { endpoint } = this.#places[index] as Place<Target>;
    return { strategy: this.#strategy, endpoint: endpoint.name };
  }

  #ejected(
    index: number,
    reason: (EndpointEvent & { type: 'endpoint.ejected' })['reason'],
    delay: number,
  ): void {
    const enforced = this.#isEnforced;
    const told = { ...this.labelOf(index), reason, delay, enforced, ...this.#mark };
    this.#emit({ type: 'endpoint.ejected', ...told });
  }

  #returned(index: number): void {
    // Where it is only observed, the endpoint was never away.
    if (this.#isEnforced) this.#startSlowly(index);
    this.#emit({ type: 'endpoint.returned', ...this.labelOf(index), ...this.#mark });
  }

  #passed(index: number, changed: boolean): void {
    if (changed) {
      this.#startSlowly(index);
      this.#emit({ type: 'endpoint.healthy', ...this.labelOf(index) });
    }
    this.#outliers?.end(index);
  }

  /** Tells where a set of endpoints begins or ceases to have too few. */
  #notePanic(panicking: boolean, among: readonly Ranked<Place<Target>>[], available: number): void {
    const panics = this.#panics;
    const set = among.map(({ place }) => place.index).join();
    if (panics.has(set) === panicking) return;
    if (panicking) panics.add(set);
    else panics.delete(set);
    if (panics.size > MOST_PANICS) panics.delete(panics.values().next().value as string);
    const type = panicking ? 'failover.panicked' : 'failover.recovered';
    this.#emit({ type, strategy: this.#strategy, available });
  }

  get #isEnforced(): boolean {
    return this.#outliers?.options.enforced === true;
  }

  /** What marks the events of outlier detection. */
  get #mark(): ObservedMark {
    return markOf(this.#isEnforced ? 'enforce' : 'observe');
  }

  #startSlowly(index: number): void {
    (this.#places[index] as Place<Target>).returnedAt = this.#clock?.now() ?? 0;
  }

  #emit(event: EndpointEvent): void {
    if (this.#clock !== undefined) this.#tell(event, this.#clock, this.#cause);
  }
}
