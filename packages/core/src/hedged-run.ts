/**
 * One call through a hedge: its attempts, the wait for the next one, and the first answer.
 *
 * Rules kept here: attempts start in the caller's async context; the answer ends every other attempt
 * and the wait; what an attempt holds that nobody will read is freed; each attempt that was taken out
 * of the budget is given back when it has really ended.
 */
import { type AttemptBudget, endedIn, tellExhausted } from './attempt-budget.js';
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { type DeadlineEntry, NOT_PENDING } from './deadline-wheel.js';
import { HedgeLostError, isRefusal } from './errors.js';
import type { ExtraLoadCap, HedgeDelay } from './hedge-delay.js';
import type { Classify, Outcome, Verdict } from './outcome.js';
import { discard, verdictOf } from './verdict.js';

/** What all calls of a hedge have in common. */
export interface HedgeState {
  readonly name: string;
  readonly maxHedges: number;
  readonly classify: Classify | undefined;
  readonly delay: HedgeDelay;
  readonly cap: ExtraLoadCap | undefined;
  readonly budget: AttemptBudget | undefined;
  /** Calls that could be hedged, hedges that were started, and those that gave the answer. */
  calls: number;
  hedges: number;
  wins: number;
}

/** One run of what lies further in. */
interface Attempt {
  readonly call: CallState;
  /** 0 for the first, then counting from 1. */
  readonly hedge: number;
  readonly startedAt: number;
  running: boolean;
}

/** An outcome that is not the answer, kept in case there is none. */
interface Ended {
  readonly outcome: Outcome;
  readonly verdict: Verdict;
}

/** One call through a hedge, and its own entry among the pending deadlines. */
export class HedgedRun<T> implements DeadlineEntry {
  /** When the next attempt is due. */
  deadline: number = Infinity;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined = undefined;
  wheelNext: DeadlineEntry | undefined = undefined;
  private readonly hedge: HedgeState;
  private readonly call: CallState;
  private readonly next: (call: Call) => Promise<T>;
  private readonly classify: Classify | undefined;
  private readonly delay: number;
  private readonly attempts: Attempt[] = [];
  private running = 0;
  /** Whether this call is counted in the budget here, not by a layer further out. */
  private readonly counts: boolean;
  /** No further attempt may start. */
  private over = false;
  private answered = false;
  private kept: Ended | undefined;
  /** Number of the present wait: one that was ended may still be told. */
  private wait = 0;
  private wake: (() => void) | undefined;
  private resolve!: (value: T) => void;
  private reject!: (error: unknown) => void;

  constructor(hedge: HedgeState, call: CallState, next: (call: Call) => Promise<T>) {
    const now = call.now();
    const { budget } = hedge;
    this.hedge = hedge;
    this.call = call;
    this.next = next;
    this.classify = hedge.classify ?? call.scope.classify;
    this.delay = hedge.delay.at(now);
    this.counts = budget !== undefined && call.root.deposit(budget, now);
  }

  /** Makes the first attempt; the result is that of the first attempt that has one. */
  start(): Promise<T> {
    const { hedge, call } = this;
    const now = call.now();
    hedge.calls++;
    hedge.cap?.deposit();
    const result = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.launch(0, now);
    this.schedule(now);
    const { budget } = hedge;
    return this.counts && budget?.callEnded !== undefined ? endedIn(budget, result) : result;
  }

  /** The next attempt is due; it is to start where the caller waits, not here in the timer. */
  expire(): void {
    this.wake?.();
  }

  private launch(hedge: number, now: number): void {
    const call = this.call.fork(this.call.attempt + hedge);
    const attempt: Attempt = { call, hedge, startedAt: now, running: true };
    this.attempts.push(attempt);
    this.running++;
    this.next(call).then(
      (value) => this.ended(attempt, { ok: true, value, duration: call.now() - now }),
      (error) => this.ended(attempt, { ok: false, error, duration: call.now() - now }),
    );
  }

  private schedule(now: number): void {
    const { delay } = this;
    const { maxHedges } = this.hedge;
    this.call.root.host.deadlines.remove(this);
    const wait = ++this.wait;
    if (this.over || this.attempts.length > maxHedges || now + delay >= this.call.deadline) return;
    if (delay === 0) this.tryHedge('delay', now);
    else if (delay !== Infinity) {
      this.deadline = now + delay;
      const due = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      due.then(() => this.due(wait));
      this.call.root.host.deadlines.add(this, now);
    }
  }

  private due(wait: number): void {
    if (wait === this.wait && !this.answered) this.tryHedge('delay', this.call.now());
  }

  private tryHedge(reason: 'delay' | 'failure', now: number): void {
    const { call, hedge, attempts } = this;
    if (this.over || attempts.length > hedge.maxHedges) return;
    if (call.aborted || now >= call.deadline || !this.withdraw(now)) {
      this.over = true;
      return;
    }
    hedge.hedges++;
    const number = attempts.length;
    const before = attempts.at(-1) as Attempt;
    this.launch(number, now);
    const started = attempts.at(-1) as Attempt;
    if (call.observed) {
      started.call.emit({
        type: 'hedge.started',
        strategy: hedge.name,
        hedge: number,
        reason,
        delay: now - before.startedAt,
      });
    }
    this.schedule(now);
  }

  /** Takes a hedge out of the share of the calls and of the budget, or of neither. */
  private withdraw(now: number): boolean {
    const { call } = this;
    const { cap, budget } = this.hedge;
    if (cap?.allows === false) {
      tellExhausted(call, cap, 'hedge');
      return false;
    }
    if (budget?.tryWithdraw(now) === false) {
      tellExhausted(call, budget, 'hedge');
      return false;
    }
    cap?.withdraw();
    return true;
  }

  private ended(attempt: Attempt, outcome: Outcome<T>): void {
    const { call, hedge } = this;
    attempt.running = false;
    this.running--;
    attempt.call.close();
    if (attempt.hedge > 0) hedge.budget?.attemptEnded?.();
    const verdict = verdictOf(this.classify, outcome, attempt.call);
    if (this.answered) {
      discard(verdict);
      return;
    }
    const refused = !outcome.ok && (isRefusal(outcome.error) || !attempt.call.started);
    const now = call.now();
    if (attempt.hedge === 0 && !refused)
      hedge.delay.record(outcome.duration, verdict.kind === 'success', now);
    if (call.aborted || (!refused && (verdict.kind === 'success' || !verdict.repeat))) {
      this.answer(attempt, outcome, verdict);
      return;
    }
    this.keep({ outcome, verdict }, refused);
    // After a refusal, or where the server asks for patience, one more is the last thing that helps.
    if (verdict.kind !== 'failure' || refused || (verdict.retryAfter ?? 0) > 0) this.over = true;
    else this.tryHedge('failure', now);
    if (this.running === 0) this.giveUp();
  }

  /** Keeps the last outcome; a hedge that was refused does not take the place of one that ran. */
  private keep(ended: Ended, refused: boolean): void {
    if (this.counts && isRecorded(ended)) this.hedge.budget?.record?.(false);
    if (refused && this.kept !== undefined) {
      discard(ended.verdict);
      return;
    }
    this.drop();
    this.kept = ended;
  }

  /** Frees the outcome that was kept. One that comes out is told to the budget by whoever counts the call. */
  private drop(): void {
    const { kept } = this;
    if (kept === undefined) return;
    this.kept = undefined;
    if (!this.counts && isRecorded(kept)) this.hedge.budget?.record?.(false);
    discard(kept.verdict);
  }

  private answer(attempt: Attempt, outcome: Outcome<T>, verdict: Verdict): void {
    const { call, hedge } = this;
    this.finish();
    this.drop();
    if (this.counts && verdict.kind === 'success') hedge.budget?.record?.(true);
    if (this.running > 0) this.abortOthers();
    if (attempt.hedge > 0 && !call.aborted) {
      hedge.wins++;
      this.tell('hedge.won', attempt);
    }
    this.settle(outcome);
  }

  /** All attempts have failed, and none may follow. */
  private giveUp(): void {
    this.finish();
    this.settle(this.kept?.outcome as Outcome<T>);
  }

  private finish(): void {
    this.answered = true;
    this.wait++;
    this.call.root.host.deadlines.remove(this);
  }

  private settle(outcome: Outcome<T>): void {
    if (outcome.ok) this.resolve(outcome.value);
    else this.reject(outcome.error);
  }

  private abortOthers(): void {
    const { call, hedge } = this;
    const reason = new HedgeLostError(hedge.name);
    const now = call.now();
    call.root.raced = true;
    for (const attempt of this.attempts) {
      if (!attempt.running) continue;
      if (attempt.hedge === 0) hedge.delay.record(now - attempt.startedAt, false, now);
      this.tell('hedge.lost', attempt);
      attempt.call.abort(reason);
    }
  }

  private tell(type: 'hedge.won' | 'hedge.lost', { call, hedge, startedAt }: Attempt): void {
    if (!this.call.observed) return;
    call.emit({ type, strategy: this.hedge.name, hedge, duration: call.now() - startedAt });
  }
}

/** Whether a budget that goes by outcomes is told of it, as a retry does. */
function isRecorded({ verdict }: Ended): boolean {
  return verdict.kind === 'failure' && verdict.repeat;
}
