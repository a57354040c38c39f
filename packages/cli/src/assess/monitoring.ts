/** Criteria of monitoring: what is known of the service while it runs. */
import { runbookFile } from '../ops/alerts.js';
import { all, type Criterion, type Evidence, found, type Measurement } from './criterion.js';

/** Names of the pipelines, each once. */
export function namesOf({ service }: Evidence): string[] {
  return [...new Set(service.pipelines.flatMap(({ name }) => (name === null ? [] : [name])))];
}

/** Met if one of several packages is imported. */
export function imports({ service, project }: Evidence, packages: readonly string[]): Measurement {
  const [direct] = service.imports.filter(({ name }) => packages.includes(name));
  if (direct !== undefined) return { met: true, evidence: `${direct.name} is imported` };
  for (const { path, imports: names } of project.sources) {
    const name = names.find((one) => packages.includes(one));
    if (name !== undefined) return { met: true, evidence: `${name} is imported by ${path}` };
  }
  return { met: false, evidence: `none of ${packages.join(', ')} is imported` };
}

/** Names that stand in some of the files, as a label of alerts or a part of an expression. */
function mentioned(evidence: Evidence, texts: readonly string[], what: string): Measurement {
  const names = namesOf(evidence);
  const there = names.filter((name) => texts.some((text) => text.includes(name)));
  return all(there.length, names.length, what);
}

/** The criteria of monitoring. */
export const monitoringCriteria: readonly Criterion[] = [
  {
    id: 'events-logged',
    area: 'monitoring',
    level: 1,
    title: 'events of the pipelines are heard by somebody',
    next: 'log them: logEvents(logger) of @resil/telemetry, or observe(listener)',
    measure: (evidence) => {
      const listening = evidence.project.sources.filter(
        ({ text, imports: names }) =>
          names.some((name) => name.startsWith('@resil/')) &&
          /\b(?:observe|logEvents)\s*\(/.test(text),
      );
      if (listening.length > 0)
        return found(
          listening.map(({ path }) => path),
          'listener',
        );
      return imports(evidence, ['@resil/prometheus', '@resil/opentelemetry', '@resil/dashboard']);
    },
  },
  {
    id: 'metrics',
    area: 'monitoring',
    level: 2,
    title: 'metrics are exported',
    next: 'install @resil/prometheus or @resil/opentelemetry, and export them',
    measure: (evidence) => imports(evidence, ['@resil/prometheus', '@resil/opentelemetry']),
  },
  {
    id: 'health',
    area: 'monitoring',
    level: 3,
    title: 'the process tells its health',
    next: 'serve liveness and readiness by @resil/health',
    measure: (evidence) => imports(evidence, ['@resil/health']),
  },
  {
    id: 'dashboards',
    area: 'monitoring',
    level: 3,
    title: 'somebody can see it at a glance',
    next: 'keep the dashboard.json of `resil ops` with the code, or mount @resil/dashboard',
    measure: (evidence) => {
      const { dashboards } = evidence.project;
      if (dashboards.length > 0)
        return found(
          dashboards.map(({ path }) => path),
          'dashboard',
        );
      return imports(evidence, ['@resil/dashboard']);
    },
  },
  {
    id: 'alerts',
    area: 'monitoring',
    level: 4,
    title: 'there are alerts for every dependency',
    next: 'keep the alerts.yml of `resil ops` with the code, and load it',
    measure: (evidence) =>
      mentioned(
        evidence,
        evidence.project.alerts.map(({ text }) => text),
        'dependencies have alerts',
      ),
  },
  {
    id: 'objectives',
    area: 'monitoring',
    level: 4,
    title: 'every dependency has an objective that somebody chose',
    next: 'say dependencies: { "<name>": { "objective": 0.99 } } in resil.config.json',
    measure: (evidence) => {
      const names = namesOf(evidence);
      const chosen = names.filter(
        (name) => evidence.settings.dependencies?.[name]?.objective !== undefined,
      );
      return all(chosen.length, names.length, 'dependencies have an objective');
    },
  },
  {
    id: 'runbooks',
    area: 'monitoring',
    level: 4,
    title: 'there is a runbook for every dependency, and it names who is told',
    next: 'keep the runbooks of `resil ops` with the code; say owner and escalation in resil.config.json',
    measure: (evidence) => {
      const { runbooks } = evidence.project;
      const names = namesOf(evidence);
      const whole = names.filter((name) =>
        runbooks.some(
          ({ path, text }) => path.endsWith(runbookFile(name)) && !text.includes('Nobody is named'),
        ),
      );
      return all(whole.length, names.length, 'dependencies have a runbook that names somebody');
    },
  },
  {
    id: 'traces',
    area: 'monitoring',
    level: 5,
    title: 'what happened to a call can be seen in its trace',
    next: 'install @resil/opentelemetry, and export spans',
    measure: (evidence) => imports(evidence, ['@resil/opentelemetry']),
  },
  {
    id: 'measured-live',
    area: 'monitoring',
    level: 5,
    title: 'Prometheus has series and alerts of every dependency at this moment',
    next: 'let `resil assess --prometheus <url>` ask it; see that it scrapes the service and has loaded alerts.yml',
    measure: (evidence) => {
      const { prometheus } = evidence.telemetry;
      if (prometheus === undefined) return { met: false, evidence: 'no Prometheus was asked' };
      const names = namesOf(evidence);
      const whole = names.filter(
        (name) => prometheus.pipelines.includes(name) && prometheus.alerted.includes(name),
      );
      return all(whole.length, names.length, 'dependencies have series and alerts in Prometheus');
    },
  },
];
