/**
 * Walks a call through a stretch of guards and timeouts, runs what stands within them, and walks it
 * out again. A stretch is plain bookkeeping around one promise, so that a guard costs no promise of
 * its own and a timeout can free the caller while the work goes on.
 *
 * Rules kept here: a permit is given back exactly once; what stands outside a timeout that expired
 * leaves at once, what stands inside leaves when the work has really ended; a call that was aborted
 * while it waited never starts.
 */
import { type CallState, type ExpiryListener, TimedCall } from './call-state.js';
import type { Clock } from './clock.js';
import { report } from './emitter.js';
import { TimeoutError } from './errors.js';
import type { Guard, OwnLayer } from './layer.js';
import type { FailureOutcome, Outcome, SuccessOutcome } from './outcome.js';

/** A place in a compiled pipeline, with all that lies further in. Never throws synchronously. */
export interface Stage {
  run(call: CallState): Promise<unknown>;
}

/** A timeout as the engine sees it. */
export interface TimeLimit {
  readonly name: string;
  /** Milliseconds from entering; `undefined` stands for the deadline that the call came with. */
  readonly duration: number | undefined;
}

/** A guard or a timeout of a stretch: exactly one of the two. */
export interface StretchEntry {
  readonly guard: Guard | undefined;
  readonly limit: TimeLimit | undefined;
}

/** Guards and timeouts that stand next to each other, outermost first. */
export class GuardedStage implements Stage {
  readonly entries: readonly StretchEntry[];
  readonly next: Stage;
  /** Whether anybody asks when a call entered. */
  readonly timed: boolean;

  constructor(entries: readonly StretchEntry[], next: Stage, classified = false) {
    this.entries = entries;
    this.next = next;
    this.timed =
      classified || entries.some(({ guard }) => (guard as OwnLayer)?.ignoresDuration !== true);
  }

  run(call: CallState): Promise<unknown> {
    const run = new GuardedRun(this, call);
    run.enter();
    return run.promise;
  }
}

const UNCUT = -1;

let partResolve: (value: unknown) => void;
let partReject: (error: unknown) => void;
/** Shared by all runs, so that a promise costs no closure; a promise calls it before its constructor returns. */
const captureParts = (
  resolve: (value: unknown) => void,
  reject: (error: unknown) => void,
): void => {
  partResolve = resolve;
  partReject = reject;
};

/** One call's way through a stretch. */
class GuardedRun implements ExpiryListener {
  readonly promise: Promise<unknown>;
  private readonly stage: GuardedStage;
  private resolve: (value: unknown) => void;
  private reject: (error: unknown) => void;
  /** By entry passed: a guard's permit; a timeout's timed call, or `undefined` where an earlier deadline makes it idle. */
  private readonly held: unknown[];
  /** Number of entries passed. */
  private passed: number;
  /** The call as the innermost entry so far sees it. */
  private call: CallState;
  private startedAt: number;
  /** Index of the timeout that cut the call short, and the error it did so with. */
  private cutAt: number;
  private cutError: TimeoutError | undefined;

  constructor(stage: GuardedStage, call: CallState) {
    this.stage = stage;
    this.call = call;
    this.startedAt = stage.timed ? call.now() : 0;
    this.held = new Array(stage.entries.length);
    this.passed = 0;
    this.cutAt = UNCUT;
    this.cutError = undefined;
    this.promise = new Promise(captureParts);
    this.resolve = partResolve;
    this.reject = partReject;
  }

  /** Passes the entries that are left, in order; a guard that makes the call wait goes on with it later. */
  enter(): void {
    const { entries, next } = this.stage;
    const held = this.held;
    try {
      for (; this.passed < entries.length; this.passed++) {
        const { guard, limit } = entries[this.passed] as StretchEntry;
        if (guard === undefined) {
          held[this.passed] = this.limit(limit as TimeLimit);
          continue;
        }
        const permit = guard.enter(this.call);
        if (isPromiseLike(permit)) {
          permit.then(
            (granted) => this.granted(granted),
            (error) => this.failed(error),
          );
          return;
        }
        held[this.passed] = permit;
      }
    } catch (error) {
      this.failed(error);
      return;
    }
    next.run(this.call).then(
      (value) => this.succeeded(value),
      (error) => this.failed(error),
    );
  }

  /** A guard let the call in that had been waiting. */
  private granted(permit: unknown): void {
    const call = this.call;
    this.held[this.passed++] = permit;
    this.startedAt = call.now();
    if (call.aborted) this.failed(call.reason);
    else if (this.startedAt >= call.deadline) this.failed(new TimeoutError('deadline', 0));
    else this.enter();
  }

  private succeeded(value: unknown): void {
    if (this.cutError !== undefined) {
      this.failed(this.cutError);
      return;
    }
    const call = this.call;
    this.leave(new Succeeded(value, this.startedAt, call.clock), 0, this.passed - 1, call);
    this.resolve(value);
  }

  private failed(error: unknown): void {
    const cut = this.cutError;
    const outcome = new Failed(cut ?? error, this.startedAt, this.call.clock);
    this.leave(outcome, this.cutAt + 1, this.passed - 1, this.call);
    if (cut === undefined) this.reject(error);
  }

  /** Leaves the entries from `innermost` to `outermost`; `call` is what the innermost one entered with. */
  private leave(outcome: Outcome, outermost: number, innermost: number, call: CallState): void {
    const { entries } = this.stage;
    for (let index = innermost, at = call; index >= outermost; index--) {
      const { guard } = entries[index] as StretchEntry;
      const held = this.held[index];
      if (guard !== undefined) leaveGuard(guard, held, at, outcome);
      else if (held !== undefined) at = release(held as TimedCall);
    }
  }

  private limit(limit: TimeLimit): TimedCall | undefined {
    const call = this.call;
    const deadline = limit.duration === undefined ? call.deadline : this.startedAt + limit.duration;
    // An outer deadline that comes first cuts this one short as well.
    if (limit.duration !== undefined && deadline >= call.deadline) return undefined;
    if (deadline <= this.startedAt) throw new TimeoutError(limit.name, 0);
    const timed = new TimedCall(call, deadline, this);
    call.root.host.deadlines.add(timed, this.startedAt);
    this.call = timed;
    return timed;
  }

  /** A timeout expired: frees the caller and what stands outside of it, and tells what stands inside. */
  expired(timed: TimedCall): void {
    const { clock } = timed;
    const index = this.held.indexOf(timed);
    const limit = (this.stage.entries[index] as StretchEntry).limit as TimeLimit;
    const duration = limit.duration ?? clock.now() - this.startedAt;
    const error = new TimeoutError(limit.name, duration);
    this.cutAt = index;
    this.cutError = error;
    for (const held of this.held) {
      if (held instanceof TimedCall) held.root.host.deadlines.remove(held);
    }
    const parent = timed.parent as CallState;
    if (parent.observed) parent.emit({ type: 'timeout.expired', strategy: limit.name, duration });
    timed.abort(error);
    this.leave(new Failed(error, this.startedAt, clock), 0, index - 1, parent);
    this.reject(error);
  }
}

/** Ends a timeout that did not expire; gives the call that stands outside of it. */
function release(timed: TimedCall): CallState {
  timed.root.host.deadlines.remove(timed);
  timed.close();
  return timed.parent as CallState;
}

function leaveGuard(guard: Guard, permit: unknown, call: CallState, outcome: Outcome): void {
  try {
    guard.leave(permit, call, outcome);
  } catch (error) {
    report(error, `leave of '${guard.name}'`);
  }
}

/** The duration of an outcome is measured when it is first asked for, which is while it is handed round. */
abstract class Measured {
  private readonly startedAt: number;
  private readonly clock: Clock;
  private measured: number;

  constructor(startedAt: number, clock: Clock) {
    this.startedAt = startedAt;
    this.clock = clock;
    this.measured = -1;
  }

  get duration(): number {
    if (this.measured < 0) this.measured = this.clock.now() - this.startedAt;
    return this.measured;
  }
}

class Succeeded extends Measured implements SuccessOutcome {
  readonly ok: true;
  readonly value: unknown;

  constructor(value: unknown, startedAt: number, clock: Clock) {
    super(startedAt, clock);
    this.ok = true;
    this.value = value;
  }
}

class Failed extends Measured implements FailureOutcome {
  readonly ok: false;
  readonly error: unknown;

  constructor(error: unknown, startedAt: number, clock: Clock) {
    super(startedAt, clock);
    this.ok = false;
    this.error = error;
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as PromiseLike<unknown>).then === 'function'
  );
}
