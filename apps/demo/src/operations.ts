/**
 * What those who run the protected service have of it while it runs: a live dashboard that it reports to, a
 * Prometheus that scrapes it and evaluates the alerts made from its clients, and a log of what happened. All
 * of it is in processes other than the service's own.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Inspection } from '@resil/cli';
import { type Dashboard, dashboard } from '@resil/dashboard';
import { type PrometheusServer, PrometheusUnavailableError, startPrometheus } from '@resil/testbed';
import colors from 'picocolors';
import { alertSpans, FIRING } from './alerts.js';
import {
  drillRules,
  protectedService,
  type WrittenKit,
  writeOperationsKit,
} from './operations-kit.js';
import type { ReportTarget } from './order-service.js';
import type { AlertSpan } from './record.js';
import type { RunOperations } from './run.js';

/** How often Prometheus scrapes and evaluates, in ms. */
const SCRAPE_INTERVAL = 1_000;
/** Between two moments at which it is asked afterwards what fired, in ms. */
const HISTORY_STEP = 250;

/** Everything for operators. `close()` it at the end. */
export class Operations implements RunOperations {
  readonly #board: Dashboard;
  readonly #folder: string;
  #service: Inspection | undefined;
  #prometheus: PrometheusServer | undefined;
  readonly reports: ReportTarget;
  /** Why there is no Prometheus; `undefined` as long as there may be one. */
  missing: string | undefined;

  private constructor(board: Dashboard, reports: ReportTarget, folder: string) {
    this.#board = board;
    this.reports = reports;
    this.#folder = folder;
  }

  /** Serves the dashboard, on a free port of loopback. The kit will go to `folder`. */
  static async start(folder: string): Promise<Operations> {
    const token = randomBytes(24).toString('base64url');
    const board = dashboard({ title: 'resil demo', reports: { token } });
    const { url } = await board.listen(0);
    await mkdir(folder, { recursive: true });
    return new Operations(board, { to: url, token }, folder);
  }

  /** Where the dashboard is. */
  get url(): string {
    return this.reports.to;
  }

  get eventLog(): string {
    return join(this.#folder, 'events.ndjson');
  }

  /** Looks on by Prometheus, where it can be had. */
  async watch(
    address: string,
    kafka: boolean,
    onProgress: (message: string) => void,
  ): Promise<void> {
    this.#service = await protectedService(kafka);
    const rules = [await drillRules(this.#service)];
    onProgress('starting Prometheus');
    try {
      const options = { targets: [address], rules, interval: SCRAPE_INTERVAL, onProgress };
      this.#prometheus = await startPrometheus(options);
    } catch (error) {
      if (!(error instanceof PrometheusUnavailableError)) throw error;
      this.missing = error.message;
      onProgress(colors.yellow(withoutPrometheus(error.message)));
    }
  }

  async alerts(since: number): Promise<readonly AlertSpan[] | undefined> {
    const now = Date.now();
    const series = await this.#prometheus?.queryRange(FIRING, since, now, HISTORY_STEP);
    return series && alertSpans(series, HISTORY_STEP, now);
  }

  /** Writes the kit, when the protected run is over. */
  async writeKit(): Promise<WrittenKit> {
    if (this.#service === undefined) throw new Error('there was no protected run');
    return writeOperationsKit(this.#service, this.#folder, this.eventLog);
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    await Promise.all([this.#board.close(), this.#prometheus?.close()]);
  }
}

/** What is said where there is no Prometheus. */
export function withoutPrometheus(reason: string): string {
  return `NOT SHOWN: alerts. ${reason}`;
}
