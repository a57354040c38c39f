/** A run while it lasts, as text. */
import colors from 'picocolors';
import { isServed, percentile } from './figures.js';
import type { ObservedPhase } from './record.js';
import type { RunProgress } from './run.js';
import { type PlannedOrder, plannedOrders, type Scenario } from './scenario.js';
import { format } from './table.js';

const BAR_WIDTH = 30;
const SPARKS = '▁▂▃▄▅▆▇█';
/** Milliseconds that one character of the curve stands for. */
const SPARK_DURATION = 1_000;
const SPARK_COUNT = 40;

/** Writes about one run. */
export class ProgressText {
  readonly #plan: readonly PlannedOrder[];
  readonly #scenario: Scenario;
  readonly #done: string[] = [];

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#plan = plannedOrders(scenario);
  }

  /** A few lines that change all the time, below those of the phases that are over. */
  live(progress: RunProgress): string {
    const { end } = this.#scenario;
    const now = Math.min(progress.now, end);
    const filled = Math.round((now / end) * BAR_WIDTH);
    const bar = colors.cyan('━'.repeat(filled)) + colors.gray('─'.repeat(BAR_WIDTH - filled));
    const fault = progress.phase.fault !== undefined && !progress.lifted;
    const title = fault
      ? colors.red(progress.phase.title)
      : `${progress.phase.fault === undefined ? progress.phase.title : `calm after ${progress.phase.title}`}`;
    const seconds = (duration: number): string => (duration / 1_000).toFixed(0);
    const { service, outside } = progress;
    return [
      ...this.#done,
      `${bar} ${seconds(now)} of ${seconds(end)} s  ${title}`,
      `served/s ${this.#sparks(progress)}`,
      [
        `waiting ${service?.inFlight ?? 0}`,
        `sockets ${outside?.sockets ?? 0}`,
        `memory ${format.memory(service?.memory ?? 0)}`,
        ...[...progress.circuits].map(([circuit, state]) => `${circuit} circuit ${state}`),
      ].join('  '),
    ].join('\n');
  }

  /** A phase that is over, in one line that stays. */
  phase({ phase, start, lifted }: ObservedPhase, { outcomes }: RunProgress): string {
    const orders = this.#plan.filter(({ arrival }) => arrival >= start && arrival < lifted);
    const found = orders.map(({ index }) => outcomes[index]);
    const served = found.filter(isServed);
    const waiting = found.filter((outcome) => outcome === undefined).length;
    const line = [
      phase.title.padEnd(16),
      `served ${String(served.length).padStart(4)} of ${String(orders.length).padStart(4)}`,
      `p50 ${format
        .duration(
          percentile(
            served.map(({ latency }) => latency),
            0.5,
          ),
        )
        .padStart(6)}`,
      ...(waiting === 0 ? [] : [`still waiting ${waiting}`]),
    ].join('  ');
    this.#done.push(line);
    return line;
  }

  /** Orders served per second, by when they were answered. */
  #sparks({ now, outcomes }: RunProgress): string {
    const counts: number[] = [];
    for (const outcome of outcomes) {
      if (!isServed(outcome)) continue;
      const arrival = this.#plan[outcome.index]?.arrival ?? 0;
      const second = Math.floor((arrival + outcome.latency) / SPARK_DURATION);
      counts[second] = (counts[second] ?? 0) + 1;
    }
    const last = Math.floor(now / SPARK_DURATION);
    const shown = Array.from({ length: last }, (_, second) => counts[second] ?? 0).slice(
      -SPARK_COUNT,
    );
    const most = Math.max(1, ...counts.map((count) => count ?? 0));
    const sparks = shown.map((count) => SPARKS[Math.round((count / most) * (SPARKS.length - 1))]);
    return `${sparks.join('')} ${shown.at(-1) ?? 0}`;
  }
}
