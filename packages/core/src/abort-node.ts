/**
 * How an abort goes down the tree of calls. A call gets a node only when somebody reads its signal,
 * waits on it, or aborts it; a node that nobody listens to hangs on nothing. All the nodes that hang
 * on one caller's signal share a single listener there.
 */
import { report } from './emitter.js';

/** Hears once of an abort. */
export type AbortListener = (reason: unknown) => void;

/** Where a node hears of aborts from further out: another node, the caller's signal, or nowhere. */
export type AbortSource = AbortNode | AbortSignal | undefined;

/** A place in a node's list of listeners. */
class Link {
  readonly listener: AbortListener;
  owner: AbortNode | undefined;
  previous: Link | undefined;
  next: Link | undefined;

  constructor(listener: AbortListener) {
    this.listener = listener;
    this.owner = undefined;
    this.previous = undefined;
    this.next = undefined;
  }
}

/** Those who want to hear of one call's abort. */
export class AbortNode {
  readonly #source: AbortSource;
  #controller: AbortController | undefined;
  #first: Link | undefined;
  /** Takes us off the source; `undefined` while we don't hang on it. */
  #leaveSource: (() => void) | undefined;
  #closed = false;

  constructor(source: AbortSource) {
    this.#source = source;
  }

  /** A signal of this node's own. `aborted` tells that the call was aborted before, and why. */
  signal(aborted: { readonly reason: unknown } | undefined): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (aborted === undefined) this.#joinSource();
      else this.#controller.abort(aborted.reason);
    }
    return this.#controller.signal;
  }

  /** Adds a listener; the result takes it off again. */
  add(listener: AbortListener): () => void {
    const link = new Link(listener);
    link.owner = this;
    link.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = link;
    this.#first = link;
    this.#joinSource();
    return () => leave(link);
  }

  /** Tells everybody, once. */
  tell(reason: unknown): void {
    this.close();
    this.#controller?.abort(reason);
    for (let link = this.#first; link !== undefined; link = this.#first) {
      this.remove(link);
      tellOne(link.listener, reason);
    }
  }

  /** No longer follows the source, for good. */
  close(): void {
    this.#closed = true;
    this.#leave();
  }

  #leave(): void {
    this.#leaveSource?.();
    this.#leaveSource = undefined;
  }

  /** Takes a link of this node off. */
  remove(link: Link): void {
    if (link.previous === undefined) this.#first = link.next;
    else link.previous.next = link.next;
    if (link.next !== undefined) link.next.previous = link.previous;
    link.owner = undefined;
    if (this.#first === undefined && this.#controller === undefined) this.#leave();
  }

  #joinSource(): void {
    if (this.#closed || this.#source === undefined || this.#leaveSource !== undefined) return;
    const tell: AbortListener = (reason) => this.tell(reason);
    this.#leaveSource =
      this.#source instanceof AbortNode ? this.#source.add(tell) : hubOf(this.#source).add(tell);
  }
}

/** The one listener on a caller's signal, for however many nodes hang on it. */
class SignalHub {
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<AbortListener>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(listener: AbortListener): () => void {
    if (this.#listeners.size === 0) this.#signal.addEventListener('abort', this.#onAbort);
    this.#listeners.add(listener);
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#signal.removeEventListener('abort', this.#onAbort);
    };
  }

  readonly #onAbort = (): void => {
    this.#signal.removeEventListener('abort', this.#onAbort);
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) tellOne(listener, this.#signal.reason);
  };
}

const hubs = new WeakMap<AbortSignal, SignalHub>();

function hubOf(signal: AbortSignal): SignalHub {
  let hub = hubs.get(signal);
  if (hub === undefined) {
    hub = new SignalHub(signal);
    hubs.set(signal, hub);
  }
  return hub;
}

/** Calls an abort listener; what it throws is reported. */
export function tellOne(listener: AbortListener, reason: unknown): void {
  try {
    listener(reason);
  } catch (error) {
    report(error, 'an abort listener');
  }
}

/** Takes a link off its node, if it still hangs there. */
function leave(link: Link): void {
  link.owner?.remove(link);
}
