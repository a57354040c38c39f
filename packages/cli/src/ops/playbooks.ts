/** Recovery playbooks: what to do in an incident that is more than one dependency away, in order. */
import { countText, durationText } from '../duration-text.js';
import type { Inspection } from '../inspection.js';
import { product } from '../lint/layers.js';
import { runbookFile } from './alerts.js';
import type { ProtectedDependency } from './protected-dependency.js';

/** The playbooks of a service, by the names of their files. */
export function playbooks(
  service: Inspection,
  dependencies: readonly ProtectedDependency[],
): Readonly<Record<string, string>> {
  return {
    'dependency-down.md': dependencyDown(service, dependencies),
    'slow-dependency.md': slowDependency(dependencies),
    'overload.md': overload(service, dependencies),
    'retry-storm.md': retryStorm(dependencies),
  };
}

const link = ({ name }: ProtectedDependency): string =>
  `[${name}](../runbooks/${runbookFile(name)})`;

/** Critical ones first, and of those the ones that nothing answers for. */
function byWeight(dependencies: readonly ProtectedDependency[]): ProtectedDependency[] {
  const weight = ({ critical, answers }: ProtectedDependency): number =>
    (critical ? 2 : 0) + (answers.length === 0 ? 1 : 0);
  return [...dependencies].sort((a, b) => weight(b) - weight(a));
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function dependencyDown(
  { service }: Inspection,
  dependencies: readonly ProtectedDependency[],
): string {
  const rows = byWeight(dependencies).map((dependency) => [
    link(dependency),
    dependency.critical ? 'yes' : 'no',
    dependency.answers.join(', ') || 'nothing',
    durationText(dependency.totalTimeout),
    dependency.breaker?.resetTimeout === undefined
      ? '–'
      : durationText(dependency.breaker.resetTimeout),
  ]);
  return `# A dependency of ${service} is down

1. Which one? \`ResilCircuitOpen\` names it; where several circuits are open at once, what they share (network,
   name service, the host of this service) is down rather than all of them.
2. Is it a critical one without an answer in its place? Those first, from the top of this list:

${table(['dependency', 'critical', 'answers meanwhile', 'a caller waits', 'probes every'], rows)}

3. Open its runbook. Don't restart ${service}: its circuits keep the load off what is coming back.
4. Several are to be started again: in the order of the list, one after the other, each when the circuit of
   the one before has closed. Together they would meet each other's cold caches.
5. Afterwards: reset what was isolated by hand, look at what was kept (outboxes, dead letters), write the
   post-mortem.
`;
}

function slowDependency(dependencies: readonly ProtectedDependency[]): string {
  const rows = dependencies.map((dependency) => [
    link(dependency),
    durationText(dependency.attemptTimeout),
    durationText(dependency.totalTimeout),
    dependency.queues
      .map(
        ({ name, maxConcurrentCalls }) => `${name}: ${countText(maxConcurrentCalls ?? Infinity)}`,
      )
      .join(', ') || 'no limit',
  ]);
  return `# A dependency is slow

Slow is worse than down: calls pile up for as long as they may take.

1. \`ResilSlow\`, \`ResilTimeouts\` and \`ResilQueueFull\` name it. Compare p50 with p99: all calls slow is load or
   the network, few slow is some of its data or one of its instances.
2. How long may a call hold a place, and how many places are there?

${table(['dependency', 'an attempt', 'a call', 'at a time'], rows)}

3. Calls at a time × time of a call is what it is asked for at once. Is that more than before? Then it is
   load: see [overload](overload.md). Otherwise it is ill: see its runbook.
4. Where waiting harms more than missing, isolate its circuit: a fallback, or a quick error, is better than a
   late answer.
`;
}

function overload({ service }: Inspection, dependencies: readonly ProtectedDependency[]): string {
  const rows = dependencies.flatMap((dependency) =>
    dependency.queues.map((queue) => [
      link(dependency),
      queue.name,
      countText(queue.maxConcurrentCalls ?? Infinity),
      String(queue.maxQueueSize),
      durationText(queue.queueTimeout),
    ]),
  );
  const limits =
    rows.length === 0
      ? 'No limit stands before any dependency: there is nothing to lower but the traffic itself.'
      : table(['dependency', 'limit', 'at a time', 'may wait', 'for'], rows);
  return `# ${service} is overloaded

1. \`ResilCallsRefused\` and \`ResilQueueFull\` without slow answers: more comes than was planned for. With slow
   answers: a dependency does less than it did, see [slow dependency](slow-dependency.md).
2. Shed before it queues: shorten the queues rather than the limits; what waits long is answered when nobody
   wants it any more.

${limits}

3. Take off what is optional: priorities, fallbacks, batch work, retries (see [retry storm](retry-storm.md)).
4. Add instances only where the dependency behind can take more; otherwise they bring it down.
5. Let traffic in again in steps, and watch the queues at each.
`;
}

function retryStorm(dependencies: readonly ProtectedDependency[]): string {
  const repeating = dependencies.filter(({ repeaters }) => repeaters.length > 0);
  const rows = repeating.map((dependency) => [
    link(dependency),
    countText(product(dependency.repeaters)),
    dependency.repeaters.map(({ what, bound }) => `${what}: ${bound ?? 'nothing'}`).join(', '),
  ]);
  const attempts =
    rows.length === 0
      ? 'No pipeline repeats anything; the storm comes from callers.'
      : table(['dependency', 'attempts for each call', 'kept within bounds by'], rows);
  return `# A retry storm

Attempts grow while successes don't: \`ResilManyRetries\`, \`ResilRetryBudgetExhausted\`, and the dependency gets
several times its usual traffic.

1. Who repeats? These do, and so may callers and the clients underneath:

${attempts}

2. Isolate the circuit of the dependency until it has worked off its backlog: that stops every retry at once.
3. Reset the circuit; its probes let in a few calls first. If it opens again at once, the cause is not gone.
4. Afterwards: \`resil lint\` (\`retry-storm\`, \`double-retry\`) tells which layers multiply, and the fix.
`;
}
