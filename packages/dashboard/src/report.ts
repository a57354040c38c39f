/**
 * Reports the pipelines of this process to a dashboard elsewhere: one small request each interval, the
 * next only when the one before was answered, more rarely while nobody answers. Nothing of it keeps the
 * process alive, and a call never waits for it.
 */
import { randomUUID } from 'node:crypto';
import {
  booleanRule,
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  nameRule,
  type OptionRules,
  report as reportError,
  systemClock,
} from '@resil/core';
import { checkToken, intervalRule, tokenRule } from './options.js';
import type { ControlRequest, ProcessReport } from './protocol.js';
import { protocolVersion } from './protocol.js';
import { MAX_KEYS, MAX_REPORT, MAX_ROWS } from './read-report.js';
import { RefusedReportError, ReportSender } from './report-sender.js';
import { type OwnSample, Sampler } from './sampler.js';

/** Options of {@link report}. */
export interface ReportOptions {
  /** Where the dashboard is: `'https://dashboard.internal/resilience'`. The token goes there: use https between machines. */
  readonly to: string;
  /** The token of the dashboard's `reports`. */
  readonly token: string;
  /** Name of this process on the page. */
  readonly name: string;
  /**
   * Milliseconds between two reports. From 100.
   *
   * @defaultValue `reportDefaults.interval` (2,000)
   */
  readonly interval?: number | undefined;
  /** Whether the dashboard may isolate and reset this process's circuits. @defaultValue `reportDefaults.control` (false) */
  readonly control?: boolean | undefined;
  /** Pipelines reported, the oldest ones; 1 to 1,000. @defaultValue `reportDefaults.maxPipelines` (500) */
  readonly maxPipelines?: number | undefined;
  /** Keys reported of each set of keyed pipelines: of those used last the ones in trouble, then the most active; 1 to 200. @defaultValue `reportDefaults.maxKeys` (10) */
  readonly maxKeys?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link ReportOptions}. */
export const reportDefaults: {
  readonly interval: number;
  readonly control: boolean;
  readonly maxPipelines: number;
  readonly maxKeys: number;
} = Object.freeze({ interval: 2_000, control: false, maxPipelines: 500, maxKeys: 10 });

/** Reports that go on until they are stopped. */
export interface Reporter {
  /** Says that this process ends, and stops. Never rejects. */
  stop(): Promise<void>;
}

/** Longest time between two tries, in ms. */
const LONGEST_DELAY = 60_000;

const countUpTo = (most: number) => ({
  test: (value: unknown) => countRule(1).test(value) && (value as number) <= most,
  text: `a whole number from 1 to ${most}`,
});

const rules: OptionRules<ReportOptions> = {
  to: {
    test: (value) =>
      typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol),
    text: 'an http or https URL',
  },
  token: tokenRule,
  name: nameRule,
  interval: intervalRule,
  control: booleanRule,
  maxPipelines: countUpTo(MAX_ROWS),
  maxKeys: countUpTo(MAX_KEYS),
  clock: clockRule,
};

/**
 * Reports the pipelines of this process to a dashboard. What goes wrong is told to `reportErrorsTo`, once
 * until it works again.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { report } from '@resil/dashboard';
 *
 * const reporter = report({
 *   to: process.env.DASHBOARD_URL ?? 'http://127.0.0.1:4000',
 *   token: process.env.DASHBOARD_TOKEN ?? 'at-least-16-characters',
 *   name: 'orders 1',
 * });
 * await reporter.stop();
 * ```
 */
export function report(options: ReportOptions): Reporter {
  checkOptions('report', options, rules);
  checkToken('report.token', options.token);
  return new RunningReporter(options);
}

class RunningReporter implements Reporter {
  readonly #about: Pick<ProcessReport, 'instance' | 'name' | 'pid' | 'interval' | 'control'>;
  readonly #clock: Clock;
  readonly #sampler: Sampler;
  readonly #sender: ReportSender;
  readonly #to: string;
  #sending: Promise<void> = Promise.resolve();
  #failures = 0;
  /** Whether the dashboard knows of this process. */
  #known = false;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor({ to, token, name, ...options }: ReportOptions) {
    const clock = options.clock ?? systemClock;
    const { interval = reportDefaults.interval, control = reportDefaults.control } = options;
    const { maxPipelines = reportDefaults.maxPipelines, maxKeys = reportDefaults.maxKeys } =
      options;
    this.#about = {
      instance: randomUUID(),
      name: name.slice(0, 100),
      pid: process.pid,
      interval,
      control,
    };
    this.#clock = clock;
    this.#sampler = new Sampler({ clock, maxPipelines, maxKeys });
    this.#sender = new ReportSender(to, token, clock);
    this.#to = new URL(to).host;
    this.#next(0);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancel?.();
    this.#sender.hold();
    await this.#sending;
    if (this.#known && this.#failures === 0) await this.#send(true);
    this.#sampler.end();
    this.#sender.close();
  }

  #next(delay: number): void {
    if (this.#stopped) return;
    const go = (): void => {
      this.#sending = this.#send(false).then((wait) => this.#next(wait));
    };
    this.#cancel = this.#clock.schedule(go, delay, true);
  }

  /** Gives how long to wait for the next. */
  async #send(ending: boolean): Promise<number> {
    const { interval, control } = this.#about;
    try {
      const answer = await this.#sender.send(this.#body(ending));
      this.#failures = 0;
      this.#known = true;
      this.#sampler.heed(answer.watched);
      if (control) for (const command of answer.commands) this.#obey(command);
      return interval;
    } catch (error) {
      if (this.#failures === 0) reportError(error, `report to ${this.#to}`);
      this.#failures++;
      this.#sampler.heed(false);
      // A refusal does not get better soon, and each wrong token counts.
      if (error instanceof RefusedReportError) return LONGEST_DELAY;
      return Math.min(LONGEST_DELAY, interval * 2 ** Math.min(this.#failures, 10));
    }
  }

  /** As many rows as go into one report. */
  #body(ending: boolean): string {
    const sample = this.#sampler.sample();
    for (let rows = sample.pipelines.length; ; rows = Math.floor(rows / 2)) {
      const body = JSON.stringify(this.#reportOf(sample, rows, ending));
      if (rows === 0 || Buffer.byteLength(body) <= MAX_REPORT) return body;
    }
  }

  #reportOf(
    { pipelines, hidden, events }: OwnSample,
    rows: number,
    ending: boolean,
  ): ProcessReport {
    return {
      protocol: protocolVersion,
      ...this.#about,
      ending,
      hidden: hidden + pipelines.length - rows,
      pipelines: pipelines.slice(0, rows),
      events,
    };
  }

  #obey({ pipeline, breaker, name, action }: ControlRequest): void {
    const found = this.#sampler.breakers(pipeline)[breaker];
    if (found?.name === name) found[action]();
  }
}
