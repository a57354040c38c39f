import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  type Inspection,
  operationsKit,
  type RuleFile,
  type Settings,
  writeKit,
} from '../src/index.js';
import { Modules } from './modules.js';

const modules = new Modules();

/** A service with one dependency of everything, and one of nothing. */
const service = (): Promise<Inspection> =>
  modules.inspect(
    `import { adaptiveLimiter, bulkhead, circuitBreaker, fallback, pipeline, retry, retryBudget, throttle, timeout } from '@resil/core';
     export const prices = pipeline(
       { name: 'prices', dependency: { client: 'axios', target: 'http://prices', restartDuration: 45_000 } },
       fallback(() => 0),
       timeout({ duration: 2_000 }),
       retry({ maxAttempts: 3, budget: retryBudget() }),
       circuitBreaker({ name: 'prices', failureThreshold: 5, resetTimeout: 10_000 }),
       throttle(),
       bulkhead({ name: 'prices', maxConcurrentCalls: 6, maxQueueSize: 12, queueTimeout: 300 }),
       timeout({ duration: 500 }),
     );
     export const plain = pipeline('a/b "c"', timeout({ duration: 500 }));`,
    'shop',
  );
const settings: Settings = {
  dependencies: {
    prices: {
      critical: true,
      objective: 0.99,
      owner: 'team prices',
      escalation: ['#prices', 'Ann'],
    },
  },
};

const alertsOf = (kit: Readonly<Record<string, string>>, dependency: string): string[] => {
  const { groups } = parse(kit['alerts.yml'] ?? '') as RuleFile;
  const group = groups.find(({ name }) => name === `shop: ${dependency}`);
  return (group?.rules ?? []).map((rule) => ('alert' in rule ? rule.alert : rule.record));
};

describe('the operations kit', () => {
  it('has an alert for each way in which a layer tells that something is wrong, and none without the layer', async () => {
    const kit = operationsKit(await service(), { settings });
    expect(alertsOf(kit, 'prices')).toEqual([
      'ResilErrorBudgetBurnsFast',
      'ResilErrorBudgetBurns',
      'ResilCircuitOpen',
      'ResilCircuitFlaps',
      'ResilCircuitIsolated',
      'ResilManyRetries',
      'ResilRetryBudgetExhausted',
      'ResilQueueFull',
      'ResilCallsRefused',
      'ResilSlow',
      'ResilTimeouts',
      'ResilFallbackAnswers',
      'ResilThrottled',
      'ResilNotMeasured',
    ]);
    expect(alertsOf(kit, 'a/b "c"')).toEqual([
      'ResilErrorBudgetBurnsFast',
      'ResilErrorBudgetBurns',
      'ResilSlow',
      'ResilTimeouts',
      'ResilNotMeasured',
    ]);
  });

  it('takes its numbers from the configuration and the settings', async () => {
    const kit = operationsKit(await service(), { settings, selector: 'job="shop"' });
    const { groups } = parse(kit['alerts.yml'] ?? '') as RuleFile;
    const find = (name: string) =>
      groups.flatMap(({ rules }) => rules).find((rule) => 'alert' in rule && rule.alert === name);
    expect(find('ResilErrorBudgetBurnsFast')?.expr).toContain('> 0.144 and');
    expect(find('ResilCircuitOpen')).toMatchObject({
      for: '45s',
      labels: { severity: 'page', critical: 'true', owner: 'team prices', service: 'shop' },
      annotations: { runbook: 'runbooks/prices.md', meanwhile: 'a fallback answers' },
    });
    expect(find('ResilSlow')?.expr).toMatch(/> 1\.6$/);
    expect(find('ResilSlow')?.expr).toContain('job="shop"');
  });

  it('has all windows shortened for a drill', async () => {
    const kit = operationsKit(await service(), { timeScale: 1 / 60 });
    expect(kit['alerts.yml']).toContain('ratio_rate5s');
    expect(kit['alerts.yml']).toContain('[1m]');
    expect(kit['alerts.yml']).not.toContain('[1h]');
  });

  it('tells in a runbook what happens, what to look at, how to isolate, recover and escalate', async () => {
    const kit = operationsKit(await service(), { settings });
    const book = kit['runbooks/prices.md'] ?? '';
    const headings = [...book.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual([
      'What it means',
      'What to look at',
      'How to isolate it',
      'How to recover',
      'Escalation',
    ]);
    expect(book).toContain('| at | http://prices |');
    expect(book).toContain('A caller waits 2 s at most.');
    expect(book).toContain("The circuit 'prices' opens when 5 calls in a row failed.");
    expect(book).toContain("'prices': 6 calls at a time, 12 may wait 300 ms");
    expect(book).toContain('A fallback answers failures and refusals.');
    expect(book).toContain('1. team prices, who runs it\n2. #prices\n3. Ann');
    for (const alert of alertsOf(kit, 'prices')) expect(book).toContain(`\`${alert}\``);
    expect(kit['runbooks/a-b-c-.md']).toContain('Nothing answers in its place');
    expect(kit['runbooks/a-b-c-.md']).toContain('Nobody is named.');
  });

  it('isolates the circuit by the code of the runbook, of keyed pipelines too', async () => {
    const kit = operationsKit(await service(), { settings });
    const [, code = ''] = /```js\n([\s\S]*?)```/.exec(kit['runbooks/prices.md'] ?? '') ?? [];
    const file = await modules.write(`
      import { keyed, pipeline, circuitBreaker as breaker } from '@resil/core';
      const one = pipeline('prices', breaker({ name: 'one' }));
      const many = keyed((key) => pipeline({ name: 'prices', key }, breaker({ name: key })), { name: 'prices' });
      const other = pipeline('stock', breaker({ name: 'other' }));
      many.for('a');
      ${code.replace('import {', 'import { observe, ')}
      const states = [one, many.for('a'), other].map(({ layers: [layer] }) => layer.state);
      process.stdout.write(JSON.stringify(states));`);
    const { stdout } = await promisify(execFile)(process.execPath, [file]);
    expect(JSON.parse(stdout)).toEqual(['isolated', 'isolated', 'closed']);
  });

  it('orders dependencies in the playbooks by what is lost without them', async () => {
    const books = operationsKit(await service(), { settings });
    const down = books['playbooks/dependency-down.md'] ?? '';
    expect(down.indexOf('[prices]')).toBeLessThan(down.indexOf('[a/b "c"]'));
    expect(books['playbooks/overload.md']).toContain('| prices | 6 | 12 | 300 ms |');
    expect(books['playbooks/retry-storm.md']).toContain("retry 'retry': budget");
    expect(books['playbooks/slow-dependency.md']).toContain('| 500 ms | 2 s | prices: 6 |');
    const links = Object.values(books).flatMap((text) => [
      ...text.matchAll(/\]\((?:\.\.\/)?(runbooks\/[^)]+|[a-z-]+\.md)\)/g),
    ]);
    expect(links.length).toBeGreaterThan(5);
    for (const [, link = ''] of links) {
      expect(Object.keys(books).some((name) => name.endsWith(link))).toBe(true);
    }
  });

  it('is written over what is there', async () => {
    const folder = path.join(await modules.folder, 'kit');
    const kit = operationsKit(await service());
    await writeKit(kit, folder);
    expect(await writeKit(kit, folder)).toEqual(Object.keys(kit));
    expect(await readFile(path.join(folder, 'runbooks/prices.md'), 'utf8')).toBe(
      kit['runbooks/prices.md'],
    );
  });

  it('is refused for a service whose pipelines have no names', async () => {
    const nameless = await modules.inspect(
      "import { pipeline, timeout } from '@resil/core'; export const p = pipeline(timeout());",
      'shop',
    );
    expect(() => operationsKit(nameless)).toThrow("'shop' has no pipeline with a name");
  });
});

describe('the dashboard', () => {
  it('is what Grafana’s own types say a dashboard is', async () => {
    const kit = operationsKit(await service(), { settings });
    const { panels } = JSON.parse(kit['dashboard.json'] ?? '') as { panels: PanelJson[] };
    const shown = panels.filter(({ type }) => type !== 'row');
    const optionsOf = { timeseries: 'TimeSeriesOptions', 'state-timeline': 'StateTimelineOptions' };
    const options = shown.map(
      ({ type, options: own }, index) =>
        `export const options${index}: Plain<${optionsOf[type as keyof typeof optionsOf]}> = ${JSON.stringify(own)};`,
    );
    const queries = shown.flatMap(({ targets }) => targets ?? []);
    const source = `
      import type { Dashboard, DataQuery } from '@grafana/schema';
      import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
      import type { Options as StateTimelineOptions } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
      // JSON has the values of enums, not the enums.
      type Plain<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
      export const dashboard: Plain<Dashboard> = ${kit['dashboard.json']};
      export const queries: Plain<DataQuery & { expr: string; legendFormat: string; range: boolean }>[] = ${JSON.stringify(queries)};
      ${options.join('\n')}`;
    const file = await modules.write(source, 'dashboard.mts');
    const tsc = fileURLToPath(new URL('../node_modules/.bin/tsc', import.meta.url));
    const flags = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--types',
      'node',
    ];
    const { stdout } = await promisify(execFile)(tsc, [...flags, file]).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });

  it('gives every panel its own id and place, within 24 columns and without overlaps', async () => {
    const kit = operationsKit(await service(), { settings });
    const { panels, schemaVersion } = JSON.parse(kit['dashboard.json'] ?? '') as {
      panels: PanelJson[];
      schemaVersion: number;
    };
    expect(schemaVersion).toBe(41);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const {
      gridPos: { x, y, w, h },
    } of panels) {
      expect(x + w).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          expect(taken.has(`${column} ${row}`)).toBe(false);
          taken.add(`${column} ${row}`);
        }
      }
    }
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
      'shop: all dependencies',
      'prices',
      'a/b "c"',
    ]);
  });
});

interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly options?: unknown;
  readonly targets?: readonly { readonly expr: string }[];
}
