/** The series of one instrument, bounded in number: those for which there is no room share one. */
import type { AttributeName, Instrument } from './instruments.js';
import { OTHER, type ShownValues } from './shown-values.js';

/** Values of attributes; one that does not apply is left out. */
export type Attributes = { readonly [Name in AttributeName]?: string };

/** One series: the values of its attributes, and what was measured. */
export class Series {
  readonly attributes: Attributes;
  /** Of a counter or a gauge; of a histogram, the sum of what was recorded. */
  value = 0;
  /** How many values a histogram recorded. */
  count = 0;
  /** How many of them lie in each bucket, and how many above the last; empty for others. */
  readonly counts: number[];

  constructor(attributes: Attributes, buckets: readonly number[]) {
    this.attributes = attributes;
    this.counts = new Array(buckets.length + 1).fill(0);
  }
}

/** An attribute of an instrument, and which of its values are shown; all of them if they are few by nature. */
export interface SeriesAttribute {
  readonly name: AttributeName;
  readonly shown?: ShownValues | undefined;
}

/** Values of attributes, in the order in which the instrument names them. */
export type Values = readonly (string | undefined)[];

/** By the value of an attribute, the nodes of the next one; behind the last one, series. */
type Node = Map<string | undefined, Node | Series>;

/** The series of one instrument. */
export class SeriesTable {
  readonly instrument: Instrument;
  readonly #attributes: readonly SeriesAttribute[];
  readonly #max: number;
  /** Told when a measurement goes to a series called other. */
  readonly #onFolded: () => void;
  /** By the values as they are shown: the quick way. */
  readonly #root: Node = new Map();
  readonly #series = new Map<string, Series>();

  constructor(
    instrument: Instrument,
    attributes: readonly SeriesAttribute[],
    max: number,
    onFolded: () => void,
  ) {
    this.instrument = instrument;
    this.#attributes = attributes;
    this.#max = max;
    this.#onFolded = onFolded;
  }

  /** All series, in the order in which they came. */
  get series(): readonly Series[] {
    return [...this.#series.values()];
  }

  /** The series of these values, those of the first attributes apart; made if it is new and there is room. */
  at(first: Values, rest: Values): Series {
    let node: Node | Series | undefined = this.#root;
    let folded = false;
    const count = first.length + rest.length;
    for (let index = 0; index < count; index++) {
      const value = index < first.length ? first[index] : rest[index - first.length];
      let next: Node | Series | undefined = (node as Node).get(value);
      if (next === undefined) {
        if (value === undefined || this.#attributes[index]?.shown?.folds(value) !== true) {
          return this.#find([...first, ...rest]);
        }
        folded = true;
        next = (node as Node).get(OTHER);
        if (next === undefined) return this.#find([...first, ...rest]);
      }
      node = next;
    }
    if (folded) this.#onFolded();
    return node as Series;
  }

  /** Lets a value of a gauge count, which may be one of several of its series. */
  fold(first: Values, rest: Values, value: number): void {
    const series = this.at(first, rest);
    series.count++;
    const { fold = 'sum' } = this.instrument;
    if (series.count === 1) series.value = value;
    else if (fold === 'sum') series.value += value;
    else
      series.value = fold === 'min' ? Math.min(series.value, value) : Math.max(series.value, value);
  }

  /** Forgets all series. */
  clear(): void {
    this.#root.clear();
    this.#series.clear();
  }

  #find(values: Values): Series {
    let folded = false;
    const shown = values.map((value, index) => {
      const all = this.#attributes[index]?.shown;
      if (value === undefined || all === undefined) return value;
      const text = all.of(value);
      folded ||= text === undefined;
      return text ?? OTHER;
    });
    const id = idOf(shown);
    const known = this.#series.get(id);
    // The last place is kept for all that come too late.
    const full = known === undefined && this.#series.size >= this.#max - 1;
    folded ||= full;
    const series = known ?? (full ? this.#other(shown) : this.#add(id, shown));
    if (folded) this.#onFolded();
    if (!full) this.#place(series, shown);
    return series;
  }

  #other(shown: Values): Series {
    const others = shown.map(() => OTHER);
    const id = idOf(others);
    // It is there already if all of its values were folded one by one.
    return this.#series.get(id) ?? this.#add(id, others);
  }

  #add(id: string, values: Values): Series {
    const attributes: Partial<Record<AttributeName, string>> = {};
    for (const [index, { name }] of this.#attributes.entries()) {
      const value = values[index];
      if (value !== undefined) attributes[name] = value;
    }
    const series = new Series(Object.freeze(attributes), this.instrument.buckets ?? []);
    this.#series.set(id, series);
    return series;
  }

  #place(series: Series, values: Values): void {
    let node = this.#root;
    for (const value of values.slice(0, -1)) {
      let next = node.get(value) as Node | undefined;
      if (next === undefined) {
        next = new Map();
        node.set(value, next);
      }
      node = next;
    }
    node.set(values.at(-1), series);
  }
}

function idOf(shown: Values): string {
  return JSON.stringify(shown.map((value) => value ?? null));
}
