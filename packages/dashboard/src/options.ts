/** What a dashboard can be told, and the defaults. */
import type { IncomingMessage } from 'node:http';
import {
  booleanRule,
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
  systemClock,
} from '@resil/core';

/** Who may isolate and reset circuits. */
export interface ControlOptions {
  /** What a person has to enter; 16 to 200 visible ASCII characters. Keep it out of the source. */
  readonly token: string;
}

/** Which other processes are shown. */
export interface ReportsOptions {
  /** What they have to send; 16 to 200 visible ASCII characters. Not the one of `control`. */
  readonly token: string;
  /**
   * Processes shown at most, those that are gone included; a further one is refused until one is dropped.
   *
   * At least 1.
   *
   * @defaultValue `dashboardDefaults.maxProcesses` (50)
   */
  readonly maxProcesses?: number | undefined;
  /**
   * Milliseconds without a report, beyond the interval it announced, after which a process is shown as gone.
   *
   * Above 0.
   *
   * @defaultValue `dashboardDefaults.goneTimeout` (10,000)
   */
  readonly goneTimeout?: number | undefined;
  /**
   * Milliseconds for which a process that is gone is still shown.
   *
   * Above 0.
   *
   * @defaultValue `dashboardDefaults.dropTimeout` (300,000)
   */
  readonly dropTimeout?: number | undefined;
}

/** Options of {@link dashboard}. */
export interface DashboardOptions {
  /**
   * Where it is mounted in a `node:http` server: `'/resilience'`. Express and Fastify tell it themselves.
   *
   * @defaultValue `'/'`
   */
  readonly path?: string | undefined;
  /** Heading of the page, and name of this process. @defaultValue `dashboardDefaults.title` ('resilience') */
  readonly title?: string | undefined;
  /**
   * Milliseconds between two samples, which are one frame to all viewers.
   *
   * From 100. While nobody looks, samples are taken five times more rarely.
   *
   * @defaultValue `dashboardDefaults.interval` (1,000)
   */
  readonly interval?: number | undefined;
  /**
   * Samples kept of each pipeline, for what the charts show of the time before somebody looked.
   *
   * From 2 to 10,000; one takes 52 bytes.
   *
   * @defaultValue `dashboardDefaults.historySize` (300)
   */
  readonly historySize?: number | undefined;
  /** Events kept. At least 1. @defaultValue `dashboardDefaults.maxEvents` (500) */
  readonly maxEvents?: number | undefined;
  /** Pages open at a time; a further one is answered with status 503. At least 1. @defaultValue `dashboardDefaults.maxViewers` (50) */
  readonly maxViewers?: number | undefined;
  /** Pipelines shown of this process, the oldest ones. At least 1. @defaultValue `dashboardDefaults.maxPipelines` (1,000) */
  readonly maxPipelines?: number | undefined;
  /** Keys shown of each set of keyed pipelines: of those used last the ones in trouble, then the most active. At least 1. @defaultValue `dashboardDefaults.maxKeys` (20) */
  readonly maxKeys?: number | undefined;
  /**
   * Whether events are heard while nobody looks, so that latencies and events of before are there when
   * somebody does. Costs each call what a listener costs. Changes of circuits are noticed in any case.
   *
   * @defaultValue `dashboardDefaults.background` (false)
   */
  readonly background?: boolean | undefined;
  /** Who may look: asked for every request but those of `report`. What it throws counts as no. Default: whoever reaches it. */
  readonly authorize?: ((request: IncomingMessage) => boolean | Promise<boolean>) | undefined;
  /** Lets a person isolate and reset circuits. Default: nobody may. */
  readonly control?: ControlOptions | undefined;
  /** Lets other processes report to this dashboard. Default: none may. */
  readonly reports?: ReportsOptions | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link DashboardOptions} and {@link ReportsOptions}. */
export const dashboardDefaults: {
  readonly title: string;
  readonly interval: number;
  readonly historySize: number;
  readonly maxEvents: number;
  readonly maxViewers: number;
  readonly maxPipelines: number;
  readonly maxKeys: number;
  readonly background: boolean;
  readonly maxProcesses: number;
  readonly goneTimeout: number;
  readonly dropTimeout: number;
} = Object.freeze({
  title: 'resilience',
  interval: 1_000,
  historySize: 300,
  maxEvents: 500,
  maxViewers: 50,
  maxPipelines: 1_000,
  maxKeys: 20,
  background: false,
  maxProcesses: 50,
  goneTimeout: 10_000,
  dropTimeout: 300_000,
});

/** Options with their defaults filled in. */
export interface ResolvedDashboardOptions {
  readonly path: string;
  readonly title: string;
  readonly interval: number;
  readonly historySize: number;
  readonly maxEvents: number;
  readonly maxViewers: number;
  readonly maxPipelines: number;
  readonly maxKeys: number;
  readonly background: boolean;
  readonly authorize: DashboardOptions['authorize'];
  readonly controlToken: string | undefined;
  readonly reports: ResolvedReportsOptions | undefined;
  readonly clock: Clock;
}

/** {@link ReportsOptions} with their defaults filled in. */
export interface ResolvedReportsOptions {
  readonly token: string;
  readonly maxProcesses: number;
  readonly goneTimeout: number;
  readonly dropTimeout: number;
}

/** Anything; a token is checked by {@link checkToken}. */
export const tokenRule: OptionRule = { test: () => true, text: 'a token' };

/** Refuses what is not a token, without showing it. */
export function checkToken(option: string, value: unknown): void {
  if (typeof value === 'string' && /^[\x21-\x7e]{16,200}$/.test(value)) return;
  const shown = typeof value === 'string' ? '*'.repeat(value.length) : value;
  throw new InvalidOptionError(option, shown, 'must be 16 to 200 visible ASCII characters');
}

/** Milliseconds between samples or reports. */
export const intervalRule: OptionRule = {
  test: (value) => typeof value === 'number' && value >= 100 && value <= 3_600_000,
  text: 'a number of milliseconds from 100 to 3600000',
};

const controlRules: OptionRules<ControlOptions> = { token: tokenRule };

const reportsRules: OptionRules<ReportsOptions> = {
  token: tokenRule,
  maxProcesses: countRule(1),
  goneTimeout: positiveDurationRule(),
  dropTimeout: positiveDurationRule(),
};

const rules: OptionRules<DashboardOptions> = {
  path: {
    test: (value) => typeof value === 'string' && /^\/(?:[\w.~-]+\/?)*$/.test(value),
    text: "a path that begins with '/'",
  },
  title: nameRule,
  interval: intervalRule,
  historySize: {
    test: (value) =>
      Number.isSafeInteger(value) && (value as number) >= 2 && (value as number) <= 10_000,
    text: 'a whole number from 2 to 10000',
  },
  maxEvents: countRule(1),
  maxViewers: countRule(1),
  maxPipelines: countRule(1),
  maxKeys: countRule(1),
  background: booleanRule,
  authorize: functionRule,
  control: objectRule('an object ({ token })'),
  reports: objectRule('an object ({ token })'),
  clock: clockRule,
};

/** @throws `InvalidOptionError` */
export function resolveDashboardOptions(options: DashboardOptions): ResolvedDashboardOptions {
  checkOptions('dashboard', options, rules);
  const { control, reports, authorize } = options;
  if (control !== undefined) {
    checkOptions('dashboard.control', control, controlRules);
    checkToken('dashboard.control.token', control.token);
  }
  if (reports !== undefined) {
    checkOptions('dashboard.reports', reports, reportsRules);
    checkToken('dashboard.reports.token', reports.token);
  }
  const defaults = dashboardDefaults;
  return {
    path: `${(options.path ?? '/').replace(/\/+$/, '')}/`,
    title: options.title ?? defaults.title,
    interval: options.interval ?? defaults.interval,
    historySize: options.historySize ?? defaults.historySize,
    maxEvents: options.maxEvents ?? defaults.maxEvents,
    maxViewers: options.maxViewers ?? defaults.maxViewers,
    maxPipelines: options.maxPipelines ?? defaults.maxPipelines,
    maxKeys: options.maxKeys ?? defaults.maxKeys,
    background: options.background ?? defaults.background,
    authorize,
    controlToken: control?.token,
    reports: reports && {
      token: reports.token,
      maxProcesses: reports.maxProcesses ?? defaults.maxProcesses,
      goneTimeout: reports.goneTimeout ?? defaults.goneTimeout,
      dropTimeout: reports.dropTimeout ?? defaults.dropTimeout,
    },
    clock: options.clock ?? systemClock,
  };
}
