/**
 * The calls behind the `Call` interface: the root of one `execute`, and the calls derived from it.
 *
 * A call costs no AbortController and no listener until somebody reads its signal or waits. Aborting
 * goes down the tree: each call that somebody listens to hangs one link on its parent, and the root
 * one entry on the caller's signal, where all calls share a single listener.
 */
import type { Call, CallAttributes, CallOptions, DeriveOptions } from './call.js';
import type { Clock } from './clock.js';
import { type DeadlineEntry, NOT_PENDING } from './deadline-wheel.js';
import { type Emitter, processEmitter, report } from './emitter.js';
import type { ResilienceEvent, ResilienceEventInput } from './events.js';
import type { Classify } from './outcome.js';

/** The pipeline that a call is in at the moment, as far as its layers need to know it. */
export interface Scope {
  readonly name: string | undefined;
  readonly key: string | undefined;
  readonly classify: Classify | undefined;
  readonly emitter: Emitter;
  /** The scope of the pipeline that this one is nested in. */
  readonly outer: Scope | undefined;
}

/** The operation of a call. */
export type Operation = (call: Call) => unknown;

/** A place in a call's list of those who want to hear of its abort. */
class AbortLink {
  readonly notify: (reason: unknown) => void;
  previous: AbortLink | undefined;
  next: AbortLink | undefined;
  owner: CallState | undefined;

  constructor(notify: (reason: unknown) => void) {
    this.notify = notify;
  }
}

const NOTHING: CallAttributes = Object.freeze({});

/** What all calls have in common. */
export abstract class CallState implements Call {
  abstract readonly root: RootCall;
  readonly parent: CallState | undefined;
  readonly attempt: number;
  readonly deadline: number;
  readonly scope: Scope;
  started = false;
  #ownAbort: { readonly reason: unknown } | undefined;
  #controller: AbortController | undefined;
  #listeners: AbortLink | undefined;
  /** Our place on the parent; `undefined` while nobody listens to us. */
  #link: AbortLink | undefined;

  constructor(parent: CallState | undefined, attempt: number, deadline: number, scope: Scope) {
    this.parent = parent;
    this.attempt = attempt;
    this.deadline = deadline;
    this.scope = scope;
  }

  /** Whether this call can be aborted apart from its parent; if not, it shows the parent's signal as its own. */
  protected abstract readonly abortable: boolean;
  /** The signal that the caller gave, for the root. */
  protected get outerSignal(): AbortSignal | undefined {
    return undefined;
  }

  get clock(): Clock {
    return this.root.rootClock;
  }
  get name(): string | undefined {
    return this.root.options?.name;
  }
  get key(): string | undefined {
    return this.root.options?.key ?? this.scope.key;
  }
  get priority(): number {
    return this.root.options?.priority ?? 0;
  }
  get idempotent(): boolean | undefined {
    return this.root.options?.idempotent;
  }
  get attributes(): CallAttributes {
    return this.root.options?.attributes ?? NOTHING;
  }

  now(): number {
    return this.root.now();
  }

  remaining(): number {
    return this.deadline === Infinity ? Infinity : Math.max(0, this.deadline - this.clock.now());
  }

  get aborted(): boolean {
    return (
      this.#ownAbort !== undefined ||
      this.outerSignal?.aborted === true ||
      this.parent?.aborted === true
    );
  }

  get reason(): unknown {
    if (this.#ownAbort !== undefined) return this.#ownAbort.reason;
    if (this.parent !== undefined) return this.parent.reason;
    return this.outerSignal?.aborted === true ? this.outerSignal.reason : undefined;
  }

  get cancelled(): boolean {
    if (this.#ownAbort !== undefined) return false;
    return this.parent === undefined ? this.outerSignal?.aborted === true : this.parent.cancelled;
  }

  get signal(): AbortSignal {
    if (!this.abortable) {
      const outer = this.parent === undefined ? this.outerSignal : this.parent.signal;
      if (outer !== undefined) return outer;
    }
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.aborted) this.#controller.abort(this.reason);
      else this.#linkToParent();
    }
    return this.#controller.signal;
  }

  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.aborted) {
      notify(listener, this.reason);
      return () => {};
    }
    const link = new AbortLink(listener);
    this.#add(link);
    return () => detach(link);
  }

  derive(options?: DeriveOptions): CallState {
    return new DerivedCall(this, options?.attempt ?? this.attempt, this.scope);
  }

  /** The same call as seen by the layers of a nested pipeline. */
  within(scope: Scope): CallState {
    return new DerivedCall(this, this.attempt, scope);
  }

  get observed(): boolean {
    return isObserved(this.scope);
  }

  emit(input: ResilienceEventInput): void {
    const event: ResilienceEvent = {
      ...input,
      pipeline: this.scope.name,
      key: this.key,
      name: this.name,
      attempt: this.attempt,
      at: this.clock.now(),
    };
    for (let scope: Scope | undefined = this.scope; scope !== undefined; scope = scope.outer)
      scope.emitter.emit(event);
    processEmitter.emit(event);
  }

  /** Aborts this call and, through it, everything derived from it. */
  abort(reason: unknown): void {
    if (this.#ownAbort !== undefined) return;
    this.#ownAbort = { reason };
    this.#tell(reason);
  }

  /** The call has settled: what still hangs on its signal no longer follows the parent. */
  close(): void {
    this.#unlinkFromParent();
  }

  #tell(reason: unknown): void {
    this.#unlinkFromParent();
    this.#controller?.abort(reason);
    for (let link = this.#listeners; link !== undefined; link = this.#listeners) {
      this.forget(link);
      notify(link.notify, reason);
    }
  }

  #add(link: AbortLink): void {
    link.owner = this;
    link.next = this.#listeners;
    if (this.#listeners !== undefined) this.#listeners.previous = link;
    this.#listeners = link;
    this.#linkToParent();
  }

  /** Takes a link of this call off. */
  forget(link: AbortLink): void {
    if (link.previous !== undefined) link.previous.next = link.next;
    else this.#listeners = link.next;
    if (link.next !== undefined) link.next.previous = link.previous;
    link.owner = undefined;
    link.previous = undefined;
    link.next = undefined;
    if (this.#listeners === undefined && this.#controller === undefined) this.#unlinkFromParent();
  }

  #linkToParent(): void {
    if (this.#link !== undefined) return;
    if (this.parent === undefined && this.outerSignal === undefined) return;
    this.#link = new AbortLink((reason) => this.#tell(reason));
    if (this.parent !== undefined) this.parent.#add(this.#link);
    else hubOf(this.outerSignal as AbortSignal).add(this.#link);
  }

  #unlinkFromParent(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    if (this.parent === undefined) hubOf(this.outerSignal as AbortSignal).remove(link);
    else detach(link);
  }
}

/** The call that `execute` begins. */
export class RootCall extends CallState {
  readonly root: RootCall = this;
  readonly rootClock: Clock;
  readonly operation: Operation;
  readonly options: CallOptions | undefined;
  readonly startedAt: number;
  /** While the call is first walked in, which is synchronous, now is when it began. */
  walkingIn = true;

  constructor(scope: Scope, clock: Clock, operation: Operation, options: CallOptions | undefined) {
    super(undefined, 1, options?.deadline ?? Infinity, scope);
    this.rootClock = clock;
    this.operation = operation;
    this.options = options;
    this.startedAt = clock.now();
  }

  protected get abortable(): boolean {
    return false;
  }

  protected override get outerSignal(): AbortSignal | undefined {
    return this.options?.signal;
  }

  override now(): number {
    return this.walkingIn ? this.startedAt : this.rootClock.now();
  }
}

/** A call that a strategy runs again or elsewhere. */
class DerivedCall extends CallState {
  readonly root: RootCall;

  constructor(parent: CallState, attempt: number, scope: Scope) {
    super(parent, attempt, parent.deadline, scope);
    this.root = parent.root;
  }

  protected get abortable(): boolean {
    return false;
  }
}

/** The call of work that stands under a timeout: it is its own entry among the pending deadlines. */
export class TimedCall extends CallState implements DeadlineEntry {
  readonly root: RootCall;
  readonly #onExpired: (call: TimedCall) => void;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;

  constructor(parent: CallState, deadline: number, onExpired: (call: TimedCall) => void) {
    super(parent, parent.attempt, deadline, parent.scope);
    this.root = parent.root;
    this.#onExpired = onExpired;
  }

  protected get abortable(): boolean {
    return true;
  }

  expire(): void {
    this.#onExpired(this);
  }
}

/** Whether anybody hears the events of a scope. */
export function isObserved(scope: Scope): boolean {
  if (processEmitter.observed) return true;
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    if (at.emitter.observed) return true;
  }
  return false;
}

/** The one listener on a caller's signal, for however many calls hang on it. */
class SignalHub {
  readonly #signal: AbortSignal;
  readonly #links = new Set<AbortLink>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(link: AbortLink): void {
    if (this.#links.size === 0) this.#signal.addEventListener('abort', this.#onAbort);
    this.#links.add(link);
  }

  remove(link: AbortLink): void {
    if (this.#links.delete(link) && this.#links.size === 0)
      this.#signal.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#signal.removeEventListener('abort', this.#onAbort);
    const links = [...this.#links];
    this.#links.clear();
    for (const link of links) link.notify(this.#signal.reason);
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

/** Takes a link off the call it hangs on, if it still does. */
function detach(link: AbortLink): void {
  link.owner?.forget(link);
}

function notify(listener: (reason: unknown) => void, reason: unknown): void {
  try {
    listener(reason);
  } catch (error) {
    report(error, 'an abort listener');
  }
}
