/**
 * Walks a call through a stretch of guards, with a timeout among them or without, runs what stands
 * within them, and walks it out again. A stretch is plain bookkeeping around one promise, so that a
 * guard costs no promise of its own and a timeout can free the caller while the work goes on.
 *
 * Rules kept here: a permit is given back exactly once; what stands outside a timeout that expired
 * leaves at once, what stands inside leaves when the work has really ended; a call that was aborted
 * while it waited never starts.
 */
import { CallState } from './call-state.js';
import type { CallTally } from './call-tally.js';
import type { Clock } from './clock.js';
import { type DeadlineEntry, NOT_PENDING } from './deadline-wheel.js';
import { report } from './emitter.js';
import { TimeoutError } from './errors.js';
import { type Guard, type OwnLayer, Refusal } from './layer.js';
import type { FailureOutcome, Outcome, SuccessOutcome } from './outcome.js';
import { rejectionOf, rejectSoon } from './rejection.js';

/** A place in a compiled pipeline, with all that lies further in. Never throws synchronously. */
export interface Stage {
  run(call: CallState): Promise<unknown>;
}

/** A timeout as the engine sees it. */
export interface TimeLimit {
  readonly name: string;
  /** Milliseconds from entering; `undefined` stands for the deadline that the call came with. */
  readonly duration: number | undefined;
  /** Calls that it cut short. */
  expired: number;
}

/** Guards that stand next to each other, outermost first, and at most one timeout among them. */
export class GuardedStage implements Stage {
  readonly next: Stage;
  readonly guards: readonly Guard[];
  readonly limit: TimeLimit | undefined;
  /** How many of the guards stand outside of the timeout; -1 without one. */
  readonly outside: number;
  /** Whether anybody asks when a call entered. */
  readonly timed: boolean;
  /** Counts how the calls end, if this is the outermost stage of a pipeline. */
  tally: CallTally | undefined;

  constructor(
    next: Stage,
    guards: readonly Guard[],
    limit: TimeLimit | undefined,
    outside = 0,
    classified = false,
  ) {
    this.next = next;
    this.guards = guards;
    this.limit = limit;
    this.outside = limit === undefined ? -1 : outside;
    this.tally = undefined;
    this.timed =
      classified ||
      limit !== undefined ||
      guards.some((guard) => (guard as OwnLayer).ignoresDuration !== true);
  }

  run(call: CallState): Promise<unknown> {
    const run = new GuardedRun(this, call);
    const work = run.enter();
    return run.promise ?? (work as Promise<unknown>);
  }
}

/** The permits of a stretch without guards. */
const NONE: unknown[] = [];

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

/** One call's way through a stretch. Where a timeout applies it is the call that the work sees, and its own entry among the pending deadlines. */
class GuardedRun extends CallState implements DeadlineEntry {
  /** What a timeout can settle before the work ends; a stretch without one needs only the promise of the work. */
  readonly promise: Promise<unknown> | undefined;
  wheelSlot: number;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;
  private readonly stage: GuardedStage;
  private readonly resolve: ((value: unknown) => void) | undefined;
  private readonly reject: ((error: unknown) => void) | undefined;
  /** By guard passed, its permit. */
  private readonly permits: unknown[];
  /** Number of guards passed. */
  private passed: number;
  /** The call as it is beyond what was passed so far: the one that came, or this one under the timeout. */
  private inner: CallState;
  private startedAt: number;
  /** The error that the timeout cut the call short with. */
  private cut: TimeoutError | undefined;

  constructor(stage: GuardedStage, call: CallState) {
    super(call.root, call, call.attempt, call.deadline, call.scope);
    this.wheelSlot = NOT_PENDING;
    this.wheelPrevious = undefined;
    this.wheelNext = undefined;
    this.stage = stage;
    this.inner = call;
    this.startedAt = stage.timed ? call.now() : 0;
    this.permits = stage.guards.length === 0 ? NONE : new Array(stage.guards.length);
    this.passed = 0;
    this.cut = undefined;
    if (stage.limit === undefined) {
      this.promise = undefined;
      this.resolve = undefined;
      this.reject = undefined;
    } else {
      this.promise = new Promise(captureParts);
      this.resolve = partResolve;
      this.reject = partReject;
    }
  }

  /** Passes what is left, in order, and runs the work; a guard that makes the call wait goes on with it later. */
  enter(): Promise<unknown> | undefined {
    const { guards, outside, next } = this.stage;
    try {
      for (; this.passed < guards.length; this.passed++) {
        if (this.passed === outside) this.limit();
        const guard = guards[this.passed] as Guard & OwnLayer;
        const permit =
          guard.tryEnter === undefined ? guard.enter(this.inner) : guard.tryEnter(this.inner);
        if (permit instanceof Refusal) return this.refused(permit.error);
        if (isPromiseLike(permit)) {
          return permit.then(
            (granted) => this.granted(granted),
            (error) => this.failed(error),
          ) as Promise<unknown>;
        }
        this.permits[this.passed] = permit;
      }
      if (this.passed === outside) this.limit();
    } catch (error) {
      return this.refused(error);
    }
    return next.run(this.inner).then(
      (value) => this.succeeded(value),
      (error) => this.failed(error),
    );
  }

  /** A timeout expired: frees the caller and what stands outside of it, and tells what stands inside. */
  expire(): void {
    const { clock } = this;
    const parent = this.parent as CallState;
    const limit = this.stage.limit as TimeLimit;
    const { name, duration = clock.now() - this.startedAt } = limit;
    limit.expired++;
    const error = new TimeoutError(name, duration);
    this.cut = error;
    if (parent.observed) parent.emit({ type: 'timeout.expired', strategy: name, duration });
    this.stage.tally?.fail(this.root, error);
    this.abort(error);
    this.leave(new Failed(error, this.startedAt, clock), this.stage.outside - 1, 0);
    this.reject?.(error);
  }

  protected override get abortable(): boolean {
    return true;
  }

  /** A guard let the call in that had been waiting. */
  private granted(permit: unknown): unknown {
    const call = this.inner;
    this.permits[this.passed] = permit;
    this.passed++;
    this.startedAt = call.now();
    if (call.aborted) return this.failed(call.reason);
    if (this.startedAt >= call.deadline) return this.failed(new TimeoutError('deadline', 0));
    return this.enter();
  }

  private succeeded(value: unknown): unknown {
    if (this.cut !== undefined) return this.failed(this.cut);
    this.stage.tally?.succeed();
    if (this.stage.guards.length === 0) this.endLimit();
    else this.leaveAll(new Succeeded(value, this.startedAt, this.root.host.clock));
    if (this.resolve === undefined) return value;
    this.resolve(value);
    return undefined;
  }

  private failed(error: unknown): unknown {
    this.leaveFailed(error);
    if (this.reject === undefined) throw error;
    this.reject(error);
    return undefined;
  }

  /** Refused before the work began: nobody can listen yet to the promise that `run` is about to give. */
  private refused(error: unknown): Promise<unknown> | undefined {
    this.leaveFailed(error);
    if (this.reject === undefined) return rejectionOf(error);
    rejectSoon(this.reject, error);
    return undefined;
  }

  private leaveFailed(error: unknown): void {
    if (this.cut === undefined) this.stage.tally?.fail(this.root, error);
    this.leaveAll(new Failed(this.cut ?? error, this.startedAt, this.root.host.clock));
  }

  /** Leaves what has not been left yet. */
  private leaveAll(outcome: Outcome): void {
    if (this.inner !== this) {
      this.leave(outcome, this.passed - 1, 0);
      return;
    }
    const { outside } = this.stage;
    this.leave(outcome, this.passed - 1, outside);
    if (this.cut !== undefined) return;
    this.endLimit();
    this.leave(outcome, outside - 1, 0);
  }

  /** The work has ended in time. */
  private endLimit(): void {
    this.root.host.deadlines.remove(this);
    this.close();
  }

  /** Leaves the guards from `innermost` to `outermost`. */
  private leave(outcome: Outcome, innermost: number, outermost: number): void {
    const { guards, outside } = this.stage;
    for (let index = innermost; index >= outermost; index--) {
      const call = index < outside ? (this.parent as CallState) : this.inner;
      leaveGuard(guards[index] as Guard, this.permits[index], call, outcome);
    }
  }

  /** Passes the timeout, unless an outer deadline comes first and cuts the work short as well. */
  private limit(): void {
    const { name, duration } = this.stage.limit as TimeLimit;
    const outer = this.deadline;
    const deadline = duration === undefined ? outer : this.startedAt + duration;
    if (duration !== undefined && deadline >= outer) return;
    if (deadline <= this.startedAt) throw new TimeoutError(name, 0);
    this.deadline = deadline;
    this.root.host.deadlines.add(this, this.startedAt);
    this.inner = this;
  }
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
