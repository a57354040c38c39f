/**
 * What ends a call from the caller's side: its own `cancel()`, its `AbortSignal`, the server's call
 * that it is made for. However many calls hang on one signal or one server's call, there is one
 * listener on it.
 */
import type { EventEmitter } from 'node:events';
import { emptyMetadata, type ParentCall } from './host.js';
import { CANCELLED, StatusError } from './status.js';

type Listener = () => void;

/** The one listener on a signal or a server's call, for all that hang on it. */
class Hub {
  readonly #listeners = new Set<Listener>();
  readonly #attach: (listener: Listener) => void;
  readonly #detach: (listener: Listener) => void;

  constructor(attach: (listener: Listener) => void, detach: (listener: Listener) => void) {
    this.#attach = attach;
    this.#detach = detach;
  }

  add(listener: Listener): () => void {
    if (this.#listeners.size === 0) this.#attach(this.#tell);
    this.#listeners.add(listener);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#detach(this.#tell);
    };
  }

  readonly #tell = (): void => {
    for (const listener of [...this.#listeners]) listener();
  };
}

const hubs = new WeakMap<object, Hub>();

function hubOf(source: object, make: () => Hub): Hub {
  let hub = hubs.get(source);
  if (hub === undefined) {
    hub = make();
    hubs.set(source, hub);
  }
  return hub;
}

/** Calls `abort` with the signal's reason when it is aborted, at once if it was; the result ends it. */
export function followSignal(
  signal: AbortSignal,
  abort: (reason: unknown) => void,
): (() => void) | undefined {
  if (signal.aborted) {
    abort(signal.reason);
    return undefined;
  }
  const make = (): Hub =>
    new Hub(
      (listener) => signal.addEventListener('abort', listener),
      (listener) => signal.removeEventListener('abort', listener),
    );
  return hubOf(signal, make).add(() => abort(signal.reason));
}

/** Calls `abort` when the server's call is cancelled by its own client; the result ends it. */
export function followParent(
  parent: ParentCall,
  abort: (reason: unknown) => void,
): (() => void) | undefined {
  const cancel = (): void => {
    // As grpc-js puts it.
    const details = 'Cancelled by parent call';
    abort(new StatusError({ code: CANCELLED, details, metadata: emptyMetadata(parent.metadata) }));
  };
  if (parent.cancelled) {
    cancel();
    return undefined;
  }
  // Each of its four kinds types its events by itself; all are emitters.
  const emitter: EventEmitter = parent;
  const make = (): Hub =>
    new Hub(
      (listener) => emitter.on('cancelled', listener),
      (listener) => emitter.off('cancelled', listener),
    );
  return hubOf(parent, make).add(cancel);
}
