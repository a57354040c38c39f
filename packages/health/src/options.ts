/** Options of {@link health}. */
import {
  booleanRule,
  type Clock,
  checkOptions,
  clockRule,
  durationRule,
  functionRule,
  InvalidOptionError,
  type Keyed,
  nameRule,
  type OptionRules,
  objectRule,
  type Pipeline,
  positiveDurationRule,
  registered,
  systemClock,
} from '@resil/core';
import type { HealthStatus } from './statuses.js';

/** What a check of your own found. */
export interface CheckResult {
  /** Default: `'pass'`. */
  readonly status?: HealthStatus | undefined;
  /** A number or text to show. Default: none. */
  readonly observedValue?: number | string | undefined;
  /** Unit of `observedValue`. Default: none. */
  readonly observedUnit?: string | undefined;
}

/** A check of your own: of a disk, a queue, a licence. */
export interface HealthCheck {
  /**
   * Looks. What it throws is a failure, of which only name or code are shown. `signal` is aborted when
   * nobody waits for it any more.
   */
  readonly check: (context: {
    readonly signal: AbortSignal;
  }) => CheckResult | undefined | Promise<CheckResult | undefined>;
  /** Whether the service is not ready while it fails. @defaultValue `healthDefaults.critical` (`false`) */
  readonly critical?: boolean | undefined;
  /** Milliseconds that it may take, above 0. @defaultValue `healthDefaults.checkTimeout` (2,000) */
  readonly timeout?: number | undefined;
}

/** Options of {@link health}. */
export interface HealthOptions {
  /** Version of the service's interface. Default: none. */
  readonly version?: string | undefined;
  /** What was deployed: a commit, a build. Default: none. */
  readonly releaseId?: string | undefined;
  /** Which service it is. Default: none. */
  readonly serviceId?: string | undefined;
  /** What it is, for people. Default: none. */
  readonly description?: string | undefined;
  /** The pipelines to look at. Default: all of the process, see `registered` of @resil/core. */
  readonly pipelines?: (() => readonly (Pipeline | Keyed)[]) | undefined;
  /** Checks of your own, by name. Default: none. */
  readonly checks?: Readonly<Record<string, HealthCheck>> | undefined;
  /**
   * Milliseconds for which the results of your own checks are given again, so that many probes cost no
   * more than one.
   *
   * At least 0.
   *
   * @defaultValue `healthDefaults.checkInterval` (1,000)
   */
  readonly checkInterval?: number | undefined;
  /**
   * Whether the service takes a while to start: then it is neither started nor ready before `started()`
   * is called.
   *
   * @defaultValue `healthDefaults.starting` (`false`)
   */
  readonly starting?: boolean | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link health}. */
export const healthDefaults: {
  readonly critical: boolean;
  readonly checkTimeout: number;
  readonly checkInterval: number;
  readonly starting: boolean;
} = Object.freeze({ critical: false, checkTimeout: 2_000, checkInterval: 1_000, starting: false });

const rules: OptionRules<HealthOptions> = {
  version: nameRule,
  releaseId: nameRule,
  serviceId: nameRule,
  description: nameRule,
  pipelines: functionRule,
  checks: objectRule('an object of checks by name'),
  checkInterval: durationRule(),
  starting: booleanRule,
  clock: clockRule,
};

const checkRules: OptionRules<HealthCheck> = {
  check: functionRule,
  critical: booleanRule,
  timeout: positiveDurationRule(),
};

/** A check with its defaults. */
export interface NamedCheck {
  readonly name: string;
  readonly check: HealthCheck['check'];
  readonly critical: boolean;
  readonly timeout: number;
}

/** Options with their defaults. */
export interface ResolvedHealthOptions {
  readonly about: Readonly<Record<string, string | undefined>>;
  readonly pipelines: () => readonly (Pipeline | Keyed)[];
  readonly checks: readonly NamedCheck[];
  readonly checkInterval: number;
  readonly starting: boolean;
  readonly clock: Clock;
}

/** @throws `InvalidOptionError` */
export function resolveHealthOptions(options: HealthOptions): ResolvedHealthOptions {
  checkOptions('health', options, rules);
  const { version, releaseId, serviceId, description, checks = {} } = options;
  return {
    about: { version, releaseId, serviceId, description },
    pipelines: options.pipelines ?? registered,
    checks: Object.entries(checks).map(([name, check]) => resolveCheck(name, check)),
    checkInterval: options.checkInterval ?? healthDefaults.checkInterval,
    starting: options.starting ?? healthDefaults.starting,
    clock: options.clock ?? systemClock,
  };
}

function resolveCheck(name: string, given: HealthCheck): NamedCheck {
  const owner = `health.checks['${name}']`;
  checkOptions(owner, given, checkRules);
  if (given.check === undefined)
    throw new InvalidOptionError(`${owner}.check`, undefined, 'must be a function');
  return {
    name,
    check: given.check,
    critical: given.critical ?? healthDefaults.critical,
    timeout: given.timeout ?? healthDefaults.checkTimeout,
  };
}
