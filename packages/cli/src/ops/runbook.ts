/** A runbook for each dependency: what to do when it is away, with the numbers of its pipeline. */
import { countText, durationText, shareText } from '../duration-text.js';
import type { Inspection } from '../inspection.js';
import { has, product, productText } from '../lint/layers.js';
import type { AlertRule, RuleFile } from './alerts.js';
import type { ProtectedDependency } from './protected-dependency.js';

/** The runbook of a dependency, as Markdown. */
export function runbook(
  dependency: ProtectedDependency,
  service: Inspection,
  rules: RuleFile,
): string {
  const { name } = dependency;
  const alerts = rules.groups
    .filter((group) => group.name === `${service.service}: ${name}`)
    .flatMap((group) => group.rules)
    .filter((rule): rule is AlertRule => 'alert' in rule);
  return `${[
    `# ${name}, as ${service.service} uses it`,
    facts(dependency),
    '## What it means',
    ...meaning(dependency),
    '## What to look at',
    lookAt(alerts),
    '## How to isolate it',
    ...isolation(dependency),
    '## How to recover',
    recovery(dependency),
    '## Escalation',
    escalation(dependency),
  ].join('\n\n')}\n`;
}

function facts({ pipeline, critical, objective, settings }: ProtectedDependency): string {
  const { client, target, restartDuration } = pipeline.dependency;
  const rows = [
    ['called by', client ?? 'not told'],
    ['at', target ?? (pipeline.keyed ? 'one pipeline for each destination' : 'not told')],
    ['critical', critical ? 'yes: the service cannot do its work without it' : 'no'],
    ['objective', `${shareText(objective)} of the calls succeed`],
    ['takes to restart', restartDuration === null ? 'not told' : durationText(restartDuration)],
    ['run by', settings.owner ?? 'not told'],
  ];
  return ['| | |', '| --- | --- |', ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join(
    '\n',
  );
}

/** What happens by itself, and what callers see. */
function meaning(dependency: ProtectedDependency): string[] {
  const { name, totalTimeout, attemptTimeout, repeaters, breaker, queues, pipeline } = dependency;
  const steps: string[] = [];
  const attempts = product(repeaters);
  if (attemptTimeout < Infinity) {
    steps.push(
      `An attempt that is not answered is given up after ${durationText(attemptTimeout)}.`,
    );
  }
  if (attempts > 1) {
    steps.push(
      `A call makes up to ${countText(attempts)} attempts (${productText(repeaters)})${repeaters.some(({ bound }) => bound === 'budget') ? ', as far as the retry budget allows' : ''}.`,
    );
  }
  steps.push(
    totalTimeout < Infinity
      ? `A caller waits ${durationText(totalTimeout)} at most.`
      : 'A caller may wait without an end: nothing limits the whole call.',
  );
  if (breaker !== undefined) {
    const probes = breaker.halfOpenCalls === 1 ? 'one probe' : `${breaker.halfOpenCalls} probes`;
    steps.push(
      `The circuit '${breaker.name}' opens when ${breaker.opens}. From then on calls are refused at once (\`RESIL_CIRCUIT_OPEN\`); ${breaker.resetTimeout === undefined ? 'after a while' : `after ${durationText(breaker.resetTimeout)}`} ${probes} may pass.`,
    );
  }
  for (const queue of queues) {
    const limit =
      queue.maxConcurrentCalls === undefined
        ? ''
        : `${countText(queue.maxConcurrentCalls)} calls at a time, `;
    steps.push(
      `'${queue.name}': ${limit}${queue.maxQueueSize} may wait ${durationText(queue.queueTimeout)}; the rest is refused.`,
    );
  }
  const answers = [
    has(pipeline, 'fallback') ? 'A fallback answers failures and refusals.' : undefined,
    has(pipeline, 'cache') ? 'What is in the cache may be answered from there.' : undefined,
    has(pipeline, 'failover') ? 'Calls go to another endpoint while there is one.' : undefined,
  ].filter((answer) => answer !== undefined);
  if (answers.length === 0) {
    answers.push(`Nothing answers in its place: callers of ${name} get the error.`);
  }
  return [
    `When it is slow, fails or is away, this happens by itself:`,
    list([...steps, ...answers]),
  ];
}

function lookAt(alerts: readonly AlertRule[]): string {
  const rows = alerts.map(
    ({ alert, labels, annotations }) =>
      `| \`${alert}\` | ${labels.severity} | ${annotations.summary}. ${annotations.description?.replaceAll(/\{\{.*?\}\}/g, '…')} |`,
  );
  return [
    '| alert | severity | means |',
    '| --- | --- | --- |',
    ...rows,
    '',
    "The service's dashboard (`dashboard.json`) has a row for it: calls by outcome, latency against its limit, the state of its circuit, its queue.",
    'In a process: `registered()` of `@resil/core` and `describe()` tell state and counters at this moment.',
  ].join('\n');
}

function isolation(dependency: ProtectedDependency): string[] {
  const { name, breaker, pipeline, queues } = dependency;
  const ways: string[] = [];
  if (breaker !== undefined) {
    ways.push(
      `Open its circuit by hand, where calls to it do harm, or it is to be left alone: in the live dashboard of \`@resil/dashboard\` (where controls are allowed), or in the process, and \`reset()\` afterwards:

  \`\`\`js
  import { CircuitBreaker, registered } from '@resil/core';

  for (const one of registered()) {
    if (one.name !== ${JSON.stringify(name)}) continue;
    // Of keyed ones, those in use; name a key to isolate one destination only.
    const keys = 'for' in one ? one.describe().pipelines.map(({ key }) => key) : [];
    const pipelines = 'for' in one ? keys.map((key) => one.for(key)) : [one];
    for (const layer of pipelines.flatMap(({ layers }) => layers)) {
      if (layer instanceof CircuitBreaker) layer.isolate();
    }
  }
  \`\`\``,
    );
  } else {
    ways.push(
      'It has no circuit breaker, so it can only be isolated outside of the service: by its flag, its route, or the network.',
    );
  }
  if (queues.length > 0) {
    const limits = queues.map(
      (queue) => `'${queue.name}' (${countText(queue.maxConcurrentCalls ?? Infinity)} at a time)`,
    );
    ways.push(`Give it less to do: lower ${limits.join(', ')} and roll out.`);
  }
  if (pipeline.keyed) {
    ways.push(
      'It has a pipeline for each destination: isolate the one that is ill, and leave the others.',
    );
  }
  return [list(ways)];
}

function recovery(dependency: ProtectedDependency): string {
  const { name, breaker, pipeline } = dependency;
  const { restartDuration, client } = pipeline.dependency;
  const steps = [
    `See whether ${name} itself is up: ask it without the service, from where the service runs.`,
    `If it is down, have it started again${restartDuration === null ? '' : `; that takes about ${durationText(restartDuration)}`}. Don't restart this service: it finds back by itself, and would come back with cold caches.`,
  ];
  if (breaker !== undefined) {
    steps.push(
      `Wait for the circuit to close: at the next probe, ${breaker.resetTimeout === undefined ? 'after its reset timeout' : `within ${durationText(breaker.resetTimeout)}`}, when ${breaker.halfOpenCalls} of ${breaker.halfOpenCalls === 1 ? 'it' : 'them'} have succeeded. A circuit that was isolated by hand has to be reset by hand.`,
    );
  }
  if (client === 'kafkajs') {
    steps.push(
      'Look at what was kept meanwhile: an outbox empties by itself; what lies in a dead-letter topic is sent again by `redrive`.',
    );
  }
  if (has(pipeline, 'cache')) {
    steps.push('Answers of the cache may be old for as long as it keeps them.');
  }
  steps.push(
    'The incident is over when failed calls are within the objective again, and the alerts have ended.',
    'Fill in the post-mortem: `resil ops <module> --out <dir> --events <ndjson>` writes its timeline.',
  );
  return steps.map((step, index) => `${index + 1}. ${step}`).join('\n');
}

function escalation({ name, settings, critical }: ProtectedDependency): string {
  const { owner, escalation: people = [] } = settings;
  const steps = [...(owner === undefined ? [] : [`${owner}, who runs it`]), ...people];
  if (steps.length === 0) {
    return `Nobody is named. Say who in \`resil.config.json\`: \`{ "dependencies": { ${JSON.stringify(name)}: { "owner": "…", "escalation": ["…"] } } }\`.`;
  }
  const wait = critical ? '15 minutes' : 'an hour';
  return [
    `Each is told when the one before has not answered, or it is not better, within ${wait}:`,
    '',
    ...steps.map((step, index) => `${index + 1}. ${step}`),
  ].join('\n');
}

function list(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join('\n');
}
