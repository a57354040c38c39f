/** The alerts that Prometheus raised in a run: when, for which dependency, and in which outage. */
import type { PrometheusSeries } from '@resil/testbed';
import type { AlertSpan, ObservedPhase, RunRecord } from './record.js';
import { format } from './table.js';

/** Series of the alerts that fired; each of its points is a moment at which it did. */
export const FIRING = 'ALERTS{alertstate="firing",dependency!=""}';

/** From when to when alerts fired, from points `step` ms apart up to `until`. */
export function alertSpans(
  series: readonly PrometheusSeries[],
  step: number,
  until: number,
): AlertSpan[] {
  return series
    .flatMap(({ labels, points }) => {
      const { alertname: alert = '', dependency = '', severity = '' } = labels;
      const spans: Array<{ -readonly [Name in keyof AlertSpan]: AlertSpan[Name] }> = [];
      for (const [at] of points) {
        const latest = spans.at(-1);
        // The first moment at which it was gone, for all that is known.
        if (latest?.resolvedAt === at) latest.resolvedAt = at + step;
        else spans.push({ alert, dependency, severity, firedAt: at, resolvedAt: at + step });
      }
      const last = spans.at(-1);
      if (last?.resolvedAt !== undefined && last.resolvedAt > until) last.resolvedAt = undefined;
      return spans;
    })
    .sort((one, other) => one.firedAt - other.firedAt);
}

/** A line for each alert, in the order in which they fired. */
export function alertLines({ alerts, phases }: RunRecord): string[] {
  return (alerts ?? []).map((span) => {
    const { alert, dependency, severity } = span;
    const phase = phaseOf(span, phases);
    return `${alert} of ${dependency} (${severity}): ${firedText(span, phase)}, ${resolvedText(span, phase)}`;
  });
}

/** The phase in which an alert fired; the first one for what fired before all. */
function phaseOf(
  { firedAt }: AlertSpan,
  phases: readonly ObservedPhase[],
): ObservedPhase | undefined {
  return phases.findLast(({ wall }) => wall.start <= firedAt) ?? phases[0];
}

function firedText({ firedAt }: AlertSpan, observed: ObservedPhase | undefined): string {
  if (observed === undefined) return 'fired';
  const { phase, wall } = observed;
  return firedAt <= wall.lifted || phase.fault === undefined
    ? `fired ${format.duration(Math.max(0, firedAt - wall.start))} into '${phase.title}'`
    : `fired ${format.duration(firedAt - wall.lifted)} after '${phase.title}'`;
}

function resolvedText({ resolvedAt }: AlertSpan, observed: ObservedPhase | undefined): string {
  if (resolvedAt === undefined) return 'still fires at the end';
  if (observed === undefined) return 'resolved';
  const after = resolvedAt - observed.wall.lifted;
  return after < 0
    ? `resolved ${format.duration(-after)} before its end`
    : `resolved ${format.duration(after)} after its end`;
}
