import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DashboardSnapshot } from '@resil/dashboard';
import {
  describeWithKafka,
  type KafkaCluster,
  kafkaMissing,
  prometheusMissing,
  startKafka,
} from '@resil/testbed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgerClaims, type Measured } from '../src/claims.js';
import { curvesOf } from '../src/curves.js';
import { figuresOf } from '../src/figures.js';
import { ledgerOf } from '../src/ledger.js';
import { Operations } from '../src/operations.js';
import { writeReport } from '../src/report.js';
import { type RunOperations, run } from '../src/run.js';
import { plannedOrders, scenario } from '../src/scenario.js';
import { figuresTable, ledgerLines } from '../src/table.js';

// The demo breaks a cluster of its own, never somebody's.
delete process.env.KAFKA_BROKERS;
const missing = await kafkaMissing();
const short = scenario({ short: true, seed: 7, kafka: missing === undefined });

// Says it loudly where there is no broker, and fails under CI=true.
describeWithKafka({ describe, it }, missing, 'the demo with Kafka', () => {
  it('has brokers to break', () =>
    expect(short.phases.map(({ id }) => id)).toContain('broker-killed'));
});

type Run = Measured & { readonly titles: string[] };

async function measure(
  isProtected: boolean,
  cluster: KafkaCluster | undefined,
  operations?: RunOperations,
): Promise<Run> {
  const titles: string[] = [];
  const record = await run({
    protected: isProtected,
    scenario: short,
    cluster,
    operations,
    signal: new AbortController().signal,
    watcher: {
      onStep() {},
      onProgress() {},
      onPhase: ({ phase }) => titles.push(phase.title),
    },
  });
  return { record, figures: figuresOf(record), titles };
}

describe.each([false, true])(
  `a short run ${missing ? 'without' : 'with'} Kafka, protected: %s`,
  (isProtected) => {
    let cluster: KafkaCluster | undefined;
    let measured: Run;
    beforeAll(async () => {
      cluster = missing === undefined ? await startKafka({ nodes: 3 }) : undefined;
      measured = await measure(isProtected, cluster);
    }, 400_000);
    afterAll(() => cluster?.close());

    it('passes through every phase in order', () => {
      const planned = short.phases.map(({ title }) => title);
      expect(measured.titles).toEqual(planned);
      expect(measured.figures.map(({ title }) => title)).toEqual(planned);
      for (const { start, lifted, end } of measured.record.phases) {
        expect(lifted).toBeGreaterThan(start);
        expect(end).toBeGreaterThanOrEqual(lifted);
      }
    });

    it('has every acknowledged order in the database and in the inventory exactly once', () => {
      const { ledger, outcomes } = measured.record;
      expect(ledger.acknowledged).toBe(outcomes.filter((order) => order?.acknowledged).length);
      expect(ledger.acknowledged).toBeGreaterThan(0);
      for (const book of [ledger.orders, ledger.reservations]) {
        expect(book).toMatchObject({ lost: [], doubled: [], wrong: [] });
      }
    });

    it('has read the topics, and finds every message of the protected service there', () => {
      const { events, kept, halfDone } = measured.record.ledger;
      expect(events !== undefined).toBe(short.kafka);
      // What plain kafkajs loses, if anything, is what the demo shows.
      if (events === undefined || !isProtected) return;
      for (const book of [events.orders, events.shipments]) {
        expect(book).toMatchObject({ lost: [], wrong: [] });
      }
      expect(kept).toBe(0);
      expect(halfDone).toBeLessThanOrEqual(measured.record.ledger.orders.unacknowledged);
      for (const claim of ledgerClaims(measured, measured))
        expect(claim).toMatchObject({ held: true });
    });

    it('accounts for every order', () => {
      const { outcomes } = measured.record;
      expect(outcomes).toHaveLength(plannedOrders(short).length);
      outcomes.forEach((outcome, index) => {
        if (outcome === undefined) return;
        expect(outcome.index).toBe(index);
        expect(outcome.latency).toBeGreaterThanOrEqual(0);
        if (!outcome.acknowledged) expect(outcome.error).toBeTypeOf('string');
      });
      for (const { served, late, failed, unanswered, arrived } of measured.figures) {
        expect(served + late + failed + unanswered).toBe(arrived);
      }
    });

    it('sees what reaches the services, the sockets and the memory', () => {
      const { outside, service } = measured.record;
      for (const which of ['priceHits', 'stockHits'] as const) {
        const hits = outside.map((sample) => sample[which]);
        // They never become fewer, not even when the inventory service begins anew.
        expect(hits).toEqual(hits.toSorted((one, other) => one - other));
        expect(hits.at(-1)).toBeGreaterThan(0);
      }
      expect(Math.max(...outside.map(({ sockets }) => sockets))).toBeGreaterThan(0);
      expect(Math.min(...service.map(({ memory }) => memory))).toBeGreaterThan(0);
    });

    it('draws curves over the whole run', () => {
      const curves = curvesOf(measured.record, 250);
      expect(curves.offered).toHaveLength(Math.floor(short.end / 250));
      const circuits = new Set(curves.circuits.map(({ circuit }) => circuit));
      expect([...circuits]).toEqual(isProtected ? circuitNames : []);
      for (const circuit of circuits) {
        const spans = curves.circuits.filter((span) => span.circuit === circuit);
        expect(spans[0]?.from).toBe(0);
        expect(spans.at(-1)?.to).toBeCloseTo(short.end / 1_000);
      }
    });

    it('uses the layers only where they are', () => {
      const types = Object.keys(measured.record.events);
      if (isProtected) expect(types).toContain('call.succeeded');
      else expect(types).toEqual([]);
    });
  },
);

describe('those who run the protected service', () => {
  const withoutKafka = scenario({ short: true, seed: 7, kafka: false });
  const answers = new Map<string, { status: number; text: string }>();
  let folder: string;
  let operations: Operations;
  let snapshot: DashboardSnapshot | undefined;
  let record: Measured['record'];

  /** Looks at everything at the end of the run, while the order service is there. */
  function looking(): RunOperations {
    let service = '';
    return {
      reports: operations.reports,
      eventLog: operations.eventLog,
      watch: (address, kafka, onStep) => {
        service = address;
        return operations.watch(address, kafka, onStep);
      },
      alerts: async (since) => {
        for (const path of ['/metrics', '/livez', '/readyz', '/elsewhere']) {
          const answer = await fetch(`http://${service}${path}`);
          answers.set(path, { status: answer.status, text: await answer.text() });
        }
        const answer = await fetch(`${operations.url}snapshot`);
        snapshot = (await answer.json()) as DashboardSnapshot;
        return operations.alerts(since);
      },
    };
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'resil-demo-ops-'));
    operations = await Operations.start(folder);
    record = await run({
      protected: true,
      scenario: withoutKafka,
      cluster: undefined,
      operations: looking(),
      signal: new AbortController().signal,
      watcher: { onStep() {}, onProgress() {}, onPhase() {} },
    });
  }, 400_000);
  afterAll(async () => {
    await operations?.close();
    await rm(folder, { recursive: true });
  });

  it('have its metrics and probes', () => {
    expect(answers.get('/metrics')?.text).toContain('resil_circuit_state{resil_pipeline="prices"');
    const statuses = [...answers].map(([path, { status }]) => [path, status]);
    expect(statuses).toEqual([
      ['/metrics', 200],
      ['/livez', 200],
      ['/readyz', 200],
      ['/elsewhere', 404],
    ]);
  });

  it('see it on the dashboard', () => {
    const shown = snapshot?.processes.find(({ name }) => name === 'order service');
    expect(shown).toMatchObject({ control: false });
    const names = snapshot?.pipelines
      .filter(({ process, kind }) => process === shown?.id && kind !== 'key')
      .map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['prices', 'inventory', 'orders']));
  });

  it('have alerts where there is a Prometheus', async () => {
    if ((await prometheusMissing()) === undefined) {
      expect(operations.missing).toBeUndefined();
      expect(record.alerts).toBeInstanceOf(Array);
    } else {
      expect(operations.missing).toContain("Prometheus can't be started");
      expect(record.alerts).toBeUndefined();
    }
  });

  it('have an operations kit, with a post-mortem of the run and nothing secret', async () => {
    const { files, rules } = await operations.writeKit();
    const onDisk = await readdir(folder, { recursive: true, withFileTypes: true });
    const written = onDisk.filter((entry) => entry.isFile());
    expect(written).toHaveLength(files.length + 1);
    const texts = new Map<string, string>();
    for (const name of [...files, 'events.ndjson']) {
      texts.set(name, await readFile(join(folder, name), 'utf8'));
    }
    expect([...texts.keys()].filter((name) => name.startsWith('runbooks/'))).toEqual([
      'runbooks/prices.md',
      'runbooks/inventory.md',
      'runbooks/orders.md',
    ]);
    expect(texts.get('alerts.yml')).toContain('for: 30s');
    expect(texts.get('alerts-of-the-demo.yml')).toContain('for: 1500ms');
    expect(texts.get('runbooks/inventory.md')).toContain('1. team warehouse, who runs it');
    const postMortem = texts.get('post-mortem.md') ?? '';
    expect(postMortem).toMatch(/\| prices[^|]*\| [1-9]\d* \|/);
    expect(postMortem).not.toContain('No event log was given');
    expect(rules).toMatch(/promtool takes the rules|were not checked/);
    for (const [name, text] of texts) expect(text, name).not.toContain(operations.reports.token);
  });
});

const circuitNames = ['prices', 'inventory', 'orders', ...(short.kafka ? ['events'] : [])];

describe('the report', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'resil-demo-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is one file that needs no network', async () => {
    const { record } = await emptyRun();
    const measured: Measured = { record, figures: figuresOf(record) };
    const file = await writeReport(join(folder, 'deep', 'report.html'), {
      unprotected: measured,
      guarded: measured,
      claims: [{ text: '1 < 2', held: true, measured: 'yes' }],
      missing: ['NOT SHOWN: Kafka. there is no <java>'],
      machine: 'a machine',
    });
    const html = await readFile(file, 'utf8');
    // The library is long; what is said about it must not be.
    const scripts = [...html.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(
      ([, script]) => script,
    );
    expect(scripts).toHaveLength(3);
    expect(scripts[0]?.length).toBeGreaterThan(500_000);
    const markup = html.replaceAll(/(<script[^>]*>).*?<\/script>/gs, '$1');
    expect(markup).toContain('1 &lt; 2');
    expect(markup).toContain('NOT SHOWN: Kafka. there is no &lt;java&gt;');
    expect(markup).not.toMatch(/(?:src|href)=|url\(/);
    expect(figuresTable(measured, measured)).toContain('black hole');
    expect(ledgerLines(measured).join()).toContain('0 acknowledged');
  });
});

/** A run in which nobody was answered. */
async function emptyRun(): Promise<Pick<Measured, 'record'>> {
  return {
    record: {
      protected: true,
      scenario: short,
      phases: short.phases.map((phase) => ({
        phase,
        start: phase.start,
        lifted: phase.lift,
        outage: phase.duration,
        wall: { start: phase.start, lifted: phase.lift },
        end: phase.end,
      })),
      outcomes: plannedOrders(short).map(() => undefined),
      circuits: [],
      events: {},
      service: [],
      outside: [],
      ledger: ledgerOf([], [], { orders: [], reservations: [], events: undefined }, 0),
      alerts: undefined,
    },
  };
}
