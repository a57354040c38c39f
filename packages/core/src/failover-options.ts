/** Options of failover and their defaults. */
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import type { Endpoint, EndpointOptions } from './endpoint.js';
import type { HealthCheckOptions } from './health-checks.js';
import type { Layer } from './layer.js';
import type { Classify } from './outcome.js';
import type { OutlierDetectionOptions } from './outlier-detection.js';
import type { Random } from './random.js';
import {
  anyRule,
  clockRule,
  durationRule,
  eitherRule,
  functionRule,
  nameRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  ratioRule,
  shareRule,
} from './validate.js';

/** Options of {@link failover}. */
export interface FailoverOptions<Target> {
  /**
   * Where calls can go: at least one. A string stands for an endpoint of that target and name.
   *
   * Endpoints of the same `priority` are a group; a call goes to the lowest group that has an
   * endpoint to offer, and within it to the less loaded of two that are drawn by `weight`.
   */
  readonly endpoints: readonly ((Target & string) | EndpointOptions<Target>)[];
  /**
   * Layers of each endpoint's own, outermost first; called once for each at construction. Calls to the
   * endpoint go through them inside the failover. Default: none.
   */
  readonly layers?: ((endpoint: Endpoint<Target>) => readonly Layer[]) | undefined;
  /**
   * Group of an endpoint for one call, in place of its `priority`: lower first, `Infinity` for not at
   * all. If it throws, the error is reported and the `priority` stands. Default: the `priority`.
   */
  readonly rank?: ((endpoint: Endpoint<Target>, call: Call) => number) | undefined;
  /**
   * Whether a call that failed with `error` at one endpoint goes to the next at once, within the same
   * attempt: only where the endpoint certainly did no work. A refusal of the endpoint's own layers
   * always does. Each endpoint is tried at most once that way. Default: nothing else does.
   */
  readonly moveOn?: ((error: unknown, call: Call) => boolean) | undefined;
  /** Ejection of endpoints that do worse than the others; `false` for none. Default: `outlierDetectionDefaults`. */
  readonly outlierDetection?: OutlierDetectionOptions | false | undefined;
  /** Active health checks; they begin with the first call and end with `close()`. Default: none. */
  readonly healthCheck?: HealthCheckOptions<Target> | undefined;
  /**
   * Milliseconds over which an endpoint that returns gets back to its full weight; 0 for at once.
   *
   * @defaultValue `failoverDefaults.slowStartDuration` (30,000)
   */
  readonly slowStartDuration?: number | undefined;
  /**
   * Share of its weight that a returning endpoint begins with, in (0, 1].
   *
   * @defaultValue `failoverDefaults.slowStartRatio` (0.1)
   */
  readonly slowStartRatio?: number | undefined;
  /**
   * Share of endpoints that must be available, in 0..1; with fewer, calls go to all of them whatever
   * is known of them. With none available they always do.
   *
   * @defaultValue `failoverDefaults.panicRatio` (0; Envoy: 0.5, for clusters of hundreds)
   */
  readonly panicRatio?: number | undefined;
  /** Tells which outcomes are failures of an endpoint. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
  /** Name in errors and events. @defaultValue `'failover'` */
  readonly name?: string | undefined;
  /** Source of time. Default: that of the pipeline. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link failover}. */
export const failoverDefaults: {
  readonly slowStartDuration: number;
  readonly slowStartRatio: number;
  readonly panicRatio: number;
  readonly name: string;
} = Object.freeze({
  slowStartDuration: 30_000,
  slowStartRatio: 0.1,
  panicRatio: 0,
  name: 'failover',
});

/** What is allowed for each option; what `endpoints` holds is checked where it is read. */
export const failoverRules: OptionRules<FailoverOptions<unknown>> = {
  endpoints: anyRule,
  layers: functionRule,
  rank: functionRule,
  moveOn: functionRule,
  outlierDetection: eitherRule(objectRule('an options object'), oneOfRule(false)),
  healthCheck: objectRule('an options object'),
  slowStartDuration: durationRule(),
  slowStartRatio: ratioRule,
  panicRatio: shareRule,
  classify: functionRule,
  random: functionRule,
  name: nameRule,
  clock: clockRule,
};
