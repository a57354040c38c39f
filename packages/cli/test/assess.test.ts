import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { instruments, prometheusName } from '@resil/telemetry';
import { describeWithPrometheus, prometheusMissing, startPrometheus } from '@resil/testbed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assessed } from '../src/assess/assess.js';
import { readProject } from '../src/assess/project.js';
import { levelsMarkdown } from '../src/assess/report.js';
import {
  areas,
  askPrometheus,
  assess,
  criteria,
  type Evidence,
  inspect,
  lint,
  operationsKit,
  type Settings,
  writeKit,
} from '../src/index.js';
import { TimelineReader } from '../src/ops/timeline.js';
import { Modules } from './modules.js';

const modules = new Modules();

/** A service that has everything. */
const whole = `
  import '@resil/context';
  import { adaptiveLimiter, circuitBreaker, failover, fallback, hedge, pipeline, retry, retryBudget, throttle, timeout } from '@resil/core';
  const budget = retryBudget();
  export const prices = pipeline(
    { name: 'prices', dependency: { client: 'fetch', critical: true } },
    fallback(() => 0),
    timeout({ duration: 2_000 }),
    retry({ maxAttempts: 3, baseDelay: 50, budget }),
    hedge({ budget }),
    failover({ endpoints: ['a', 'b'] }),
    circuitBreaker({ name: 'prices', failureThreshold: 5 }),
    throttle(),
    adaptiveLimiter(),
    timeout({ duration: 500 }),
  );`;

const settings: Settings = {
  dependencies: { prices: { objective: 0.99, owner: 'team prices', escalation: ['Ann'] } },
};

const files: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({
    scripts: {
      soak: 'node soak.js',
      lint: 'resil lint dist/clients.js',
      ops: 'resil ops dist/clients.js --out ops',
    },
  }),
  '.github/workflows/ci.yml': 'jobs: { test: { steps: [{ run: npm test }] } }',
  'deployment.yaml': 'readinessProbe: { httpGet: { path: /readyz } }',
  'src/main.js': `
    import { observe } from '@resil/core';
    import { drain } from '@resil/health';
    import '@resil/opentelemetry';
    observe(console.error); process.once('SIGTERM', () => drain());`,
  'test/faults.test.js': `
    import { faultProxy, VirtualClock } from '@resil/testing';
    // RESIL_CIRCUIT_OPEN`,
  'incidents/post-mortem-1.md': '# Post-mortem: shop, 1 May, prices away',
};

/** What is known of a service that has everything. */
async function everything(): Promise<Evidence> {
  for (const [name, text] of Object.entries(files)) await modules.write(text, `whole/${name}`);
  const service = await inspect(await modules.write(whole, 'whole/clients.mjs'), {
    service: 'shop',
  });
  const folder = path.join(await modules.folder, 'whole');
  await writeKit(operationsKit(service, { settings }), path.join(folder, 'ops'));
  const reader = new TimelineReader();
  for (const [at, type] of [
    [1, 'circuit.opened'],
    [2, 'circuit.closed'],
  ] as const) {
    reader.read(JSON.stringify({ at, type, pipeline: 'prices', strategy: 'prices' }));
  }
  return {
    service,
    settings,
    findings: lint([service]),
    project: await readProject(service.file),
    telemetry: {
      timeline: reader.finish(),
      prometheus: { pipelines: ['prices'], alerted: ['prices'] },
    },
  };
}

const unmet = (evidence: Evidence): string[] =>
  assessed(evidence).areas.flatMap((area) =>
    area.criteria.filter(({ met }) => !met).map(({ id }) => id),
  );

describe('assess', () => {
  let evidence: Evidence;
  beforeAll(async () => {
    evidence = await everything();
  });

  it('finds a service that has everything at level 5 in all areas', () => {
    expect(unmet(evidence)).toEqual([]);
    const { level, areas: own } = assessed(evidence);
    expect([level, ...own.map((area) => area.level)]).toEqual([5, 5, 5, 5, 5]);
  });

  type Change = (evidence: Evidence) => Partial<Evidence>;
  const layers =
    (without: string): Change =>
    ({ service }) => ({
      service: {
        ...service,
        pipelines: service.pipelines.map((pipeline) => ({
          ...pipeline,
          layers: pipeline.layers.filter(({ type }) => type !== without),
        })),
      },
    });
  const option =
    (type: string, name: string, value: number | string | null): Change =>
    ({ service }) => ({
      service: {
        ...service,
        pipelines: service.pipelines.map((pipeline) => ({
          ...pipeline,
          layers: pipeline.layers.map((layer) =>
            layer.type === type
              ? { ...layer, options: { ...layer.options, [name]: value } }
              : layer,
          ),
        })),
      },
    });
  const finding =
    (rule: string): Change =>
    () => ({
      findings: [
        {
          rule,
          severity: 'error',
          service: 'shop',
          place: 'prices',
          why: '',
          figures: {},
          fix: '',
        },
      ],
    });
  const project =
    (change: Partial<Evidence['project']>): Change =>
    (known) => ({
      project: { ...known.project, ...change },
    });
  const sources =
    (from: RegExp, to = ''): Change =>
    (known) => ({
      project: {
        ...known.project,
        sources: known.project.sources.map((source) => ({
          ...source,
          text: source.text.replace(from, to),
          imports: source.imports.filter((name) => !from.test(name)),
        })),
      },
    });
  const texts =
    (from: RegExp): Change =>
    (known) => ({
      project: {
        ...known.project,
        tests: known.project.tests.map((test) => ({
          ...test,
          text: test.text.replaceAll(from, ''),
        })),
      },
    });
  const scripts = (left: Record<string, string>): Change => project({ scripts: left });

  it.each<[string, Change, readonly string[]]>([
    ['a timeout', layers('timeout'), ['timeouts']],
    ['bounds of retries', finding('retry-storm'), ['bounded-retries']],
    ['a name', finding('unnamed-pipeline'), ['names']],
    ['a circuit breaker', layers('circuitBreaker'), ['circuit-breakers', 'closes-by-itself']],
    ['a breaker that refuses', option('circuitBreaker', 'mode', 'observe'), ['circuit-breakers']],
    ['a limit', layers('adaptiveLimiter'), ['isolation', 'adaptive-limits']],
    ['guards of one’s own', finding('shared-guard'), ['isolation']],
    ['a pipeline before each client', finding('hidden-dependency'), ['nothing-hidden']],
    ['times that fit', finding('cascading-timeout'), ['fitting-times']],
    [
      'the context',
      (known) => ({
        service: { ...known.service, imports: [] },
        ...sources(/@resil\/context/)(known),
      }),
      ['context'],
    ],
    ['a hedge', layers('hedge'), ['adaptive-hedging']],
    ['a hedge by latency', option('hedge', 'delay', 50), ['adaptive-hedging']],
    ['a throttle', layers('throttle'), ['throttling']],
    ['a failover', layers('failover'), ['fails-over']],
    ['a breaker that probes', option('circuitBreaker', 'resetTimeout', null), ['closes-by-itself']],
    ['an exporter', sources(/@resil\/opentelemetry/), ['metrics', 'traces']],
    ['health', sources(/@resil\/health/), ['health', 'orderly-end', 'probes-wired']],
    ['a drain', sources(/drain/g), ['orderly-end']],
    ['a dashboard', project({ dashboards: [] }), ['dashboards']],
    ['alerts', project({ alerts: [] }), ['alerts']],
    ['runbooks', project({ runbooks: [] }), ['runbooks']],
    ['an objective', () => ({ settings: {} }), ['objectives']],
    ['a workflow', project({ workflows: [] }), ['continuous-integration']],
    ['lint', scripts({ soak: 'x', ops: 'resil ops x' }), ['lint-runs']],
    ['ops', scripts({ soak: 'x', lint: 'resil lint x' }), ['operations-generated']],
    ['load', scripts({ ops: 'resil ops x', lint: 'resil lint x' }), ['load']],
    ['probes', project({ probes: [] }), ['probes-wired']],
    [
      'tests',
      project({ tests: [] }),
      ['tests', 'failures-tested', 'faults-injected', 'real-faults'],
    ],
    ['tests of failures', texts(/RESIL_\w+/g), ['failures-tested']],
    ['virtual time', texts(/VirtualClock/g), ['faults-injected']],
    ['a broken network', texts(/faultProxy/g), ['real-faults']],
    ['post-mortems', project({ postMortems: [] }), ['lessons']],
  ])('sees that %s is missing', (_what, change, missing) => {
    expect(unmet({ ...evidence, ...change(evidence) })).toEqual(missing);
  });

  it('sees what telemetry does not show', () => {
    const none = { timeline: undefined, prometheus: undefined };
    expect(unmet({ ...evidence, telemetry: none })).toEqual([
      'measured-live',
      'recovered-by-itself',
      'drill',
    ]);
    const { timeline } = evidence.telemetry;
    const open = timeline && {
      ...timeline,
      outages: timeline.outages.map((outage) => ({ ...outage, closedAt: undefined })),
    };
    const silent = { pipelines: ['prices'], alerted: [] };
    expect(unmet({ ...evidence, telemetry: { timeline: open, prometheus: silent } })).toEqual([
      'measured-live',
      'recovered-by-itself',
      'drill',
    ]);
  });

  it('needs answers for critical dependencies, and to know which are', () => {
    expect(unmet({ ...evidence, ...layers('fallback')(evidence) })).toEqual([]);
    const bare = { ...evidence, ...layers('fallback')(evidence) };
    expect(unmet({ ...bare, ...layers('failover')(bare) })).toEqual(['degradation', 'fails-over']);
    const { service } = evidence;
    const [one] = service.pipelines;
    const dependency = { ...one!.dependency, critical: null };
    const unsaid = { ...service, pipelines: [{ ...one!, dependency }] };
    expect(unmet({ ...evidence, service: unsaid })).toEqual(['degradation']);
  });

  it('tells the evidence, and the next step of what is missing', async () => {
    const file = await modules.write(
      `import { pipeline, retry } from '@resil/core'; export const p = pipeline('p', retry({ maxAttempts: 9 }));`,
      'bare/clients.mjs',
    );
    await modules.write('{}', 'bare/package.json');
    const { level, areas: own } = await assess(await inspect(file));
    expect(level).toBe(0);
    const [patterns] = own;
    expect(patterns).toMatchObject({ area: 'patterns', level: 0 });
    expect(patterns?.criteria[0]).toMatchObject({
      id: 'timeouts',
      met: false,
      evidence: '0 of 1 pipelines have a timeout; not p',
    });
    expect(patterns?.criteria[0]?.next).toContain('timeout({ duration })');
    expect(patterns?.criteria[1]?.evidence).toBe('retry-storm at p');
  });
});

it('has criteria of every level in every area, each with an id of its own', () => {
  for (const area of areas) {
    const levels = new Set(criteria.filter((one) => one.area === area).map(({ level }) => level));
    expect([...levels].sort()).toEqual([1, 2, 3, 4, 5]);
  }
  expect(new Set(criteria.map(({ id }) => id)).size).toBe(criteria.length);
});

it('is documented as it is: npx resil assess --levels > docs/maturity-levels.md', async () => {
  const file = new URL('../../../docs/maturity-levels.md', import.meta.url);
  expect(await readFile(file, 'utf8')).toBe(levelsMarkdown());
});

describeWithPrometheus({ describe, it }, await prometheusMissing(), 'a real Prometheus', () => {
  const metric = prometheusName(instruments.callsInFlight);
  const service = createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(`${metric}{resil_pipeline="prices"} 0\n`);
  });
  afterAll(() => service.close());

  it('tells which dependencies it has series and alerts of', async () => {
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const inspection = await modules.inspect(whole, 'shop');
    const kit = operationsKit(inspection);
    const { port } = service.address() as AddressInfo;
    const prometheus = await startPrometheus({
      targets: [`127.0.0.1:${port}`],
      rules: [kit['alerts.yml'] ?? ''],
    });
    try {
      await prometheus.queryUntil(metric, ({ length }) => length > 0);
      expect(await askPrometheus(prometheus.url)).toEqual({
        pipelines: ['prices'],
        alerted: ['prices'],
      });
    } finally {
      await prometheus.close();
    }
    await expect(askPrometheus(prometheus.url)).rejects.toThrow(/can't be asked/);
    await expect(askPrometheus('nowhere')).rejects.toThrow("'nowhere' is no URL of a Prometheus");
  });
});
