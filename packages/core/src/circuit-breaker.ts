/**
 * Circuit breaker: stops calling what fails, and finds out when it works again.
 *
 *   closed --failures--> open --resetTimeout--> half-open --probes succeed--> closed
 *                          ^------------a probe fails----------'
 *   isolate() from any state to isolated; reset() from any state to closed
 *
 * Opens by consecutive failures (`failureThreshold`), or by the share of failures or slow calls in a
 * window (`failureRatio`, `slowCallRatio`; not before `minimumCalls`). A success never opens it. There
 * is no timer: that the reset timeout is over shows when somebody asks. Every change of state starts
 * a new generation, and a result of a call from an earlier generation counts for nothing. States and
 * windows after Nygard's "Release It!" and resilience4j; unlike there, a probe that is ignored,
 * aborted or silent for `probeTimeout` gives its place back, and half-open cannot get stuck.
 */
import { AbortLink } from './abort-node.js';
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import {
  type CircuitBreakerOptions,
  type CircuitSnapshot,
  type CircuitState,
  describeCircuitBreakerOptions,
  type ResolvedCircuitBreakerOptions,
  resolveCircuitBreakerOptions,
} from './circuit-breaker-options.js';
import type { Clock } from './clock.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { Emitter, emitOfLayer, report } from './emitter.js';
import { CircuitIsolatedError, CircuitOpenError } from './errors.js';
import type { CircuitEvent, CircuitReason } from './events.js';
import { CountWindow, DurationWindow, type FailureWindow } from './failure-window.js';
import { Fallback } from './fallback.js';
import { markOf, type ObservedMark } from './guard-mode.js';
import {
  type CompositeLayer,
  type Guard,
  type Layer,
  type LayerOwner,
  permitOf,
  Refusal,
} from './layer.js';
import type { Outcome } from './outcome.js';
import { SingleLayer } from './single-layer.js';
import { hasLost, verdictOf } from './verdict.js';

type State =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly until: number }
  | {
      readonly kind: 'half-open';
      readonly probes: Set<Entry>;
      succeeded: number;
      failed: number;
      slow: number;
    }
  | { readonly kind: 'isolated' };

/** A call that was let in: just the generation, or an entry where its abort must be heard. */
type Permit = number | Entry;

/** A call that can leave before it ends, when it is aborted: it is a probe, or stands under a deadline. */
class Entry extends AbortLink {
  readonly generation: number;
  readonly call: Call;
  readonly enteredAt: number;
  left: boolean;
  private readonly breaker: CircuitBreaker;

  constructor(breaker: CircuitBreaker, generation: number, call: Call, enteredAt: number) {
    super();
    this.generation = generation;
    this.call = call;
    this.enteredAt = enteredAt;
    this.left = false;
    this.breaker = breaker;
  }

  tell(error: unknown): void {
    const duration = this.breaker.clock.now() - this.enteredAt;
    this.breaker.leave(this, this.call, { ok: false, error, duration });
  }
}

/** The generation of calls that would have been refused: they count for nothing. */
const OBSERVED = -1;

const CLOSED: State = { kind: 'closed' };
const ISOLATED: State = { kind: 'isolated' };

/** Stops calling what fails. An instance stands for one dependency and is shared by all calls to it. */
export class CircuitBreaker extends SingleLayer implements Guard, CompositeLayer {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly clock: Clock;
  /** @internal */
  readonly emitter: Emitter = new Emitter();
  /** @internal */
  readonly ignoresDuration: boolean;
  readonly #options: ResolvedCircuitBreakerOptions;
  readonly #window: FailureWindow | undefined;
  readonly #mark: ObservedMark;
  readonly #counters = {
    succeeded: 0,
    failed: 0,
    slow: 0,
    ignored: 0,
    late: 0,
    rejected: 0,
    observed: 0,
    opened: 0,
    halfOpened: 0,
    closed: 0,
  };
  #owner: LayerOwner | undefined;
  #state: State = CLOSED;
  #generation = 0;
  #consecutiveFailures = 0;
  #openings = 0;
  #changedAt: number;

  /** @throws {@link InvalidOptionError} */
  constructor(options: CircuitBreakerOptions = {}) {
    super();
    this.#options = resolveCircuitBreakerOptions(options);
    this.name = this.#options.name;
    this.clock = this.#options.clock;
    this.#mark = markOf(this.#options.mode);
    this.#changedAt = this.clock.now();
    this.ignoresDuration =
      this.#options.slowCallDuration === Infinity && options.classify === undefined;
    this.#window = newWindow(this.#options);
    const { fallbackFn, classify } = options;
    this.layers =
      fallbackFn === undefined
        ? [this]
        : [new Fallback(fallbackFn, { name: `${this.name} fallback`, classify }), this];
    if (options.snapshot !== undefined) this.#restore(options.snapshot);
  }

  /** The state at this moment; `half-open` as soon as a probe would be let in. */
  get state(): CircuitState {
    const state = this.#state;
    return state.kind === 'open' && this.clock.now() >= state.until ? 'half-open' : state.kind;
  }

  /** Refuses every call from now on, until `reset()`. */
  isolate(): void {
    if (this.#state.kind === 'isolated') return;
    this.#change(ISOLATED);
    this.#emit({ type: 'circuit.isolated', strategy: this.name, reason: 'manual' });
  }

  /** Closes the circuit and forgets all outcomes. */
  reset(): void {
    if (this.#state.kind === 'closed') this.#forget();
    else this.#close('manual');
  }

  /** The state as JSON, for the option `snapshot` of a breaker in another process. */
  snapshot(): CircuitSnapshot {
    const now = this.clock.now();
    const state = this.#state;
    const remaining = state.kind === 'open' ? Math.max(0, state.until - now) : 0;
    return {
      version: 1,
      takenAt: epochOf(this.clock),
      state: state.kind === 'half-open' ? 'open' : state.kind,
      openings: this.#openings,
      // JSON knows no Infinity.
      remaining: remaining === Infinity ? null : remaining,
      consecutiveFailures: this.#consecutiveFailures,
      window: this.#window?.snapshot(now),
    };
  }

  describe(): LayerDescription {
    const now = this.clock.now();
    const state = this.#state;
    const remaining = state.kind === 'open' ? state.until - now : undefined;
    // An open circuit is half-open, for whoever asks, from when a probe would be let in.
    const since = state.kind === 'open' && now >= state.until ? state.until : this.#changedAt;
    const window = this.#window?.counts(now);
    return {
      type: 'circuitBreaker',
      name: this.name,
      options: describeCircuitBreakerOptions(this.#options),
      state: jsonRecord({
        state: this.state,
        stateDuration: now - since,
        openings: this.#openings,
        nextProbeDelay: remaining === undefined ? undefined : Math.max(0, remaining),
        probes: state.kind === 'half-open' ? state.probes.size : undefined,
        consecutiveFailures: window === undefined ? this.#consecutiveFailures : undefined,
        window,
      }),
      counters: { ...this.#counters },
    };
  }

  /** @internal */
  adopt(owner: LayerOwner): void {
    this.#owner ??= owner;
  }

  enter(call: Call): unknown {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): Permit | Refusal {
    if (this.#state.kind !== 'closed') return this.#enterUnclosed(call);
    if (call.deadline === Infinity) return this.#generation;
    const entry = new Entry(this, this.#generation, call, call.now());
    (call as CallState).hearExpiry(entry);
    return entry;
  }

  leave(permit: unknown, call: Call, outcome: Outcome): void {
    if (typeof permit === 'number') this.#settle(permit, undefined, call, outcome);
    else this.#leaveOnce(permit as Entry, call, outcome);
  }

  #leaveOnce(entry: Entry, call: Call, outcome: Outcome): void {
    if (entry.left) return;
    entry.left = true;
    entry.forget();
    this.#settle(entry.generation, entry, call, outcome);
  }

  #enterUnclosed(call: Call): Permit | Refusal {
    let state = this.#state;
    if (state.kind === 'open') {
      const wait = state.until - call.now();
      if (wait > 0) return this.#refuse(call, 'open', wait);
      state = this.#halfOpen(call);
    }
    if (state.kind !== 'half-open') return this.#refuse(call, 'isolated', 0);
    const now = call.now();
    const taken = state.probes.size + state.succeeded + state.failed;
    if (taken >= this.#options.halfOpenCalls && !this.#reclaim(state.probes, now)) {
      return this.#refuse(call, 'half-open', 0);
    }
    const probe = new Entry(this, this.#generation, call, now);
    (call as CallState).hear(probe);
    state.probes.add(probe);
    return probe;
  }

  /** Takes its place from the oldest probe if that has been silent for too long. */
  #reclaim(probes: Set<Entry>, now: number): boolean {
    for (const oldest of probes) {
      if (now - oldest.enteredAt < this.#options.probeTimeout) return false;
      oldest.left = true;
      oldest.forget();
      probes.delete(oldest);
      return true;
    }
    return false;
  }

  #refuse(call: Call, state: 'open' | 'half-open' | 'isolated', wait: number): Permit | Refusal {
    if (call.observed)
      call.emit({ type: 'circuit.rejected', strategy: this.name, state, ...this.#mark });
    if (this.#options.mode === 'observe') {
      this.#counters.observed++;
      return OBSERVED;
    }
    this.#counters.rejected++;
    if (state === 'isolated') return new Refusal(new CircuitIsolatedError(this.name));
    return new Refusal(new CircuitOpenError(this.name, wait, state));
  }

  #settle(generation: number, probe: Entry | undefined, call: Call, outcome: Outcome): void {
    if (generation !== this.#generation) {
      if (generation !== OBSERVED) this.#counters.late++;
      return;
    }
    const state = this.#state;
    const classify = this.#options.classify ?? (call as CallState).scope.classify;
    const { slowCallDuration } = this.#options;
    // The usual success needs no verdict, no duration and no time.
    const verdict =
      outcome.ok && classify === undefined && !hasLost(call)
        ? 'success'
        : verdictOf(classify, outcome, call).kind;
    if (state.kind === 'half-open' && probe !== undefined) state.probes.delete(probe);
    if (verdict === 'ignored') {
      this.#counters.ignored++;
      return;
    }
    const failed = verdict === 'failure';
    const slow = slowCallDuration !== Infinity && outcome.duration >= slowCallDuration;
    if (failed) this.#counters.failed++;
    else this.#counters.succeeded++;
    if (slow) this.#counters.slow++;
    if (state.kind === 'closed') this.#settleClosed(call, failed, slow);
    else if (state.kind === 'half-open') this.#settleProbe(state, call, failed, slow);
  }

  #settleClosed(call: Call, failed: boolean, slow: boolean): void {
    const window = this.#window;
    if (window === undefined) {
      this.#consecutiveFailures = failed ? this.#consecutiveFailures + 1 : 0;
      if (this.#consecutiveFailures >= this.#options.failureThreshold) this.#open('failures', call);
      return;
    }
    const now = this.#options.timed ? this.clock.now() : 0;
    window.record(now, failed, slow);
    if (!failed && !slow) return;
    const { calls, failures, slow: slowCalls } = window.counts(now);
    if (calls < this.#options.minimumCalls) return;
    if (failed && failures / calls >= this.#options.failureRatio) this.#open('failures', call);
    else if (slow && slowCalls / calls >= this.#options.slowCallRatio)
      this.#open('slow-calls', call);
  }

  #settleProbe(
    state: State & { kind: 'half-open' },
    call: Call,
    failed: boolean,
    slow: boolean,
  ): void {
    const { halfOpenCalls, failureRatio, slowCallRatio } = this.#options;
    if (failed) state.failed++;
    else state.succeeded++;
    if (slow) state.slow++;
    if (
      state.failed / halfOpenCalls >= failureRatio ||
      state.slow / halfOpenCalls >= slowCallRatio
    ) {
      this.#open('probe-failed', call);
    } else if (state.succeeded + state.failed >= halfOpenCalls)
      this.#close('probe-succeeded', call);
  }

  #open(reason: CircuitReason, call: Call): void {
    this.#openings++;
    this.#counters.opened++;
    const delay = this.#resetTimeout();
    this.#change({ kind: 'open', until: this.clock.now() + delay });
    this.#emit(
      { type: 'circuit.opened', strategy: this.name, reason, openings: this.#openings, delay },
      call,
    );
  }

  #halfOpen(call: Call): State & { kind: 'half-open' } {
    const state = {
      kind: 'half-open',
      probes: new Set<Entry>(),
      succeeded: 0,
      failed: 0,
      slow: 0,
    } as const;
    this.#counters.halfOpened++;
    this.#change(state);
    this.#emit({ type: 'circuit.half-opened', strategy: this.name, reason: 'reset-timeout' }, call);
    return state;
  }

  #close(reason: CircuitReason, call?: Call): void {
    this.#openings = 0;
    this.#counters.closed++;
    this.#change(CLOSED);
    this.#emit({ type: 'circuit.closed', strategy: this.name, reason }, call);
  }

  #change(state: State): void {
    this.#state = state;
    this.#changedAt = this.clock.now();
    this.#forget();
  }

  /** Outcomes of before say nothing about what comes now. */
  #forget(): void {
    this.#generation++;
    this.#consecutiveFailures = 0;
    this.#window?.clear();
  }

  #resetTimeout(): number {
    const { resetTimeout } = this.#options;
    if (typeof resetTimeout === 'number') return resetTimeout;
    try {
      const delay = resetTimeout(this.#openings);
      if (delay >= 0) return delay;
      report(new RangeError(`resetTimeout gave ${delay}`), 'resetTimeout');
    } catch (error) {
      report(error, 'resetTimeout');
    }
    return this.#options.fallbackResetTimeout;
  }

  #restore(snapshot: CircuitSnapshot): void {
    const now = this.clock.now();
    const age = Math.max(0, epochOf(this.clock) - snapshot.takenAt);
    this.#openings = snapshot.openings;
    if (snapshot.state === 'isolated') this.#state = ISOLATED;
    else if (snapshot.state === 'open')
      this.#state = { kind: 'open', until: now + (snapshot.remaining ?? Infinity) - age };
    else {
      this.#consecutiveFailures = snapshot.consecutiveFailures;
      if (snapshot.window !== undefined) this.#window?.restore(snapshot.window, now, age);
    }
  }

  #emit(change: CircuitEvent, call?: Call): void {
    emitOfLayer(
      { emitter: this.emitter, owner: this.#owner, clock: this.clock, mark: this.#mark },
      change,
      call as CallState | undefined,
    );
  }
}

/**
 * A circuit breaker.
 *
 * @returns A layer; it refuses with {@link CircuitOpenError} (`RESIL_CIRCUIT_OPEN`, `retryAfter` tells when a probe is allowed) and {@link CircuitIsolatedError} (`RESIL_CIRCUIT_ISOLATED`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { circuitBreaker } from '@resil/core';
 *
 * const orders = circuitBreaker({ failureThreshold: 5, resetTimeout: 30_000, fallbackFn: () => [] });
 * await orders.execute(async () => ['order 1']);
 * ```
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): CircuitBreaker {
  return new CircuitBreaker(options);
}

function newWindow(options: ResolvedCircuitBreakerOptions): FailureWindow | undefined {
  const { window } = options;
  if (window === undefined) return undefined;
  return window.calls === undefined
    ? new DurationWindow(window.duration)
    : new CountWindow(window.calls);
}

function epochOf(clock: Clock): number {
  return clock.epoch?.() ?? clock.now();
}
