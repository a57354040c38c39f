/** What a rule is, and what it finds. */
import type { InspectedPipeline, Inspection } from '../inspection.js';
import type { Landscape } from '../landscape.js';

/** How bad it is: an `error` will hurt in the next outage, a `warning` may. */
export type Severity = 'error' | 'warning';

/** Something that a rule found. */
export interface Finding {
  /** Id of the rule. */
  readonly rule: string;
  readonly severity: Severity;
  /** The service. */
  readonly service: string;
  /** Pipeline, client or file. */
  readonly place: string;
  /** What is wrong here, with its numbers. */
  readonly why: string;
  /** The numbers; `null` stands for endless. */
  readonly figures: Readonly<Record<string, number | null>>;
  /** What to do. */
  readonly fix: string;
}

/** What a rule's check gives; who it is of is added. */
export type FindingOf = Omit<Finding, 'rule' | 'severity'>;

/** A rule, with all that its documentation is made of. */
export interface Rule {
  readonly id: string;
  readonly severity: Severity;
  /** What it finds, in a few words. */
  readonly title: string;
  /** Why that is bad, and how it is told. */
  readonly text: string;
  /** A module in which it finds something. */
  readonly bad: string;
  /** The same module without the fault. */
  readonly good: string;
  check(landscape: Landscape): readonly FindingOf[];
}

/** Asks about each pipeline of each service. */
export function perPipeline(
  check: (
    pipeline: InspectedPipeline,
    service: Inspection,
  ) => Omit<FindingOf, 'service' | 'place'>[],
): Rule['check'] {
  return ({ services }) =>
    services.flatMap((service) =>
      service.pipelines.flatMap((pipeline) =>
        check(pipeline, service).map((found) => ({
          service: service.service,
          place: pipeline.place,
          ...found,
        })),
      ),
    );
}
