/**
 * How an abort goes down the tree of calls. A call gets a node only when somebody reads its signal,
 * waits on it, or aborts it; a node that nobody listens to hangs on nothing. All the nodes that hang
 * on one caller's signal share a single listener there.
 */
import { report } from './emitter.js';

/** Hears once of an abort. */
export type AbortListener = (reason: unknown) => void;

/** A place in a node's list; what hears of aborts for every call extends it, and costs no closure. */
export abstract class AbortLink {
  /** @internal */
  abortNode: AbortNode | undefined;
  /** @internal */
  previousLink: AbortLink | undefined;
  /** @internal */
  nextLink: AbortLink | undefined;

  constructor() {
    this.abortNode = undefined;
    this.previousLink = undefined;
    this.nextLink = undefined;
  }

  /** Hears of the abort, once. */
  abstract tell(reason: unknown): void;

  /** No longer wants to hear of it. */
  forget(): void {
    this.abortNode?.remove(this);
  }
}

/** A listener that is a function. */
class ListenerLink extends AbortLink {
  private readonly listener: AbortListener;

  constructor(listener: AbortListener) {
    super();
    this.listener = listener;
  }

  tell(reason: unknown): void {
    tellOne(this.listener, reason);
  }
}

/** Those who want to hear of one call's abort. It hangs on the node further out as a link of its own, and on the caller's signal. */
export class AbortNode extends AbortLink {
  /** The node further out, if there is anything further out that can abort. */
  private readonly outer: AbortNode | undefined;
  private readonly callerSignal: AbortSignal | undefined;
  private controller: AbortController | undefined;
  private first: AbortLink | undefined;
  /** Takes us off the caller's signal; `undefined` while we don't hang on it. */
  private leaveSignal: (() => void) | undefined;
  private closed: boolean;

  constructor(outer: AbortNode | undefined, callerSignal?: AbortSignal) {
    super();
    this.outer = outer;
    this.callerSignal = callerSignal;
    this.controller = undefined;
    this.first = undefined;
    this.leaveSignal = undefined;
    this.closed = false;
  }

  /** Whether anybody waits to hear of an abort. */
  get listened(): boolean {
    return this.first !== undefined;
  }

  /** A signal of this node's own. `aborted` tells that the call was aborted before, and why. */
  signal(aborted: { readonly reason: unknown } | undefined): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (aborted === undefined) this.join(true);
      else this.controller.abort(aborted.reason);
    }
    return this.controller.signal;
  }

  /** Adds a listener; the result takes it off again. */
  add(listener: AbortListener, ofCaller = true): () => void {
    const link = new ListenerLink(listener);
    this.hang(link, ofCaller);
    return () => link.forget();
  }

  /** Adds a link that hangs on no other node; `ofCaller` tells whether it wants to hear of the caller's own abort too. */
  hang(link: AbortLink, ofCaller = true): void {
    link.abortNode = this;
    link.nextLink = this.first;
    if (this.first !== undefined) this.first.previousLink = link;
    this.first = link;
    this.join(ofCaller);
  }

  /** Tells everybody, once. */
  tell(reason: unknown): void {
    this.close();
    this.controller?.abort(reason);
    for (let link = this.first; link !== undefined; link = this.first) {
      this.remove(link);
      link.tell(reason);
    }
  }

  /** No longer follows what is further out, for good. */
  close(): void {
    this.closed = true;
    this.leave();
  }

  private leave(): void {
    this.forget();
    this.leaveSignal?.();
    this.leaveSignal = undefined;
  }

  /** Takes a link of this node off. */
  remove(link: AbortLink): void {
    const { previousLink: previous, nextLink: next } = link;
    if (previous === undefined) this.first = next;
    else previous.nextLink = next;
    if (next !== undefined) next.previousLink = previous;
    link.abortNode = undefined;
    link.previousLink = undefined;
    link.nextLink = undefined;
    if (!this.listened && this.controller === undefined) this.leave();
  }

  /** Hangs itself on what is further out, so far as is needed. */
  private join(ofCaller: boolean): void {
    const { outer, callerSignal } = this;
    if (this.closed) return;
    if (outer !== undefined) {
      if (this.abortNode === undefined) outer.hang(this, ofCaller);
      else if (ofCaller) outer.join(true);
    }
    if (callerSignal !== undefined && ofCaller) {
      this.leaveSignal ??= hubOf(callerSignal).add((reason) => this.tell(reason));
    }
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
