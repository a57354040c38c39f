/**
 * A Prometheus of one's own: the real server in a process of its own, on a port of its own, that scrapes
 * what it is told and evaluates the rules that it is given. Nothing survives the process that started it.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FolderOnLeash, KILL, spawnOnLeash } from './leash.js';
import { PrometheusUnavailableError, prometheusFiles } from './prometheus-files.js';

/** What a Prometheus can be started with. */
export interface PrometheusOptions {
  /** What it scrapes at `/metrics`: `127.0.0.1:9464`. Default: nothing. */
  readonly targets?: readonly string[];
  /** Rule files, as YAML (or JSON, which is YAML too). Default: none. */
  readonly rules?: readonly string[];
  /** How often it scrapes, and how often it evaluates, in ms. Default: 200. */
  readonly interval?: number;
  /** Told what is being done where it may take a while. Default: nobody. */
  readonly onProgress?: (message: string) => void;
}

/** One series of an answer: its labels, and its latest value. */
export interface PrometheusSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One series of an answer over time: its labels, and its values with their moments, in ms since 1970. */
export interface PrometheusSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [at: number, value: number])[];
}

/** An alert that is pending or fires. */
export interface PrometheusAlert {
  readonly name: string;
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What became of a run of promtool. */
export interface PromtoolResult {
  readonly ok: boolean;
  /** What it wrote. */
  readonly output: string;
}

/** Longest wait until it serves, in ms: a hundred times what an idle machine needs. */
const START_TIMEOUT = 60_000;

/** Starts a Prometheus. Throws `PrometheusUnavailableError` where there can be none. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<PrometheusServer> {
  const { targets = [], rules = [], interval = 200, onProgress = () => {} } = options;
  const { prometheus } = await prometheusFiles(onProgress);
  const leash = new FolderOnLeash(await mkdtemp(join(tmpdir(), 'resil-prometheus-')));
  const home = join(leash.folder, 'server');
  await mkdir(home);
  const ruleFiles = rules.map((_, index) => join(home, `rules-${index}.yml`));
  for (const [index, text] of rules.entries()) await writeFile(ruleFiles[index] as string, text);
  const config = {
    global: { scrape_interval: `${interval}ms`, evaluation_interval: `${interval}ms` },
    rule_files: ruleFiles,
    scrape_configs: [{ job_name: 'resil', static_configs: [{ targets: [...targets] }] }],
  };
  await writeFile(join(home, 'prometheus.yml'), JSON.stringify(config));
  const child = spawnOnLeash(
    [
      prometheus,
      `--config.file=${join(home, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(home, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
      // Answers count from the latest scrape, not from that of five minutes ago.
      '--query.lookback-delta=10s',
      '--rules.alert.resend-delay=1s',
    ],
    KILL,
    { cwd: home, stdout: 'ignore' },
  );
  const server = new PrometheusServer(child, leash);
  try {
    await server.ready();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/** Runs promtool: `promtool(['check', 'rules', file])`. */
export async function promtool(args: readonly string[], cwd?: string): Promise<PromtoolResult> {
  const files = await prometheusFiles();
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, stdout: string, stderr: string): void => {
      if (error !== null && typeof (error as { code?: unknown }).code !== 'number') reject(error);
      else resolve({ ok: error === null, output: `${stdout}${stderr}` });
    };
    execFile(files.promtool, [...args], { cwd }, done);
  });
}

/** A running Prometheus. `close()` it at the end. */
export class PrometheusServer {
  readonly #child: ChildProcess;
  readonly #leash: FolderOnLeash;
  readonly #log: string[] = [];
  #url = '';

  /** Use {@link startPrometheus}. */
  constructor(child: ChildProcess, leash: FolderOnLeash) {
    this.#child = child;
    this.#leash = leash;
    child.unref();
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
  }

  /** Where it serves: `http://127.0.0.1:12345`. */
  get url(): string {
    return this.#url;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last lines that it wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  /** Waits until it serves. */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT;
    for (;;) {
      if (this.#url !== '') {
        const answer = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
        if (answer?.ok) return;
      }
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || performance.now() > deadline) {
        const what = ended ? 'it ended' : `it did not serve within ${START_TIMEOUT} ms`;
        throw new PrometheusUnavailableError(`${what}:\n${this.#log.join('\n')}`);
      }
      await sleep(20);
    }
  }

  /** The latest value of each series of an expression in PromQL. */
  async query(expression: string): Promise<PrometheusSample[]> {
    const search = new URLSearchParams({ query: expression });
    const { result } = await this.#ask<{ result: RawSample[] }>(`query?${search}`);
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** Asks until `enough` is content, or `patience` ms have passed; gives back the last answer. */
  async queryUntil(
    expression: string,
    enough: (samples: readonly PrometheusSample[]) => boolean,
    patience = 30_000,
  ): Promise<PrometheusSample[]> {
    const deadline = performance.now() + patience;
    for (;;) {
      const samples = await this.query(expression);
      if (enough(samples) || performance.now() > deadline) return samples;
      await sleep(50);
    }
  }

  /** The values of an expression from one moment to another, in ms since 1970, one each `step` ms. */
  async queryRange(
    expression: string,
    from: number,
    to: number,
    step: number,
  ): Promise<PrometheusSeries[]> {
    const search = new URLSearchParams({
      query: expression,
      start: String(from / 1_000),
      end: String(to / 1_000),
      step: String(step / 1_000),
    });
    const { result } = await this.#ask<{ result: RawSeries[] }>(`query_range?${search}`);
    return result.map(({ metric, values }) => ({
      labels: metric,
      points: values.map(([seconds, value]) => [Math.round(seconds * 1_000), Number(value)]),
    }));
  }

  /** Whether each target was reached at its last scrape, by its address. */
  async targets(): Promise<Record<string, 'up' | 'down' | 'unknown'>> {
    const { activeTargets } = await this.#ask<{ activeTargets: RawTarget[] }>('targets');
    return Object.fromEntries(activeTargets.map(({ labels, health }) => [labels.instance, health]));
  }

  /** The alerts that are pending or fire. */
  async alerts(): Promise<PrometheusAlert[]> {
    const { alerts } = await this.#ask<{ alerts: RawAlert[] }>('alerts');
    return alerts.map(({ labels: { alertname = '', ...labels }, annotations, state }) => ({
      name: alertname,
      state,
      labels,
      annotations,
    }));
  }

  /** Kills it and removes its data. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      child.ref();
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await this.#leash.remove();
  }

  async #ask<T>(path: string): Promise<T> {
    const answer = await fetch(`${this.#url}/api/v1/${path}`);
    const body = (await answer.json()) as { status: string; error?: string; data: T };
    if (body.status !== 'success') throw new Error(`Prometheus: ${body.error ?? answer.status}`);
    return body.data;
  }

  #read(text: string): void {
    this.#log.push(...text.split('\n').filter((line) => line !== ''));
    this.#log.splice(0, this.#log.length - 200);
    if (this.#url !== '') return;
    const address = /msg="Listening on" .*?address=([\d.]+:\d+)/.exec(this.#log.join('\n'))?.[1];
    if (address !== undefined) this.#url = `http://${address}`;
  }
}

interface RawSample {
  readonly metric: Record<string, string>;
  readonly value: [number, string];
}

interface RawSeries {
  readonly metric: Record<string, string>;
  readonly values: [number, string][];
}

interface RawTarget {
  readonly labels: { readonly instance: string };
  readonly health: 'up' | 'down' | 'unknown';
}

interface RawAlert {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly state: 'pending' | 'firing';
}
