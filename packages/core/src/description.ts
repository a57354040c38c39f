/**
 * What `describe()` gives: the layers of a pipeline with their options, live state and counters, as
 * plain JSON, for health endpoints, dashboards and tools. It holds names, keys of pipelines and
 * numbers, and nothing of any one call: no argument, no value, no error.
 *
 * As JSON has neither, `Infinity` is shown as `null` ("no limit", "never") and a function as
 * `'function'`. What does not apply is left out.
 */
import type { AttemptBudget } from './attempt-budget.js';
import type { Dependency } from './dependency.js';
import { report } from './emitter.js';
import type { Guard, Strategy } from './layer.js';
import { isGuard } from './layer-kinds.js';

/** What JSON can hold. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** An object of what JSON can hold. */
export type JsonRecord = { readonly [name: string]: JsonValue };

/** One layer at one moment, as JSON. */
export type LayerDescription = {
  /** Name of the factory: `'circuitBreaker'`. A layer of your own without `describe` is a `'guard'` or a `'strategy'`. */
  readonly type: string;
  /** The layer's name in errors and events; `null` if it has none. */
  readonly name: string | null;
  /** The options that it goes by, defaults filled in. */
  readonly options: JsonRecord;
  /** What it is at this moment. Durations are in milliseconds. */
  readonly state: JsonRecord;
  /** What it did since it was made; whole numbers that only grow. */
  readonly counters: { readonly [name: string]: number };
};

/** A pipeline at one moment, as JSON; a pipeline inside another is a layer of it. */
export type PipelineDescription = LayerDescription & {
  readonly type: 'pipeline';
  /** The key that it serves; `null` if it serves all. */
  readonly key: string | null;
  /** What it stands before; `null` if that was not told. */
  readonly dependency: JsonRecord | null;
  /** Calls that have begun and not ended. */
  readonly state: { readonly inFlight: number };
  /** Calls that were begun by this pipeline itself. Those that came through an outer one are counted there. */
  readonly counters: {
    readonly started: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly rejected: number;
    readonly aborted: number;
  };
  /** Outermost first; a pattern that brings another along is shown beside it. */
  readonly layers: readonly LayerDescription[];
};

/** Keyed pipelines at one moment, as JSON. */
export type KeyedDescription = LayerDescription & {
  readonly type: 'keyed';
  /** What the pipelines stand before; `null` if that was not told. */
  readonly dependency: JsonRecord | null;
  readonly state: { readonly keys: number };
  /** The pipelines of the keys that were used last, latest first. */
  readonly pipelines: readonly (PipelineDescription & { readonly key: string })[];
};

/** What can be asked for its description. */
export interface Describable {
  describe(): LayerDescription;
}

/** Values as JSON holds them: `Infinity` and `NaN` become `null`, functions `'function'`; `undefined` is left out. */
export function jsonRecord(values: Readonly<Record<string, unknown>>): JsonRecord {
  const record: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) record[name] = jsonValue(value);
  }
  return record;
}

function jsonValue(value: unknown): JsonValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      // JSON has no negative zero either.
      return Number.isFinite(value) ? value + 0 : null;
    case 'function':
      return 'function';
    case 'object':
      if (value === null) return null;
      if (Array.isArray(value)) return value.map(jsonValue);
      if (isDescribable(value)) return jsonRecord(value.describe());
      // What is inside an object of somebody's class is nobody's business here.
      return isPlain(value) ? jsonRecord(value as Record<string, unknown>) : 'object';
    default:
      return String(value);
  }
}

/** What was told of a dependency. */
export function describeDependency(dependency: Dependency | undefined): JsonRecord | null {
  return dependency === undefined ? null : jsonRecord({ ...dependency });
}

/** A budget; one of the user's own shows what its `describe` gives, if it has one. */
export function describeBudget(budget: AttemptBudget): LayerDescription {
  return described(budget, 'budget');
}

/** A guard or strategy; one of the user's own shows what its `describe` gives, if it has one. */
export function describeLayer(layer: Guard | Strategy): LayerDescription {
  return described(layer, isGuard(layer) ? 'guard' : 'strategy');
}

function described(part: { readonly name: string }, type: string): LayerDescription {
  const plain = { type, name: part.name, options: {}, state: {}, counters: {} };
  if (!isDescribable(part)) return plain;
  try {
    return { ...plain, ...jsonRecord(part.describe()) };
  } catch (error) {
    report(error, `describe of '${part.name}'`);
    return plain;
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isDescribable(value: object): value is Describable {
  return typeof (value as Partial<Describable>).describe === 'function';
}
