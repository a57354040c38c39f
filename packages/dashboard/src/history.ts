/** How a pipeline fared over time: the last samples of its row, in a memory that does not grow. */
import { circuitStates } from './layer-samples.js';
import {
  type HistorySeries,
  historySeries,
  type PipelineHistory,
  type PipelineSample,
} from './protocol.js';

/** The last samples of one row. */
export class History {
  readonly #size: number;
  readonly #at: Float64Array;
  /** One after the other, each of `size` numbers; NaN where nothing was known. */
  readonly #values: Float32Array;
  #next = 0;
  #count = 0;

  constructor(size: number) {
    this.#size = size;
    this.#at = new Float64Array(size);
    this.#values = new Float32Array(size * historySeries.length);
  }

  add(at: number, row: PipelineSample): void {
    this.#at[this.#next] = at;
    historySeries.forEach((name, index) => {
      this.#values[index * this.#size + this.#next] = valueIn(name, row) ?? Number.NaN;
    });
    this.#next = (this.#next + 1) % this.#size;
    this.#count = Math.min(this.#count + 1, this.#size);
  }

  /**
   * What some of the series came to in each of the last `size` intervals before `now`; `undefined` if that
   * is nothing. A sample tells of the time since the one before.
   */
  recent(
    names: readonly HistorySeries[],
    now: number,
    interval: number,
    size: number,
  ): number[] | undefined {
    const sums = new Array<number>(size).fill(0);
    // The interval that is under way has no sample yet.
    const end = now - this.#timeOf(0) < 2 * interval ? this.#timeOf(0) : now;
    let back = 0;
    let any = false;
    for (let slot = size - 1; slot >= 0; slot--) {
      const time = end - (size - 1 - slot) * interval;
      // The earliest sample that was taken no sooner than this interval ended.
      while (back + 1 < this.#count && this.#timeOf(back + 1) >= time) back++;
      if (back >= this.#count || this.#timeOf(back) < time) continue;
      for (const name of names) sums[slot] = (sums[slot] ?? 0) + (this.#value(name, back) || 0);
      any ||= sums[slot] !== 0;
    }
    return any ? sums.map((sum) => Math.round(sum * 10) / 10) : undefined;
  }

  toJSON(): PipelineHistory {
    const places = Array.from({ length: this.#count }, (_, index) =>
      this.#placeOf(this.#count - 1 - index),
    );
    const series = {} as Record<HistorySeries, readonly (number | null)[]>;
    historySeries.forEach((name, index) => {
      const valueAt = (place: number) => this.#values[index * this.#size + place] ?? Number.NaN;
      series[name] = places.map((place) => jsonNumber(valueAt(place)));
    });
    return { at: places.map((place) => this.#at[place] ?? 0), series };
  }

  /** Where the sample `back` samples before the latest is. */
  #placeOf(back: number): number {
    return (this.#next - 1 - back + 2 * this.#size) % this.#size;
  }

  #timeOf(back: number): number {
    return this.#at[this.#placeOf(back)] ?? 0;
  }

  #value(name: HistorySeries, back: number): number {
    return this.#values[historySeries.indexOf(name) * this.#size + this.#placeOf(back)] ?? 0;
  }
}

function valueIn(name: HistorySeries, row: PipelineSample): number | null {
  switch (name) {
    case 'succeeded':
    case 'failed':
    case 'rejected':
    case 'retried':
      return row.rates[name];
    case 'p50':
    case 'p95':
    case 'p99':
      return row.latency?.[name] ?? null;
    case 'inFlight':
    case 'waiting':
      return row[name];
    case 'limit':
      return row.limits.find(({ running }) => running !== null)?.limit ?? null;
    case 'state':
      return row.state === null ? null : circuitStates.indexOf(row.state);
  }
}

function jsonNumber(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * 100) / 100;
}
