import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithPrometheus, prometheusMissing } from './describe-prometheus.js';
import { type PrometheusServer, promtool, startPrometheus } from './prometheus.js';

/** An alert for as long as the level is above 10. */
const RULES = JSON.stringify({
  groups: [
    {
      name: 'test',
      rules: [
        {
          alert: 'LevelTooHigh',
          expr: 'level > 10',
          labels: { severity: 'page' },
          annotations: { summary: 'the level is {{ $value }}' },
        },
      ],
    },
  ],
});

describeWithPrometheus({ describe, it }, await prometheusMissing(), 'startPrometheus', () => {
  let level = 7;
  let prometheus: PrometheusServer;
  let address: string;
  const service = createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(`level ${level}\n`);
  });

  beforeAll(async () => {
    service.listen(0, '127.0.0.1');
    await once(service, 'listening');
    address = `127.0.0.1:${(service.address() as { port: number }).port}`;
    prometheus = await startPrometheus({ targets: [address], rules: [RULES] });
  });
  afterAll(async () => {
    await prometheus?.close();
    service.close();
  });

  it('scrapes its targets', async () => {
    const [sample] = await prometheus.queryUntil('level', ({ length }) => length > 0);
    expect(sample).toEqual({
      labels: { __name__: 'level', instance: address, job: 'resil' },
      value: 7,
    });
    expect(await prometheus.targets()).toEqual({ [address]: 'up' });
  });

  it('evaluates its rules, and resolves an alert', async () => {
    level = 11;
    await prometheus.queryUntil('ALERTS{alertstate="firing"}', ({ length }) => length > 0);
    expect(await prometheus.alerts()).toEqual([
      {
        name: 'LevelTooHigh',
        state: 'firing',
        labels: { instance: address, job: 'resil', severity: 'page' },
        annotations: { summary: 'the level is 11' },
      },
    ]);
    level = 3;
    await prometheus.queryUntil('ALERTS', ({ length }) => length === 0);
    expect(await prometheus.alerts()).toEqual([]);
  });

  it('tells afterwards from when to when an alert fired', async () => {
    const from = Date.now();
    const firing = 'ALERTS{alertname="LevelTooHigh",alertstate="firing"}';
    level = 12;
    await prometheus.queryUntil(firing, ({ length }) => length > 0);
    const seen = Date.now();
    level = 3;
    await prometheus.queryUntil(firing, ({ length }) => length === 0);
    const gone = Date.now();
    const [series, ...others] = await prometheus.queryRange(firing, from, gone, 10);
    expect(others).toEqual([]);
    expect(series?.labels).toMatchObject({ instance: address, severity: 'page' });
    const moments = series?.points.map(([at]) => at) ?? [];
    expect(Math.min(...moments)).toBeLessThanOrEqual(seen + 10);
    expect(Math.min(...moments)).toBeGreaterThan(from);
    expect(Math.max(...moments)).toBeLessThan(gone);
    expect(new Set(series?.points.map(([, value]) => value))).toEqual(new Set([1]));
  });

  it('says what is wrong with an expression', async () => {
    await expect(prometheus.query('level >')).rejects.toThrow(/parse error/);
  });

  it('says why it does not start', async () => {
    await expect(startPrometheus({ rules: ['groups: 1'] })).rejects.toThrow(
      /Prometheus can't be started: it ended:[\s\S]*cannot unmarshal/,
    );
  });

  it('has promtool check rules', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'resil-rules-'));
    await writeFile(join(folder, 'good.yml'), RULES);
    await writeFile(join(folder, 'bad.yml'), RULES.replace('level > 10', 'level >'));
    const good = await promtool(['check', 'rules', 'good.yml'], folder);
    expect(good).toEqual({ ok: true, output: expect.stringContaining('SUCCESS: 1 rules found') });
    const bad = await promtool(['check', 'rules', 'bad.yml'], folder);
    expect(bad).toEqual({
      ok: false,
      output: expect.stringContaining('could not parse expression'),
    });
    await rm(folder, { recursive: true });
  });

  it('leaves nothing behind when its parent is killed', async () => {
    const built = new URL('../dist/prometheus.js', import.meta.url).href;
    const script = `
      const { startPrometheus } = await import(${JSON.stringify(built)});
      const server = await startPrometheus();
      console.log(server.pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(parent.stdout.setEncoding('utf8'), 'data');
    parent.kill('SIGKILL');
    const alive = () => {
      try {
        const state = execFileSync('ps', ['-o', 'stat=', '-p', String(Number(line))]);
        return !state.toString().startsWith('Z');
      } catch {
        return false;
      }
    };
    for (let tries = 0; alive() && tries < 200; tries += 1) await sleep(50);
    expect(alive()).toBe(false);
  });
});
