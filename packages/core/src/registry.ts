/**
 * The pipelines of the process, for what looks at all of them: health, metrics, dashboards, tools. Each
 * pipeline and each set of keyed ones is in it from when it is made until nobody holds it any more, but
 * for those that are a part of another. It is one for all copies of this package in a process, because a
 * tool brings its own.
 */
import type { Keyed } from './keyed.js';
import type { Pipeline } from './pipeline.js';

const REGISTRY: symbol = Symbol.for('@resil/core/registry');

/** How many may come before those are looked for that nobody holds any more. */
const SWEEP_AFTER = 1_000;

type Entry = WeakRef<Pipeline | Keyed>;

const entries: Set<Entry> = sharedEntries();
const entryOf = new WeakMap<Pipeline | Keyed, Entry>();
let untilSweep = SWEEP_AFTER;

/**
 * The pipelines and keyed pipelines of the process that are not a part of another, in the order in which
 * they were made. Holding the result keeps them; nothing else here does.
 */
export function registered(): readonly (Pipeline | Keyed)[] {
  const alive: (Pipeline | Keyed)[] = [];
  for (const entry of entries) {
    const pipeline = entry.deref();
    if (pipeline === undefined) entries.delete(entry);
    else alive.push(pipeline);
  }
  return alive;
}

/**
 * Takes a pipeline out of {@link registered}: one that was made to check options, or that is a part of
 * another. Gives it back.
 */
export function unregister<Registered extends Pipeline | Keyed>(pipeline: Registered): Registered {
  const entry = entryOf.get(pipeline);
  if (entry !== undefined) entries.delete(entry);
  return pipeline;
}

/** @internal */
export function register(pipeline: Pipeline | Keyed): void {
  // A runtime without weak references has no registry, rather than one that holds what nobody needs.
  if (typeof WeakRef === 'undefined') return;
  const entry = new WeakRef(pipeline);
  entries.add(entry);
  entryOf.set(pipeline, entry);
  untilSweep--;
  if (untilSweep === 0) untilSweep = SWEEP_AFTER + registered().length;
}

function sharedEntries(): Set<Entry> {
  const shared = globalThis as { [REGISTRY]?: Set<Entry> };
  shared[REGISTRY] ??= new Set();
  return shared[REGISTRY];
}
