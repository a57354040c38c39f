/** Keeps what a pipeline, or the whole process, tells, so that a test can look at it afterwards. */
import {
  InvalidOptionError,
  type ResilienceEvent,
  type ResilienceEventType,
  type ResilienceListener,
} from '@resil/core';

/** What can be listened to: a pipeline, or core's `observe` for the whole process. */
export type EventSource =
  | { on(listener: ResilienceListener): () => void }
  | ((listener: ResilienceListener) => () => void);

/** The events of one type. */
export type EventOf<Type extends ResilienceEventType> = Extract<
  ResilienceEvent,
  { readonly type: Type }
>;

/** What {@link recordEvents} gives. */
export interface EventRecorder {
  /** The events so far, oldest first; grows while the recorder listens. */
  readonly events: readonly ResilienceEvent[];
  /** The types of the events so far. */
  readonly types: readonly ResilienceEventType[];
  /** The events of one type. */
  of<Type extends ResilienceEventType>(type: Type): readonly EventOf<Type>[];
  /** Forgets the events so far and goes on listening. */
  clear(): void;
  /** Stops listening; the events stay. */
  stop(): void;
  /** The same as `stop`: `using recorder = recordEvents(pipeline)`. */
  [Symbol.dispose](): void;
}

/**
 * Records the events of a pipeline, or with core's `observe` those of the process.
 *
 * @throws {@link InvalidOptionError} when `source` is neither.
 *
 * @example
 * ```ts
 * const quotes = pipeline('quotes', retry({ maxAttempts: 3 }));
 * const recorder = recordEvents(quotes);
 * await quotes.execute(() => 42);
 * console.log(recorder.types); // ['call.started', 'call.succeeded']
 * recorder.stop();
 * ```
 */
export function recordEvents(source: EventSource): EventRecorder {
  const events: ResilienceEvent[] = [];
  const listener: ResilienceListener = (event) => {
    events.push(event);
  };
  const stop = subscribe(source, listener);
  return {
    events,
    get types() {
      return events.map((event) => event.type);
    },
    of<Type extends ResilienceEventType>(type: Type) {
      return events.filter((event): event is EventOf<Type> => event.type === type);
    },
    clear() {
      events.length = 0;
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

function subscribe(source: EventSource, listener: ResilienceListener): () => void {
  if (typeof source === 'function') return source(listener);
  if (typeof source?.on === 'function') return source.on(listener);
  throw new InvalidOptionError('recordEvents: source', source, 'must be a pipeline or observe');
}
