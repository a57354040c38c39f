/** How mature a service is: its level in each area, and what would bring it further. */
import type { Inspection } from '../inspection.js';
import { withSettings } from '../landscape.js';
import { lint } from '../lint/lint.js';
import type { Settings } from '../settings.js';
import { automationCriteria } from './automation.js';
import type { Area, Criterion, Evidence, Level, MeasuredCriterion } from './criterion.js';
import { monitoringCriteria } from './monitoring.js';
import { patternCriteria } from './patterns.js';
import { readProject } from './project.js';
import type { TelemetryFacts } from './telemetry-facts.js';
import { testingCriteria } from './testing.js';

/** Every criterion, by area and level. */
export const criteria: readonly Criterion[] = Object.freeze([
  ...patternCriteria,
  ...monitoringCriteria,
  ...automationCriteria,
  ...testingCriteria,
]);

/** The areas, in the order of their telling. */
export const areas: readonly Area[] = Object.freeze([
  'patterns',
  'monitoring',
  'automation',
  'testing',
]);

/** What the levels mean. */
export const levels: Readonly<Record<Level, { readonly name: string; readonly text: string }>> =
  Object.freeze({
    1: { name: 'begun', text: 'calls end, somebody hears of failures, and changes are tested' },
    2: {
      name: 'bounded',
      text: 'failures stay small: retries are bounded, and everything can be told apart',
    },
    3: {
      name: 'isolated',
      text: 'a dependency that fails takes nothing else with it, and that is checked',
    },
    4: {
      name: 'managed',
      text: 'the service goes on with less, and people know what to do, from what the configuration says',
    },
    5: {
      name: 'self-tuning',
      text: 'limits, delays, budgets and load follow what is measured, and outages are practised',
    },
  });

/** How mature a service is in one area. */
export interface AreaAssessment {
  readonly area: Area;
  /** The level of which, and of all below, every criterion is met; 0 for none. */
  readonly level: Level | 0;
  readonly criteria: readonly MeasuredCriterion[];
}

/** How mature a service is. */
export interface Assessment {
  readonly service: string;
  /** The least of the areas' levels. */
  readonly level: Level | 0;
  readonly areas: readonly AreaAssessment[];
}

/** What an assessment may be told. */
export interface AssessOptions {
  /** What the code can't tell. */
  readonly settings?: Settings | undefined;
  /** What was seen of the service in operation. Default: nothing. */
  readonly telemetry?: TelemetryFacts | undefined;
}

/** Measures every criterion. */
export async function assess(
  inspection: Inspection,
  options: AssessOptions = {},
): Promise<Assessment> {
  const { settings = {}, telemetry = { timeline: undefined, prometheus: undefined } } = options;
  // Calls between services are theirs together; here is one alone.
  const { calls: _calls, ...own } = settings;
  const evidence: Evidence = {
    service: withSettings(inspection, settings),
    settings,
    findings: lint([inspection], { settings: own }),
    project: await readProject(inspection.file),
    telemetry,
  };
  return assessed(evidence);
}

/** Measures every criterion of what is known already. */
export function assessed(evidence: Evidence): Assessment {
  const measured = criteria.map((criterion): MeasuredCriterion => {
    const { id, area, level, title, next } = criterion;
    const measurement = criterion.measure(evidence);
    return { id, area, level, title, ...measurement, next: measurement.met ? null : next };
  });
  const byArea = areas.map((area): AreaAssessment => {
    const own = measured.filter((criterion) => criterion.area === area);
    return { area, level: levelOf(own), criteria: own };
  });
  const least = Math.min(...byArea.map(({ level }) => level)) as Level | 0;
  return { service: evidence.service.service, level: least, areas: byArea };
}

function levelOf(own: readonly MeasuredCriterion[]): Level | 0 {
  let reached: Level | 0 = 0;
  for (const level of [1, 2, 3, 4, 5] as const) {
    if (own.some((criterion) => criterion.level === level && !criterion.met)) return reached;
    reached = level;
  }
  return reached;
}
