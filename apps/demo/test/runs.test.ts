import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgerClaim, type Measured } from '../src/claims.js';
import { curvesOf } from '../src/curves.js';
import { figuresOf } from '../src/figures.js';
import { writeReport } from '../src/report.js';
import { run } from '../src/run.js';
import { plannedOrders, scenario } from '../src/scenario.js';
import { figuresTable, ledgerLine } from '../src/table.js';

const short = scenario({ short: true, seed: 7 });

async function measure(isProtected: boolean): Promise<Measured & { readonly titles: string[] }> {
  const titles: string[] = [];
  const record = await run({
    protected: isProtected,
    scenario: short,
    signal: new AbortController().signal,
    watcher: {
      onStep() {},
      onProgress() {},
      onPhase: ({ phase }) => titles.push(phase.title),
    },
  });
  return { record, figures: figuresOf(record), titles };
}

describe.each([false, true])('a short run, protected: %s', (isProtected) => {
  let measured: Awaited<ReturnType<typeof measure>>;
  beforeAll(async () => {
    measured = await measure(isProtected);
  });

  it('passes through every phase in order', () => {
    const planned = short.phases.map(({ title }) => title);
    expect(measured.titles).toEqual(planned);
    expect(measured.figures.map(({ title }) => title)).toEqual(planned);
    for (const { start, lifted, end } of measured.record.phases) {
      expect(lifted).toBeGreaterThan(start);
      expect(end).toBeGreaterThanOrEqual(lifted);
    }
  });

  it('has every acknowledged order in the database exactly once', () => {
    const { ledger, outcomes } = measured.record;
    expect(ledger.lost).toEqual([]);
    expect(ledger.doubled).toEqual([]);
    expect(ledger.acknowledged).toBe(outcomes.filter((order) => order?.acknowledged).length);
    expect(ledger.acknowledged).toBeGreaterThan(0);
    expect(ledgerClaim(measured).held).toBe(true);
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

  it('sees what reaches the price service, the sockets and the memory', () => {
    const { outside, service } = measured.record;
    const hits = outside.map(({ priceHits }) => priceHits);
    expect(hits).toEqual(hits.toSorted((one, other) => one - other));
    expect(hits.at(-1)).toBeGreaterThan(0);
    expect(Math.max(...outside.map(({ sockets }) => sockets))).toBeGreaterThan(0);
    expect(Math.min(...service.map(({ memory }) => memory))).toBeGreaterThan(0);
  });

  it('draws curves over the whole run', () => {
    const curves = curvesOf(measured.record, 250);
    expect(curves.offered).toHaveLength(Math.floor(short.end / 250));
    const circuits = new Set(curves.circuits.map(({ circuit }) => circuit));
    expect([...circuits]).toEqual(isProtected ? ['prices', 'orders'] : []);
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
});

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
    expect(markup).not.toMatch(/(?:src|href)=|url\(/);
    expect(figuresTable(measured, measured)).toContain('black hole');
    expect(ledgerLine(measured)).toContain('0 acknowledged');
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
        end: phase.end,
      })),
      outcomes: plannedOrders(short).map(() => undefined),
      circuits: [],
      events: {},
      service: [],
      outside: [],
      ledger: { acknowledged: 0, lost: [], doubled: [], unacknowledged: 0, rewritten: 0 },
    },
  };
}
