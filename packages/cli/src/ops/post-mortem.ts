/** The template of a post-mortem, filled with what a log of events tells. */
import { durationText } from '../duration-text.js';
import type { Inspection } from '../inspection.js';
import { runbookFile } from './alerts.js';
import type { ProtectedDependency } from './protected-dependency.js';
import type { Timeline, TimelineEntry } from './timeline.js';

/** The post-mortem as Markdown. Without a timeline its place is left open. */
export function postMortem(
  { service }: Inspection,
  dependencies: readonly ProtectedDependency[],
  timeline: Timeline | undefined,
): string {
  return `# Post-mortem: ${service}, <date>, <what happened>

*Written by:* …  *State:* draft
*Nobody is to blame*: everybody did what seemed right with what they knew.

## Summary

<Two sentences: what customers saw, from when to when, and why.>

## Impact

${timeline === undefined ? '<Calls that failed, for whom, for how long.>' : impact(timeline)}

## Timeline

${timeline === undefined ? 'No event log was given: `resil ops <module> --out <dir> --events <ndjson>` fills this in.' : timelineTable(timeline)}

## Detection

${timeline === undefined ? '<Which alert told first, how long after the first failed call?>' : detection(timeline)}

- Which alert told whom, and when? Should one have told before?

## Response and recovery

${timeline === undefined ? '<What was done, by whom, and what helped.>' : recoveries(timeline)}

- What was done by hand, and what did it do? Were the runbooks right?

| dependency | runbook |
| --- | --- |
${dependencies.map(({ name }) => `| ${name} | [${runbookFile(name)}](runbooks/${runbookFile(name)}) |`).join('\n')}

## Causes

1. Why did it fail? …
2. Why was that possible? …
3. Why did it not stay there? (a retry storm, a timeout that was too long, a guard that was missing: \`resil lint\`)

## What went well, what did not, where luck was had

- …

## Actions

| action | kind (prevent, find, soften, recover) | who | until |
| --- | --- | --- | --- |
| … | | | |
`;
}

function impact({ calls, firstAt, lastAt, events, skipped, dropped }: Timeline): string {
  const rows = Object.entries(calls).map(
    ([pipeline, { succeeded, failed, rejected, aborted, fallbacks }]) =>
      `| ${[pipeline, succeeded, failed, rejected, aborted, fallbacks].join(' | ')} |`,
  );
  const passed = [
    skipped === 0 ? '' : `, ${skipped} lines that are no event passed over`,
    dropped === 0 ? '' : `, ${dropped} events that there was no room for left out of the timeline`,
  ].join('');
  return [
    `${events} events in ${durationText(lastAt - firstAt)}${passed}.`,
    '',
    '| pipeline | succeeded | failed | refused | aborted by callers | answered by a fallback |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n');
}

function timelineTable(timeline: Timeline): string {
  const rows = timeline.entries.map((entry) => {
    const times =
      entry.count === 1
        ? ''
        : ` ${entry.count} times within ${durationText(entry.until - entry.at)}`;
    const details = Object.entries(entry.details)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => (entry.count === 1 ? name : `${name} ×${count}`))
      .join(', ');
    const what = `${WORDS[entry.type] ?? entry.type}${times}`;
    return `| ${momentOf(entry, timeline)} | ${entry.pipeline} | ${what} | ${details.replaceAll('|', '\\|')} |`;
  });
  if (rows.length === 0) return 'The log tells of nothing out of the usual.';
  return ['| when | pipeline | what | why |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function momentOf({ at, time }: TimelineEntry, { firstAt }: Timeline): string {
  const relative = `+${((at - firstAt) / 1_000).toFixed(1)} s`;
  return time === undefined ? relative : `${new Date(time).toISOString()} (${relative})`;
}

function detection({ entries, outages, firstAt }: Timeline): string {
  // What a fallback answers has failed too.
  const bad = entries.find(({ type }) =>
    /^(?:call\.(?:failed|rejected)|timeout\.expired|fallback\.used)$/.test(type),
  );
  const [outage] = outages;
  if (bad === undefined) return 'No call went wrong in the log.';
  const since = (at: number): string => `+${((at - firstAt) / 1_000).toFixed(1)} s`;
  const opened =
    outage === undefined
      ? 'No circuit opened.'
      : `The first circuit ('${outage.circuit}' of ${outage.pipeline}) opened at ${since(outage.openedAt)}, ${durationText(Math.max(0, outage.openedAt - bad.at))} later.`;
  return `The first call went wrong at ${since(bad.at)} (${bad.pipeline}). ${opened}`;
}

function recoveries({ outages, lastAt }: Timeline): string {
  if (outages.length === 0) return 'No circuit opened.';
  return outages
    .map(({ pipeline, circuit, openedAt, closedAt }) =>
      closedAt === undefined
        ? `- '${circuit}' of ${pipeline} was still open at the end of the log, ${durationText(lastAt - openedAt)} after it had opened.`
        : `- '${circuit}' of ${pipeline} closed after ${durationText(closedAt - openedAt)}.`,
    )
    .join('\n');
}

const WORDS: Readonly<Partial<Record<TimelineEntry['type'], string>>> = {
  'call.failed': 'calls failed',
  'call.rejected': 'calls were refused',
  'retry.exhausted': 'retries gave up',
  'budget.exhausted': 'the retry budget refused',
  'circuit.opened': '**the circuit opened**',
  'circuit.half-opened': 'the circuit let probes through',
  'circuit.closed': '**the circuit closed**',
  'circuit.isolated': '**the circuit was isolated by hand**',
  'circuit.rejected': 'the circuit refused',
  'bulkhead.rejected': 'the bulkhead refused',
  'rate-limit.rejected': 'the rate limiter refused',
  'rate-limit.slowed': 'the server asked for fewer calls',
  'limiter.rejected': 'the adaptive limiter refused',
  'throttle.rejected': 'the throttle refused',
  'timeout.expired': 'attempts timed out',
  'fallback.used': 'the fallback answered',
  'cache.stale': 'the cache gave old answers',
  'cache.revalidation-failed': 'answers could not be asked for anew',
  'endpoint.ejected': '**an endpoint was left out**',
  'endpoint.returned': 'an endpoint came back',
  'endpoint.unhealthy': '**an endpoint failed its health check**',
  'endpoint.healthy': 'an endpoint passed its health check again',
  'endpoint.skipped': 'calls went on to another endpoint',
  'failover.moved': '**work moved to another endpoint**',
  'failover.panicked': '**too few endpoints were left**',
  'failover.recovered': 'enough endpoints were there again',
  'consumer.paused': 'partitions were paused',
  'consumer.resumed': 'partitions were resumed',
  'message.retried': 'messages were sent to a retry topic',
  'message.dead-lettered': 'messages were given up',
  'message.undeliverable': '**no topic took messages that were given up**',
  'worker.ended': 'threads were ended',
};
