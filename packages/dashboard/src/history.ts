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

  toJSON(): PipelineHistory {
    const places = Array.from(
      { length: this.#count },
      (_, index) => (this.#next - this.#count + index + this.#size) % this.#size,
    );
    const series = {} as Record<HistorySeries, readonly (number | null)[]>;
    historySeries.forEach((name, index) => {
      const valueAt = (place: number) => this.#values[index * this.#size + place] ?? Number.NaN;
      series[name] = places.map((place) => jsonNumber(valueAt(place)));
    });
    return { at: places.map((place) => this.#at[place] ?? 0), series };
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
