/** Criteria of automation: what happens without anybody doing it. */
import { layersOf, numberOf } from '../lint/layers.js';
import { all, type Criterion, type Evidence, found, type Measurement } from './criterion.js';
import { imports } from './monitoring.js';

/** Met if a script or a workflow runs a command. */
function runs({ project }: Evidence, command: RegExp, what: string): Measurement {
  const scripts = Object.entries(project.scripts).filter(([, text]) => command.test(text));
  const workflows = project.workflows.filter(({ text }) => command.test(text));
  const places = [
    ...workflows.map(({ path }) => path),
    ...scripts.map(([name]) => `script '${name}' of package.json`),
  ];
  return found(places, what);
}

/** The criteria of automation. */
export const automationCriteria: readonly Criterion[] = [
  {
    id: 'continuous-integration',
    area: 'automation',
    level: 1,
    title: 'tests run by themselves for every change',
    next: 'add a workflow that runs the tests',
    measure: ({ project }) =>
      found(
        project.workflows.filter(({ text }) => /\btest\b/.test(text)).map(({ path }) => path),
        'workflow that runs tests',
      ),
  },
  {
    id: 'closes-by-itself',
    area: 'automation',
    level: 2,
    title: 'every circuit closes by itself',
    next: 'give each circuitBreaker a resetTimeout that is finite',
    measure: ({ service }) => {
      const breakers = service.pipelines.flatMap((pipeline) =>
        layersOf(pipeline, 'circuitBreaker'),
      );
      const finite = breakers.filter(({ layer }) => numberOf(layer, 'resetTimeout') !== Infinity);
      return all(finite.length, breakers.length, 'circuit breakers probe by themselves');
    },
  },
  {
    id: 'lint-runs',
    area: 'automation',
    level: 3,
    title: 'resil lint runs for every change',
    next: 'add `resil lint <module>` to a script that the workflow runs, or lint() to a test',
    measure: (evidence) => {
      const inTests = evidence.project.tests.filter(({ imports: names }) =>
        names.includes('@resil/cli'),
      );
      if (inTests.length > 0)
        return found(
          inTests.map(({ path }) => path),
          'test with lint()',
        );
      return runs(evidence, /\bresil lint\b/, 'run of resil lint');
    },
  },
  {
    id: 'orderly-end',
    area: 'automation',
    level: 3,
    title: 'a process ends in order: refuses first, finishes what runs',
    next: 'call drain() of @resil/health on SIGTERM',
    measure: ({ project }) =>
      found(
        project.sources
          .filter(
            ({ imports: names, text }) => names.includes('@resil/health') && /\bdrain\b/.test(text),
          )
          .map(({ path }) => path),
        'drain on the way out',
      ),
  },
  {
    id: 'operations-generated',
    area: 'automation',
    level: 4,
    title: 'alerts, dashboard and runbooks are made anew from the configuration',
    next: 'add `resil ops <module> --out <dir>` to a script that a workflow runs',
    measure: (evidence) => {
      const inTests = evidence.project.tests.filter(({ text }) => /\boperationsKit\b/.test(text));
      if (inTests.length > 0)
        return found(
          inTests.map(({ path }) => path),
          'test with the kit',
        );
      return runs(evidence, /\bresil ops\b/, 'run of resil ops');
    },
  },
  {
    id: 'recovered-by-itself',
    area: 'automation',
    level: 4,
    title: 'in an outage every circuit that opened closed again, and nobody isolated one',
    next: 'take a log of events of an outage, or of a drill, and name it: --events <ndjson>',
    measure: ({ telemetry: { timeline } }) => {
      if (timeline === undefined) return { met: false, evidence: 'no log of events was given' };
      const { outages, entries } = timeline;
      const isolated = entries.some(({ type }) => type === 'circuit.isolated');
      const closed = outages.filter(({ closedAt }) => closedAt !== undefined).length;
      const measured = all(closed, outages.length, 'circuits that opened closed again');
      return isolated
        ? { met: false, evidence: `${measured.evidence}; one was isolated by hand` }
        : measured;
    },
  },
  {
    id: 'fails-over',
    area: 'automation',
    level: 5,
    title: 'calls leave an endpoint that is ill by themselves',
    next: 'give a dependency that has several endpoints a failover with outlier detection or health checks',
    measure: ({ service }) => {
      const ready = service.pipelines.filter((pipeline) =>
        layersOf(pipeline, 'failover').some(
          ({ layer: { options } }) =>
            options.outlierDetection !== false || options.healthCheck === true,
        ),
      );
      return {
        met: ready.length > 0,
        evidence:
          ready.length === 0
            ? 'no pipeline has a failover that finds out by itself'
            : `failover: ${ready.map(({ place }) => place).join(', ')}`,
      };
    },
  },
  {
    id: 'probes-wired',
    area: 'automation',
    level: 5,
    title: 'the platform asks for health, and acts on it',
    next: 'point livenessProbe and readinessProbe of the deployment at @resil/health',
    measure: (evidence) => {
      const health = imports(evidence, ['@resil/health']);
      const probes = evidence.project.probes.map(({ path }) => path);
      return health.met ? found(probes, 'readinessProbe') : health;
    },
  },
];
