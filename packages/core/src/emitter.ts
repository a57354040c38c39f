/**
 * Listeners, and what becomes of an error that one of them throws: it is reported and otherwise
 * ignored, so that telemetry never fails, hangs or double-counts a call.
 */
import type { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import type { ResilienceEvent, ResilienceEventInput, ResilienceListener } from './events.js';
import type { ObservedMark } from './guard-mode.js';
import type { LayerOwner } from './layer.js';

/** Hears about errors thrown by listeners, hooks and predicates. */
export type ErrorReporter = (error: unknown, where: string) => void;

let reporter: ErrorReporter = (error, where) => {
  console.error(`@resil: ${where} threw`, error);
};

/**
 * Replaces what is done with errors thrown by listeners, hooks and predicates; by default they are
 * written to `console.error`. Returns a function that puts the former one back.
 */
export function reportErrorsTo(next: ErrorReporter): () => void {
  const former = reporter;
  reporter = next;
  return () => {
    reporter = former;
  };
}

/** Reports an error that must not reach the caller. */
export function report(error: unknown, where: string): void {
  try {
    reporter(error, where);
  } catch {
    // The reporter is the last resort; there is nobody left to tell.
  }
}

/** A set of listeners. */
export class Emitter {
  /** Copied on change, so that emitting is a plain loop. */
  #listeners: readonly ResilienceListener[] = [];

  get observed(): boolean {
    return this.#listeners.length > 0;
  }

  /** Adds a listener; the result takes just this subscription off again. */
  add(listener: ResilienceListener): () => void {
    if (typeof listener !== 'function') throw new TypeError('a listener must be a function');
    const own: ResilienceListener = (event, call) => listener(event, call);
    this.#listeners = [...this.#listeners, own];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== own);
    };
  }

  emit(event: ResilienceEvent, call?: object): void {
    for (const listener of this.#listeners) {
      try {
        listener(event, call);
      } catch (error) {
        report(error, `a listener to '${event.type}'`);
      }
    }
  }
}

/** What a layer tells, with where and when it happened. */
export function eventOf(
  input: ResilienceEventInput,
  pipeline: string | undefined,
  key: string | undefined,
  name: string | undefined,
  attempt: number,
  at: number,
): ResilienceEvent {
  // The spread comes last: Node 20 takes over 10 µs for what stands behind one of changing shape.
  const own: object = input;
  return { type: input.type, pipeline, key, name, attempt, at, ...own } as ResilienceEvent;
}

/**
 * Keeps an error out of what is printed or stored of its event: a client's errors hold headers,
 * parameters and values. Listeners can still read `event.error`; `errorType` is fit for a label.
 */
export function keepAside(event: ResilienceEvent, error: unknown): void {
  Object.defineProperty(event, 'error', { value: error, enumerable: false });
  Object.defineProperty(event, 'errorType', { value: typeOf(error), enumerable: true });
}

/** An error's code, else its name. */
function typeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  if (typeof code === 'string' && code !== '') return code;
  return typeof name === 'string' ? name : undefined;
}

/**
 * Emits what happens to a layer that calls share: to its own emitter, which the pipelines that it
 * stands in hear, and to the process. `call` is the one that caused it, if one did.
 */
export function emitOfLayer(
  layer: {
    readonly emitter: Emitter;
    readonly owner: LayerOwner | undefined;
    readonly clock: Clock;
    /** Set where a guard only observes. */
    readonly mark?: ObservedMark;
  },
  change: ResilienceEventInput,
  call: CallState | undefined,
): void {
  if (!layer.emitter.observed && !processEmitter.observed) return;
  const event = eventOf(
    { ...layer.mark, ...change },
    call === undefined ? layer.owner?.name : call.scope.name,
    call === undefined ? layer.owner?.key : call.key,
    call?.name,
    call?.attempt ?? 0,
    layer.clock.now(),
  );
  if ('error' in change) keepAside(event, change.error);
  layer.emitter.emit(event, call?.root);
  processEmitter.emit(event, call?.root);
}

/** Hears every pipeline of the process. */
export const processEmitter: Emitter = new Emitter();

/** Calls `listener` with every event of every pipeline in the process; the result ends it. */
export function observe(listener: ResilienceListener): () => void {
  return processEmitter.add(listener);
}
