/**
 * Rate limiter: so many calls in an interval, the rest waits its turn or is refused.
 *
 *   pace = interval / maxCalls, tolerance = (burstSize - 1) × pace
 *
 * The Generic Cell Rate Algorithm (see turns.ts), which is a token bucket of `burstSize` tokens without
 * the tokens: smooth with a `burstSize` of 1, when two calls are never closer than one pace, and bursty
 * above. There is no window that begins anew, so nowhere to fit two bursts in. Calls wait first come,
 * first served; each knows when it comes how long its turn is away, so that one that would wait in vain
 * is refused at once. Those who wait are let go by a timer up to its grain late, but the next turn counts from the
 * turn and not from the timer: no rate is lost, and none is made up for a pause longer than that.
 *
 * What the server says slows it down and never speeds it up: `retryAfter` is a pause for everybody,
 * and of a quota (RateLimit fields) the pace is the slower of remaining / reset and policy.
 */
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { type Clock, systemClock } from './clock.js';
import { type DeadlineEntry, deadlinesOf, NOT_PENDING } from './deadline-wheel.js';
import { type JsonRecord, jsonRecord, type LayerDescription } from './description.js';
import { report } from './emitter.js';
import { DrainingError, RateLimitedError } from './errors.js';
import type { RateLimitReason } from './events.js';
import { type GuardMode, markOf, type ObservedMark } from './guard-mode.js';
import { type Guard, permitOf, Refusal } from './layer.js';
import type { Classify, Outcome } from './outcome.js';
import {
  type RateHint,
  type RateLimiterOptions,
  rateLimiterDefaults,
  rateLimiterRules,
  slowestQuota,
} from './rate-limiter-options.js';
import { SingleLayer } from './single-layer.js';
import { Turns } from './turns.js';
import { checkOptions } from './validate.js';
import { verdictOf } from './verdict.js';
import { type Waiter, type WaitOwner, WaitQueue } from './wait-queue.js';

/** Milliseconds that a timer may be late without a loss of rate. */
const GRAIN = 5;

/** So many calls in an interval. Shared by all calls that it is to limit together. */
export class RateLimiter extends SingleLayer implements Guard<undefined> {
  readonly name: string;
  readonly clock: Clock;
  /** @internal */
  readonly ignoresDuration: boolean;
  readonly #options: JsonRecord;
  readonly #mode: GuardMode;
  readonly #mark: ObservedMark;
  readonly #pace: number;
  readonly #burstSize: number;
  readonly #turns: Turns;
  readonly #maxQueueSize: number;
  readonly #queueTimeout: number;
  readonly #maxRetryAfter: number;
  readonly #classify: Classify | undefined;
  readonly #hint: RateLimiterOptions['hint'];
  readonly #queue: WaitQueue<undefined>;
  readonly #alarm: Alarm;
  readonly #counters = {
    admitted: 0,
    queued: 0,
    rejected: 0,
    queueTimeouts: 0,
    aborted: 0,
    observed: 0,
    slowed: 0,
  };
  /** In observe mode, calls whose turn has not come by `#replayedTo`: they would wait. */
  #wouldWait = 0;
  #replayedTo = -Infinity;

  /** @throws {@link InvalidOptionError} */
  constructor(options: RateLimiterOptions = {}) {
    super();
    checkOptions('rateLimiter', options, rateLimiterRules);
    const defaults = rateLimiterDefaults;
    this.name = options.name ?? defaults.name;
    this.clock = options.clock ?? systemClock;
    this.ignoresDuration = options.classify === undefined && options.hint === undefined;
    const maxCalls = options.maxCalls ?? defaults.maxCalls;
    const interval = options.interval ?? defaults.interval;
    this.#mode = options.mode ?? defaults.mode;
    this.#mark = markOf(this.#mode);
    this.#pace = interval / maxCalls;
    this.#burstSize = options.burstSize ?? defaults.burstSize;
    this.#turns = new Turns(this.#pace, this.#burstSize);
    this.#maxQueueSize = options.maxQueueSize ?? defaults.maxQueueSize;
    this.#queueTimeout = options.queueTimeout ?? defaults.queueTimeout;
    this.#maxRetryAfter = options.maxRetryAfter ?? defaults.maxRetryAfter;
    this.#classify = options.classify;
    this.#hint = options.hint;
    this.#options = jsonRecord({
      maxCalls,
      interval,
      burstSize: this.#burstSize,
      maxQueueSize: this.#maxQueueSize,
      queueTimeout: this.#queueTimeout,
      maxRetryAfter: this.#maxRetryAfter,
      mode: this.#mode,
      classify: this.#classify,
      hint: this.#hint,
    });
    const owner: WaitOwner<undefined> = {
      expiring: () => this.#release(this.clock.now()),
      expired: (waiter) => this.#expired(waiter),
      aborted: (waiter) => {
        this.#counters.aborted++;
        this.#tellRejected(waiter.call, 'aborted');
        this.#rest();
      },
      drained: ({ call }) => {
        this.#rest();
        return this.#rejectDraining(call);
      },
    };
    this.#queue = new WaitQueue(owner);
    this.#alarm = new Alarm(() => this.#release(this.clock.now()));
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Calls that could go at this moment, one right after the other. */
  get available(): number {
    const now = this.clock.now();
    this.#replay(now);
    return this.#ahead > 0 ? 0 : this.#turns.available(now);
  }

  /** Milliseconds until a call that came at this moment had its turn; 0 if it would not wait. */
  get delay(): number {
    const now = this.clock.now();
    this.#replay(now);
    return this.#turns.delay(this.#ahead, now);
  }

  describe(): LayerDescription {
    const now = this.clock.now();
    const { available, delay } = this;
    return {
      type: 'rateLimiter',
      name: this.name,
      options: this.#options,
      state: {
        waiting: this.waiting,
        available,
        delay,
        pausedDuration: Math.max(0, this.#turns.pausedUntil - now),
        pace: this.#turns.paceAt(now),
      },
      counters: { ...this.#counters },
    };
  }

  enter(call: Call): undefined | Promise<undefined> {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): undefined | Promise<undefined> | Refusal {
    const now = call.now();
    // A timer that is late must not make those who wait later than who comes.
    if (this.#queue.size > 0) this.#release(now);
    else this.#replay(now);
    const delay = this.#turns.delay(this.#ahead, now);
    if (delay === 0) {
      this.#counters.admitted++;
      this.#turns.take(now, this.#turns.toleranceAt(now));
      return undefined;
    }
    const reason = this.#whyNot(delay, now, call);
    if (this.#mode === 'observe') return this.#observe(call, reason);
    if (this.#queue.closed) return new Refusal(this.#rejectDraining(call));
    if (reason === 'full') return this.#refuse(call, reason, this.#turns.next(now) - now);
    if (reason === 'queue-timeout') return this.#refuse(call, reason, delay - this.#queueTimeout);
    if (reason === 'deadline') return this.#refuse(call, reason, delay);
    if (call.aborted) throw call.reason;
    return this.#wait(call, now);
  }

  leave(_permit: undefined, call: Call, outcome: Outcome): void {
    if (this.#hint !== undefined) this.#askHint(outcome, call);
    const classify = this.#classify ?? (call as CallState).scope.classify;
    if (outcome.ok && classify === undefined) return;
    const { retryAfter = 0 } = verdictOf(classify, outcome, call);
    if (retryAfter > 0) this.slowDown({ retryAfter }, call);
  }

  /**
   * Takes over what a server says about its limits. `retryAfter` lets nobody go for so long; of the
   * quotas, an exhausted one does so until it is filled again, and one that would be exhausted before
   * slows down until then. A later hint with quotas takes the place of an earlier one. Numbers that
   * make no sense count for nothing, and neither a pause nor a slow pace lasts longer than
   * `maxRetryAfter`, unless another hint follows.
   *
   * @param call In whose name the event is told; without one none is.
   */
  slowDown(hint: RateHint, call?: Call): void {
    const now = this.clock.now();
    this.#replay(now);
    const { retryAfter, quotas } = hint;
    if (retryAfter !== undefined && retryAfter > 0) this.#pause(retryAfter, now, call);
    if (quotas === undefined) return;
    const { pause, pace, ...slowest } = slowestQuota(quotas, this.#pace, this.#burstSize);
    const duration = Math.min(slowest.duration, this.#maxRetryAfter);
    // Retry-After comes first where both are said.
    if (retryAfter === undefined && pause > 0) this.#pause(pause, now, call);
    const slowPace = Math.min(pace, this.#maxRetryAfter);
    this.#turns.slowUntilTime(pace > 0 ? now + duration : -Infinity, slowPace);
    if (pace > 0) this.#counters.slowed++;
    if (pace > 0 && call?.observed === true) {
      call.emit({
        type: 'rate-limit.slowed',
        strategy: this.name,
        reason: 'quota',
        delay: slowPace,
        duration,
      });
    }
    this.#rearm(now);
  }

  #pause(asked: number, now: number, call: Call | undefined): void {
    const duration = Math.min(asked, this.#maxRetryAfter);
    this.#turns.pauseUntil(now + duration);
    this.#counters.slowed++;
    if (call?.observed === true) {
      call.emit({
        type: 'rate-limit.slowed',
        strategy: this.name,
        reason: 'retry-after',
        delay: duration,
        duration,
      });
    }
    this.#rearm(now);
  }

  #askHint(outcome: Outcome, call: Call): void {
    try {
      const hint = this.#hint?.(outcome, call);
      if (hint !== undefined) this.slowDown(hint, call);
    } catch (error) {
      report(error, 'hint');
    }
  }

  /** Calls that go before one that comes now. */
  get #ahead(): number {
    return this.#queue.size + this.#wouldWait;
  }

  /** Why a call that would have to wait can't; `undefined` if it can. */
  #whyNot(delay: number, now: number, call: Call): RateLimitReason | undefined {
    if (this.#ahead >= this.#maxQueueSize) return 'full';
    if (delay > this.#queueTimeout) return 'queue-timeout';
    return now + delay >= call.deadline ? 'deadline' : undefined;
  }

  /** Lets a call go that would have waited or been refused. */
  #observe(call: Call, reason: RateLimitReason | undefined): undefined {
    this.#counters.admitted++;
    if (reason !== undefined) {
      this.#counters.observed++;
      this.#tellRejected(call, reason);
      return;
    }
    this.#counters.queued++;
    this.#wouldWait++;
    if (!call.observed) return;
    const { name: strategy } = this;
    call.emit({ type: 'rate-limit.queued', strategy, waiting: this.#wouldWait, ...this.#mark });
  }

  /** Gives those who would wait the turns that have come since. */
  #replay(now: number): void {
    if (this.#mode === 'enforce') return;
    const turns = this.#turns;
    while (this.#wouldWait > 0) {
      const turn = turns.after(0, this.#replayedTo);
      if (!turns.isReached(turn, now)) break;
      const at = Math.max(turn, this.#replayedTo);
      turns.take(at, turns.toleranceAt(at));
      this.#replayedTo = at;
      this.#wouldWait--;
    }
    this.#replayedTo = now;
  }

  #refuse(call: Call, reason: RateLimitReason, retryAfter: number): Refusal {
    this.#counters.rejected++;
    this.#tellRejected(call, reason);
    return new Refusal(new RateLimitedError(this.name, retryAfter, this.#queue.size));
  }

  /** @internal */
  drain(): void {
    this.#queue.close();
  }

  #rejectDraining(call: Call): Error {
    this.#counters.rejected++;
    this.#tellRejected(call, 'draining');
    return new DrainingError(this.name);
  }

  #wait(call: Call, now: number): Promise<undefined> {
    this.#counters.queued++;
    const waiter = this.#queue.add(call, now, this.#queueTimeout);
    this.#rearm(now);
    if (call.observed) this.#tellQueued(waiter);
    return waiter.promise;
  }

  #expired({ call }: Waiter<undefined>): Error {
    this.#counters.queueTimeouts++;
    this.#tellRejected(call, 'queue-timeout');
    this.#rest();
    return new RateLimitedError(this.name, this.delay, this.#queue.size);
  }

  /** Lets go whose turn it is. */
  #release(now: number): void {
    const turns = this.#turns;
    // Those who waited for the end of a slow time have missed nothing in it.
    const grain = turns.isSlow(now) ? GRAIN : Math.min(GRAIN, now - turns.slowUntil);
    for (
      let first = this.#queue.first;
      first !== undefined && turns.isReached(turns.next(now), now);
      first = this.#queue.first
    ) {
      turns.take(now, Math.max(turns.toleranceAt(now), grain));
      this.#counters.admitted++;
      this.#queue.grant(first, undefined);
    }
    this.#rearm(now);
  }

  /** Sets the alarm for the next turn, or for when a server's quota is filled again. */
  #rearm(now: number): void {
    this.#rest();
    if (this.#queue.size === 0) return;
    const turn = this.#turns.next(now);
    const at = this.#turns.isSlow(now) ? Math.min(turn, this.#turns.slowUntil) : turn;
    if (this.#alarm.wheelSlot !== NOT_PENDING) {
      if (this.#alarm.deadline === at) return;
      deadlinesOf(this.clock).remove(this.#alarm);
    }
    this.#alarm.deadline = at;
    deadlinesOf(this.clock).add(this.#alarm, now);
  }

  /** Nobody waits: nothing must keep the process alive. */
  #rest(): void {
    if (this.#queue.size === 0) deadlinesOf(this.clock).remove(this.#alarm);
  }

  #tellQueued({ call, promise, since }: Waiter<undefined>): void {
    const { name: strategy } = this;
    const waiting = this.#queue.size;
    call.emit({ type: 'rate-limit.queued', strategy, waiting });
    promise.then(
      () =>
        call.emit({ type: 'rate-limit.dequeued', strategy, duration: call.clock.now() - since }),
      () => {},
    );
  }

  #tellRejected(call: Call, reason: RateLimitReason): void {
    if (!call.observed) return;
    const { name: strategy } = this;
    const waiting = this.#ahead;
    call.emit({ type: 'rate-limit.rejected', strategy, reason, waiting, ...this.#mark });
  }
}

/** Wakes the limiter for the next turn. */
class Alarm implements DeadlineEntry {
  deadline = 0;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  expire(): void {
    this.#ring();
  }
}

/**
 * A rate limiter.
 *
 * @returns A layer; it refuses with {@link RateLimitedError} (`RESIL_RATE_LIMITED`, `retryAfter` tells when trying again can succeed).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { rateLimiter } from '@resil/core';
 *
 * const geocoder = rateLimiter({ maxCalls: 50, interval: 1_000, burstSize: 10 });
 * await geocoder.execute(async () => `${geocoder.available} more may follow at once`);
 * ```
 */
export function rateLimiter(options: RateLimiterOptions = {}): RateLimiter {
  return new RateLimiter(options);
}
