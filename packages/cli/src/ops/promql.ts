/** Expressions of Prometheus, with the names that `@resil/telemetry` gives its metrics. */
import {
  type AttributeName,
  type InstrumentId,
  instruments,
  prometheusLabel,
  prometheusName,
} from '@resil/telemetry';

/** Labels that series must have; of a list, one of its values. */
export type Matchers = { readonly [Name in AttributeName]?: string | readonly string[] };

/** What is added to every selector: `job="orders"`. */
export interface ExpressionSettings {
  /** Matchers in PromQL, for the series of one job or environment. */
  readonly selector?: string | undefined;
  /** How much shorter all windows and waits are: 1 for production, 1/60 for a drill of minutes. */
  readonly timeScale: number;
}

/** Makes expressions. */
export class Expressions {
  readonly #settings: ExpressionSettings;

  constructor(settings: ExpressionSettings) {
    this.#settings = settings;
  }

  /** Series of a metric; `ending` is `_count` or `_bucket` of a histogram. */
  series(id: InstrumentId, matchers: Matchers = {}, ending = ''): string {
    const own = Object.entries(matchers).map(
      ([name, value]: [string, string | readonly string[]]) => {
        const label = prometheusLabel(name);
        return typeof value === 'string'
          ? `${label}=${JSON.stringify(value)}`
          : `${label}=~${JSON.stringify(value.join('|'))}`;
      },
    );
    const { selector } = this.#settings;
    const all = [...own, ...(selector === undefined ? [] : [selector])].join(',');
    return `${prometheusName(instruments[id])}${ending}{${all}}`;
  }

  /** How fast a counter grows, per second. */
  rate(id: InstrumentId, window: number, matchers: Matchers = {}, ending = ''): string {
    return `rate(${this.series(id, matchers, ending)}[${this.duration(window)}])`;
  }

  /** A time as Prometheus writes it, from milliseconds: `5m`, `1500ms`. */
  duration(milliseconds: number): string {
    return prometheusDuration(milliseconds * this.#settings.timeScale);
  }
}

/** `5m`, `90s`, `1500ms`. */
export function prometheusDuration(milliseconds: number): string {
  const whole = Math.max(1, Math.round(milliseconds));
  for (const [unit, length] of UNITS) if (whole % length === 0) return `${whole / length}${unit}`;
  return `${whole}ms`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** Sums series, kept apart by some labels. */
export function sumBy(labels: readonly AttributeName[], expression: string): string {
  return `sum by (${labels.map(prometheusLabel).join(', ')}) (${expression})`;
}

/** The greatest of series, kept apart by some labels. */
export function maxBy(labels: readonly AttributeName[], expression: string): string {
  return `max by (${labels.map(prometheusLabel).join(', ')}) (${expression})`;
}

/** A label's value in an annotation. */
export function labelValue(name: AttributeName): string {
  return `{{ $labels.${prometheusLabel(name)} }}`;
}
