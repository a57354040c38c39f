/** What maturity is made of: criteria, each measured, with evidence and the next step. */
import type { Inspection } from '../inspection.js';
import type { Finding } from '../lint/rule.js';
import type { Settings } from '../settings.js';
import type { ProjectFacts } from './project.js';
import type { TelemetryFacts } from './telemetry-facts.js';

/** What is assessed. */
export type Area = 'patterns' | 'monitoring' | 'automation' | 'testing';

/** Levels, from what is done by hand to what tunes itself. */
export type Level = 1 | 2 | 3 | 4 | 5;

/** All that is measured. */
export interface Evidence {
  readonly service: Inspection;
  readonly settings: Settings;
  /** What lint finds in the service. */
  readonly findings: readonly Finding[];
  readonly project: ProjectFacts;
  readonly telemetry: TelemetryFacts;
}

/** What was found of a criterion. */
export interface Measurement {
  readonly met: boolean;
  /** What was seen, with numbers. */
  readonly evidence: string;
}

/** One thing that makes a service more mature. */
export interface Criterion {
  readonly id: string;
  readonly area: Area;
  readonly level: Level;
  /** What must be so. */
  readonly title: string;
  /** What to do where it isn't. */
  readonly next: string;
  measure(evidence: Evidence): Measurement;
}

/** What was found of a criterion, with what it is. */
export interface MeasuredCriterion extends Measurement {
  readonly id: string;
  readonly area: Area;
  readonly level: Level;
  readonly title: string;
  /** What to do; `null` where it is met. */
  readonly next: string | null;
}

/** Met if all of them do; none at all is not enough. */
export function all(count: number, of: number, what: string): Measurement {
  return { met: of > 0 && count === of, evidence: `${count} of ${of} ${what}` };
}

/** Met if lint finds nothing by these rules. */
export function without({ findings }: Evidence, rules: readonly string[]): Measurement {
  const found = findings.filter(({ rule }) => rules.includes(rule));
  const places = found.map(({ rule, place }) => `${rule} at ${place}`).join(', ');
  return {
    met: found.length === 0,
    evidence: found.length === 0 ? `resil lint finds none of ${rules.join(', ')}` : places,
  };
}

/** Met if a file was found; tells the first of them. */
export function found(files: readonly string[], what: string): Measurement {
  const [first] = files;
  const more = files.length > 1 ? ` and ${files.length - 1} more` : '';
  return {
    met: first !== undefined,
    evidence: first === undefined ? `no ${what} found` : `${what}: ${first}${more}`,
  };
}
