/**
 * The calls behind the `Call` interface: the root of one `execute`, and the calls derived from it.
 * Made for every call, so they hold little: what can be looked up on the root is looked up there, and
 * everything about aborts is made when somebody needs it.
 */
import { type AbortLink, AbortNode, tellOne } from './abort-node.js';
import { type AmbientContext, ambientProvider, deadlineOn } from './ambient.js';
import type { AttemptBudget } from './attempt-budget.js';
import type { Call, CallAttributes, CallOptions, DeriveOptions } from './call.js';
import type { Clock } from './clock.js';
import type { DeadlineWheel } from './deadline-wheel.js';
import { type Emitter, eventOf, keepAside, processEmitter } from './emitter.js';
import type { Endpoint } from './endpoint.js';
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

/** Where calls begin: a pipeline. */
export interface CallHost {
  readonly scope: Scope;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
}

/** A place that a call was sent to, how often, and the places that it was sent to before. */
export interface Trail {
  readonly place: object;
  tries: number;
  readonly earlier: Trail | undefined;
}

/** The operation of a call. */
export type Operation = (call: Call) => unknown;

const NOTHING: CallAttributes = Object.freeze({});

/** What all calls have in common. */
export abstract class CallState implements Call {
  readonly root: RootCall;
  readonly parent: CallState | undefined;
  readonly attempt: number;
  deadline: number;
  readonly scope: Scope;
  started: boolean;
  /** Why this call, and not one further out, was aborted. */
  private ownAbort: { readonly reason: unknown } | undefined;
  private node: AbortNode | undefined;

  constructor(
    root: RootCall | undefined,
    parent: CallState | undefined,
    attempt: number,
    deadline: number,
    scope: Scope,
  ) {
    this.root = root ?? (this as unknown as RootCall);
    this.parent = parent;
    this.attempt = attempt;
    this.deadline = deadline;
    this.scope = scope;
    this.started = false;
    this.ownAbort = undefined;
    this.node = undefined;
  }

  get clock(): Clock {
    return this.root.host.clock;
  }
  get name(): string | undefined {
    return this.root.options?.name;
  }
  get key(): string | undefined {
    return this.root.options?.key ?? this.scope.key;
  }
  get priority(): number {
    return this.root.options?.priority ?? this.root.ambient?.priority ?? 0;
  }
  get idempotent(): boolean | undefined {
    return this.root.options?.idempotent ?? this.root.ambient?.idempotent;
  }
  get attributes(): CallAttributes {
    return this.root.options?.attributes ?? this.root.ambient?.attributes ?? NOTHING;
  }

  get endpoint(): Endpoint | undefined {
    return this.parent?.endpoint;
  }

  now(): number {
    const { root } = this;
    return root.walkingIn ? root.startedAt : root.host.clock.now();
  }

  remaining(): number {
    return this.deadline === Infinity ? Infinity : Math.max(0, this.deadline - this.clock.now());
  }

  get aborted(): boolean {
    return this.seenAbort() !== undefined;
  }

  get reason(): unknown {
    return this.seenAbort()?.reason;
  }

  get cancelled(): boolean {
    for (let call: CallState | undefined = this; call !== undefined; call = call.parent) {
      if (call.ownAbort !== undefined) return false;
    }
    return this.callerAbort() !== undefined;
  }

  get signal(): AbortSignal {
    if (!this.abortable) {
      const outer =
        this.parent === undefined ? callerSignal(this.root.options) : this.parent.signal;
      if (outer !== undefined) return outer;
    }
    return this.aborts().signal(this.seenAbort());
  }

  onAbort(listener: (reason: unknown) => void): () => void {
    const abort = this.seenAbort();
    if (abort === undefined) return this.aborts().add(listener);
    tellOne(listener, abort.reason);
    return () => {};
  }

  /** As `onAbort`, for a link that hangs nowhere. */
  hear(link: AbortLink): void {
    const abort = this.seenAbort();
    if (abort === undefined) this.aborts().hang(link);
    else link.tell(abort.reason);
  }

  /** As `hear`, for a link that need not hear of the caller's own abort: it puts no listener on the caller's signal. */
  hearExpiry(link: AbortLink): void {
    const abort = this.seenAbort();
    if (abort === undefined) this.aborts().hang(link, false);
    else link.tell(abort.reason);
  }

  derive(options?: DeriveOptions): CallState {
    return new DerivedCall(this, options?.attempt ?? this.attempt, this.scope);
  }

  /** A child that can be aborted by itself. Whoever makes it closes it when it has settled. */
  fork(attempt: number): CallState {
    return new ForkedCall(this, attempt, this.scope);
  }

  /** The same call as seen by the layers of a nested pipeline. */
  within(scope: Scope): CallState {
    return new DerivedCall(this, this.attempt, scope);
  }

  get observed(): boolean {
    return isObserved(this.scope);
  }

  emit(input: ResilienceEventInput): void {
    const { scope, key, name, attempt } = this;
    const event = eventOf(input, scope.name, key, name, attempt, this.clock.now());
    publish(scope, event, this.root);
  }

  begin(): void {
    for (let call: CallState | undefined = this; call !== undefined; call = call.parent) {
      call.started = true;
    }
  }

  /** Aborts this call and, through it, everything derived from it; the first abort that a call sees is the one that counts. */
  abort(reason: unknown): void {
    if (this.seenAbort() !== undefined) return;
    this.ownAbort = { reason };
    this.node?.tell(reason);
  }

  /** The call has settled: what still hangs on its signal no longer follows the parent. */
  close(): void {
    this.node?.close();
  }

  /** Whether this call can be aborted apart from its parent; if not, it shows the parent's signal as its own. */
  protected get abortable(): boolean {
    return false;
  }

  /** The abort that this call sees: its own, or the nearest further out. */
  private seenAbort(): { readonly reason: unknown } | undefined {
    for (let call: CallState | undefined = this; call !== undefined; call = call.parent) {
      if (call.ownAbort !== undefined) return call.ownAbort;
    }
    return this.callerAbort();
  }

  private callerAbort(): { readonly reason: unknown } | undefined {
    const { options } = this.root;
    if (options === undefined) return undefined;
    const { signal, cancellation } = options;
    if (signal?.aborted === true) return signal;
    return cancellation?.aborted === true ? cancellation : undefined;
  }

  private aborts(): AbortNode {
    if (this.parent === undefined) this.node ??= callerNode(this.root.options);
    else if (!this.abortable) return this.parent.aborts();
    else this.node ??= new AbortNode(this.parent.abortSource());
    return this.node;
  }

  /** What aborts of further out come from, if there is anything further out that can abort. */
  private abortSource(): AbortNode | undefined {
    if (this.parent === undefined) {
      const { signal, cancellation } = this.root.options ?? {};
      return signal === undefined && cancellation === undefined ? undefined : this.aborts();
    }
    return this.abortable ? this.aborts() : this.parent.abortSource();
  }
}

/** The call that `execute` begins. */
export class RootCall extends CallState {
  readonly host: CallHost;
  readonly operation: Operation;
  readonly options: CallOptions | undefined;
  /** What the call inherits from the work that it is made for. */
  readonly ambient: AmbientContext | undefined;
  private repeats: boolean;
  private sent: Trail | undefined;
  private began: number;
  /** While the call is first walked in, which is synchronous, now is when it began. */
  walkingIn: boolean;
  /** Whether a part of the call was aborted because another part gave the answer. */
  raced: boolean;
  private budgets: AttemptBudget | Set<AttemptBudget> | undefined;

  constructor(host: CallHost, operation: Operation, options: CallOptions | undefined) {
    super(undefined, undefined, 1, options?.deadline ?? Infinity, host.scope);
    this.host = host;
    this.operation = operation;
    this.options = options;
    this.ambient = ambientProvider?.current();
    this.repeats = false;
    if (this.ambient !== undefined) {
      this.deadline = Math.min(this.deadline, deadlineOn(host.clock, this.ambient));
    }
    this.sent = undefined;
    this.began = -1;
    this.walkingIn = true;
    this.raced = false;
    this.budgets = undefined;
  }

  /** Whether the caller brought something to abort the call with. */
  get cancellable(): boolean {
    return this.options?.signal !== undefined || this.options?.cancellation !== undefined;
  }

  /** Whether a layer repeats the operation when it fails. */
  get repeated(): boolean {
    return this.repeats;
  }
  set repeated(repeated: boolean) {
    this.repeats = repeated;
  }

  /** Where this call was sent so far. */
  get trail(): Trail | undefined {
    return this.sent;
  }
  set trail(trail: Trail | undefined) {
    this.sent = trail;
  }

  /**
   * Counts the call in a budget, however many of its layers share that; gives whether this was the
   * first to ask, who has to tell the budget of the end as well.
   */
  deposit(budget: AttemptBudget, now: number): boolean {
    const { budgets } = this;
    if (budgets === budget || (budgets instanceof Set && budgets.has(budget))) return false;
    if (budgets === undefined) this.budgets = budget;
    else if (budgets instanceof Set) budgets.add(budget);
    else this.budgets = new Set([budgets, budget]);
    budget.deposit(now);
    return true;
  }

  /** When the call began, read when it is first needed while the call is walked in. */
  get startedAt(): number {
    if (this.began < 0) this.began = this.host.clock.now();
    return this.began;
  }
}

/** A call that a strategy runs again or elsewhere. */
class DerivedCall extends CallState {
  constructor(parent: CallState, attempt: number, scope: Scope) {
    super(parent.root, parent, attempt, parent.deadline, scope);
  }
}

/** What the caller aborts with as a signal, if one thing is all there is. */
function callerSignal(options: CallOptions | undefined): AbortSignal | undefined {
  const { signal, cancellation } = options ?? {};
  if (cancellation === undefined) return signal;
  return signal === undefined ? cancellation.signal : undefined;
}

/** Where those hang who wait for the caller's own abort. */
function callerNode({ signal, cancellation }: CallOptions = {}): AbortNode {
  if (cancellation !== undefined && signal === undefined) return cancellation.node;
  return new AbortNode(cancellation?.node, signal);
}

/** A part of a call that runs beside other parts of it. */
class ForkedCall extends DerivedCall {
  protected override get abortable(): boolean {
    return true;
  }
}

/** Tells an event to everybody who hears the scope. */
export function publish(scope: Scope, event: ResilienceEvent, call?: RootCall): void {
  if ('error' in event) keepAside(event, event.error);
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    at.emitter.emit(event, call);
  }
  processEmitter.emit(event, call);
}

/** Whether anybody hears the events of a scope. */
export function isObserved(scope: Scope): boolean {
  if (processEmitter.observed) return true;
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    if (at.emitter.observed) return true;
  }
  return false;
}
