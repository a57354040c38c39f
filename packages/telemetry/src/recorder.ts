/**
 * Takes measurements: what an event or a description says, under which instrument, for which values of
 * its attributes. Bounds how many values and series there are.
 */
import {
  type AttributeName,
  type Instrument,
  type InstrumentId,
  instruments,
} from './instruments.js';
import { type Attributes, type Series, SeriesTable, type Values } from './series.js';
import { ShownValues } from './shown-values.js';

/** Where something happened. */
export interface Place {
  readonly pipeline: string | null | undefined;
  readonly key: string | null | undefined;
}

/** How much a {@link Recorder} tells apart. */
export interface RecorderBounds {
  readonly maxKeys: number;
  readonly maxValues: number;
  readonly maxSeries: number;
}

/** Takes each value of a histogram, instead of the recorder. */
export type HistogramSink = (instrument: Instrument, value: number, attributes: Attributes) => void;

/** The series of an instrument at one moment. */
export interface Reading {
  readonly instrument: Instrument;
  readonly series: readonly Series[];
}

/** What stands for a pipeline without a name. */
const UNNAMED = 'unnamed';
/** Attributes whose values come from outside, so that there may be ever so many. */
const OPEN: readonly AttributeName[] = [
  'error.type',
  'messaging.destination.name',
  'resil.client',
  'resil.endpoint',
  'resil.pipeline',
  // A budget of the user's own may have reasons of its own.
  'resil.reason',
  'resil.strategy',
  'resil.target',
];

/** Holds the series of all instruments. */
export class Recorder {
  readonly #tables: { readonly [Id in InstrumentId]: SeriesTable };
  readonly #withKeys: boolean;
  readonly #sink: HistogramSink | undefined;

  constructor({ maxKeys, maxValues, maxSeries }: RecorderBounds, sink?: HistogramSink) {
    this.#withKeys = maxKeys > 0;
    this.#sink = sink;
    const shown = new Map(OPEN.map((name) => [name, new ShownValues(maxValues)]));
    shown.set('resil.key', new ShownValues(maxKeys));
    const tableOf = (instrument: Instrument): SeriesTable => {
      const names = attributesOf(instrument, this.#withKeys);
      const attributes = names.map((name) => ({ name, shown: shown.get(name) }));
      const counted = instrument.kind !== 'gauge' && instrument !== instruments.folded;
      const onFolded = (): void => {
        if (counted) this.#tables.folded.at([], [instrument.name]).value++;
      };
      return new SeriesTable(instrument, attributes, maxSeries, onFolded);
    };
    this.#tables = Object.fromEntries(
      Object.entries(instruments).map(([id, instrument]) => [id, tableOf(instrument)]),
    ) as { [Id in InstrumentId]: SeriesTable };
  }

  /** What a counter counts. */
  count(id: InstrumentId, place: Place, values: Values, amount = 1): void {
    this.#tables[id].at(this.#first(place), values).value += amount;
  }

  /** A value of a histogram. */
  record(id: InstrumentId, place: Place, values: Values, value: number): void {
    const table = this.#tables[id];
    const series = table.at(this.#first(place), values);
    const { instrument } = table;
    if (this.#sink !== undefined) {
      this.#sink(instrument, value, series.attributes);
      return;
    }
    const { buckets = [] } = instrument;
    let bucket = 0;
    while (bucket < buckets.length && value > (buckets[bucket] as number)) bucket++;
    series.counts[bucket] = (series.counts[bucket] as number) + 1;
    series.value += value;
    series.count++;
  }

  /** What a gauge shows. */
  show(id: InstrumentId, place: Place, values: Values, value: number): void {
    this.#tables[id].fold(this.#first(place), values, value);
  }

  /** Forgets what the gauges showed: they are about to be read anew. */
  clearGauges(): void {
    for (const table of Object.values(this.#tables)) {
      if (table.instrument.kind === 'gauge') table.clear();
    }
  }

  /** The series of all instruments. */
  get readings(): readonly Reading[] {
    return Object.values(this.#tables);
  }

  #first({ pipeline, key }: Place): Values {
    const name = pipeline ?? UNNAMED;
    return this.#withKeys ? [name, key ?? undefined] : [name];
  }
}

/** Names of all attributes of an instrument, in order. */
export function attributesOf(instrument: Instrument, withKeys: boolean): readonly AttributeName[] {
  if (instrument === instruments.folded) return instrument.attributes;
  const where: readonly AttributeName[] = withKeys
    ? ['resil.pipeline', 'resil.key']
    : ['resil.pipeline'];
  return [...where, ...instrument.attributes];
}
