/**
 * Alert rules for Prometheus, from what a service's pipelines are made of: an alert is there only where
 * its layer is.
 *
 * The objective is watched by burn rates over two windows each, as chapter 5 of "The Site Reliability
 * Workbook" has it (table 5-8): a short window, so that an alert ends soon after the cause, within a long
 * one, so that a blip raises none.
 */
import type { Inspection } from '../inspection.js';
import { has } from '../lint/layers.js';
import type { Settings } from '../settings.js';
import { alertsOf } from './dependency-alerts.js';
import { Expressions, sumBy } from './promql.js';
import { dependenciesOf, type ProtectedDependency } from './protected-dependency.js';

/** A file of rules, as Prometheus reads it. */
export interface RuleFile {
  readonly groups: readonly RuleGroup[];
}

/** Rules that are evaluated together. */
export interface RuleGroup {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly (AlertRule | RecordingRule)[];
}

/** A rule that raises an alert. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A rule that keeps a value under a name. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

/** What the rules may be told. */
export interface AlertOptions {
  /** Matchers in PromQL that all series must have: `job="orders"`. Default: none. */
  readonly selector?: string | undefined;
  /** Factor on all windows and waits, above 0: 1 for production, less for drills. @defaultValue 1 */
  readonly timeScale?: number | undefined;
  /** What stands before the name of a runbook in annotations: a URL or a path. @defaultValue `runbooks/` */
  readonly runbooks?: string | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Burn rates with their windows, and who is told. */
export const burnRates: readonly {
  readonly factor: number;
  readonly long: number;
  readonly short: number;
  readonly severity: 'page' | 'ticket';
}[] = Object.freeze([
  { factor: 14.4, long: HOUR, short: 5 * MINUTE, severity: 'page' },
  { factor: 6, long: 6 * HOUR, short: 30 * MINUTE, severity: 'page' },
  { factor: 3, long: DAY, short: 2 * HOUR, severity: 'ticket' },
  { factor: 1, long: 3 * DAY, short: 6 * HOUR, severity: 'ticket' },
]);

/** The rules for a service: what is recorded, the objectives, and the alerts of each dependency. */
export function alertRules(
  service: Inspection,
  settings: Settings = {},
  options: AlertOptions = {},
): RuleFile {
  const { selector, timeScale = 1, runbooks = 'runbooks/' } = options;
  const expressions = new Expressions({ selector, timeScale });
  const dependencies = dependenciesOf(service, settings);
  const group = service.service;
  return {
    groups: [
      { name: `${group}: error ratios`, rules: errorRatios(expressions) },
      ...dependencies.map((dependency) => ({
        name: `${group}: ${dependency.name}`,
        rules: [...burnAlerts(dependency, expressions), ...alertsOf(dependency, expressions)].map(
          (rule) => told(rule, dependency, service, runbooks),
        ),
      })),
    ],
  };
}

/** Which calls the service was told of, one way or another; the caller's own aborts say nothing. */
const ENDED = ['succeeded', 'failed', 'rejected'];

/** Name under which the share of failed calls within a window is kept. */
export function errorRatioName(window: number, expressions: Expressions): string {
  return `resil_pipeline:call_errors:ratio_rate${expressions.duration(window)}`;
}

function errorRatios(expressions: Expressions): RecordingRule[] {
  const windows = new Set(burnRates.flatMap(({ long, short }) => [short, long]));
  return [...windows]
    .sort((a, b) => a - b)
    .map((window) => {
      const ended = (outcome: readonly string[]): string =>
        sumBy(
          ['resil.pipeline'],
          expressions.rate('callDuration', window, { 'resil.outcome': outcome }, '_count'),
        );
      return {
        record: errorRatioName(window, expressions),
        expr: `${ended(['failed', 'rejected'])} / ${ended(ENDED)}`,
      };
    });
}

function burnAlerts(
  { name, objective }: ProtectedDependency,
  expressions: Expressions,
): AlertRule[] {
  const budget = 1 - objective;
  const above = (window: number, factor: number): string =>
    `${errorRatioName(window, expressions)}{resil_pipeline=${JSON.stringify(name)}} > ${round(factor * budget)}`;
  return (['page', 'ticket'] as const).map((severity) => {
    const rates = burnRates.filter((rate) => rate.severity === severity);
    return {
      alert: severity === 'page' ? 'ResilErrorBudgetBurnsFast' : 'ResilErrorBudgetBurns',
      expr: rates
        .map(({ long, short, factor }) => `(${above(long, factor)} and ${above(short, factor)})`)
        .join(' or '),
      labels: { severity },
      annotations: {
        summary: `calls of ${name} fail too often for its objective of ${round(objective * 100)} %`,
        description: `{{ $value | humanizePercentage }} of the calls fail; at ${rates.map(({ factor }) => `${factor}×`).join(' or ')} of what the objective allows, the error budget of 30 days is used up in ${rates.map(({ factor }) => daysText(30 / factor)).join(' or ')}.`,
      },
    };
  });
}

function daysText(days: number): string {
  return days === 1 ? 'a day' : `${Math.round(days * 10) / 10} days`;
}

/** Without the noise of binary fractions. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}

/** What every alert says of where it comes from and where to look. */
function told(
  rule: AlertRule,
  { name, critical, settings, pipeline }: ProtectedDependency,
  { service }: Inspection,
  runbooks: string,
): AlertRule {
  return {
    ...rule,
    labels: {
      ...rule.labels,
      service,
      dependency: name,
      critical: String(critical),
      ...(settings.owner !== undefined && { owner: settings.owner }),
    },
    annotations: {
      ...rule.annotations,
      runbook: `${runbooks}${runbookFile(name)}`,
      ...(has(pipeline, 'fallback') && { meanwhile: 'a fallback answers' }),
    },
  };
}

/** Name of a dependency's runbook: what file systems and URLs allow. */
export function runbookFile(name: string): string {
  return `${name.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'dependency'}.md`;
}
