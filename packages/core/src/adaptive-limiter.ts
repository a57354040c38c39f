/**
 * Adaptive limiter: at most so many calls at a time, where how many is found out while they run.
 *
 * Each call that ends is a sample: a success, ignored, or dropped (turned away or timed out, a sign of
 * overload). An algorithm makes an estimate of it; `limit` is the estimate rounded down. Calls above
 * the limit wait or are refused. A partition keeps its share: while the limit is reached it may still
 * use what it is guaranteed, and while it is not, anybody may use what is left over, so that the limit
 * may be exceeded by as much as others have borrowed. Algorithms, outcomes and partitions after
 * Netflix's concurrency-limits; queues after CoDel (RFC 8289) and Maurer's "Fail at Scale".
 *
 * Unlike there, a sample is dropped when the event loop stood still while its call was in flight: a
 * heartbeat on the clock that comes late tells so. Otherwise a slow process would blame a dependency.
 */
import {
  type AdaptiveLimiterOptions,
  adaptiveLimiterDefaults,
  algorithmOf,
  checkAdaptiveLimiterOptions,
  describeAdaptiveLimiterOptions,
  earlyRejectionOf,
  sampleWindowOf,
} from './adaptive-limiter-options.js';
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { type Clock, systemClock } from './clock.js';
import { CoDel } from './codel.js';
import { type JsonRecord, jsonRecord, type LayerDescription } from './description.js';
import { report } from './emitter.js';
import { DrainingError, LimitExceededError, QueueTimeoutError } from './errors.js';
import type { LimiterRejection } from './events.js';
import { type GuardMode, markOf, type ObservedMark } from './guard-mode.js';
import { type Guard, permitOf, Refusal } from './layer.js';
import type { LimitAlgorithm, LimitReason } from './limit-algorithm.js';
import { type LimitDecision, LimitHistory } from './limit-history.js';
import {
  type Partition,
  type PartitionState,
  partitionOf,
  partitionsOf,
} from './limit-partition.js';
import type { Classify, Outcome } from './outcome.js';
import { type earlyRejectionDefaults, earlyRejectionRatio, QueueOrder } from './queue-order.js';
import { type Random, systemRandom } from './random.js';
import { SampleWindow } from './sample-window.js';
import { SingleLayer } from './single-layer.js';
import { StallWatch } from './stall-watch.js';
import { verdictOf } from './verdict.js';
import { type Waiter, type WaitOwner, WaitQueue } from './wait-queue.js';

/** In observe mode, the permit of a call that would have been refused. */
const OBSERVED = Symbol('observed');

/** A call that was let in. */
class Permit {
  readonly partition: Partition<Permit>;
  readonly startedAt: number;
  /** Calls in flight when it began, itself included. */
  readonly inFlight: number;

  constructor(partition: Partition<Permit>, startedAt: number, inFlight: number) {
    this.partition = partition;
    this.startedAt = startedAt;
    this.inFlight = inFlight;
  }
}

/** At most so many calls at a time, found out from how they end. An instance stands for one dependency and is shared by all calls to it. */
export class AdaptiveLimiter extends SingleLayer implements Guard {
  readonly name: string;
  readonly clock: Clock;
  /** @internal */
  readonly ignoresDuration: boolean;
  readonly #algorithm: LimitAlgorithm;
  readonly #window: SampleWindow | undefined;
  readonly #history = new LimitHistory();
  /** The most important first; calls of none are in the last. */
  readonly #partitions: readonly Partition<Permit>[];
  readonly #partitionBy: ((call: Call) => string) | undefined;
  readonly #maxQueueSize: number;
  readonly #queueTimeout: number;
  readonly #order: QueueOrder;
  readonly #early: typeof earlyRejectionDefaults | undefined;
  readonly #random: Random;
  readonly #mode: GuardMode;
  readonly #mark: ObservedMark;
  readonly #classify: Classify | undefined;
  readonly #isOverload: AdaptiveLimiterOptions['isOverload'];
  readonly #stalls: StallWatch;
  readonly #options: JsonRecord;
  readonly #counters = {
    admitted: 0,
    queued: 0,
    rejected: 0,
    queueTimeouts: 0,
    aborted: 0,
    observed: 0,
  };
  #limit = 1;
  #inFlight = 0;
  #waiting = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: AdaptiveLimiterOptions = {}) {
    super();
    checkAdaptiveLimiterOptions(options);
    const defaults = adaptiveLimiterDefaults;
    this.name = options.name ?? defaults.name;
    this.clock = options.clock ?? systemClock;
    this.ignoresDuration = options.classify === undefined && options.isOverload === undefined;
    this.#algorithm = algorithmOf(options);
    const window = sampleWindowOf(options, this.#algorithm);
    this.#window = window === undefined ? undefined : new SampleWindow(window);
    this.#maxQueueSize = options.maxQueueSize ?? defaults.maxQueueSize;
    this.#queueTimeout = options.queueTimeout ?? defaults.queueTimeout;
    const targetDelay = options.targetDelay ?? defaults.targetDelay;
    const queueInterval = options.queueInterval ?? defaults.queueInterval;
    this.#order = new QueueOrder({
      discipline: options.queue ?? defaults.queue,
      queueTimeout: this.#queueTimeout,
      targetDelay,
      queueInterval,
    });
    this.#early = earlyRejectionOf(options);
    this.#random = options.random ?? systemRandom;
    this.#mode = options.mode ?? defaults.mode;
    this.#mark = markOf(this.#mode);
    this.#partitionBy = options.partitionBy;
    this.#classify = options.classify;
    this.#isOverload = options.isOverload;
    this.#stalls = new StallWatch(this.clock, options.stallDuration ?? defaults.stallDuration);
    const owner: WaitOwner<Permit> = {
      expired: ({ call, deadline, since }) => {
        this.#waiting--;
        this.#counters.queueTimeouts++;
        this.#tellRejected(call, 'queue-timeout');
        return new QueueTimeoutError(this.name, deadline - since);
      },
      aborted: ({ call }) => {
        this.#waiting--;
        this.#counters.aborted++;
        this.#tellRejected(call, 'aborted');
      },
      drained: ({ call }) => {
        this.#waiting--;
        return this.#rejectDraining(call);
      },
    };
    const newQueue = (): WaitQueue<Permit> => new WaitQueue(owner);
    const newCodel = (): CoDel => new CoDel(targetDelay, queueInterval);
    this.#partitions = partitionsOf(options.partitions ?? [], newQueue, newCodel);
    this.#follow();
    this.#options = describeAdaptiveLimiterOptions(options, this.#algorithm);
  }

  /** Calls that may be in flight at a time. */
  get limit(): number {
    return this.#limit;
  }

  /** The limit as the algorithm has it, not rounded. */
  get estimate(): number {
    return this.#algorithm.estimate;
  }

  /** Calls that are in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Calls that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The partitions, the most important first; the last holds the calls of none. */
  get partitions(): PartitionState[] {
    return this.#partitions.map((partition) => partition.state);
  }

  /** Why the limit is what it is: the latest decisions, at most 20, oldest first. */
  explain(): LimitDecision[] {
    return this.#history.list();
  }

  describe(): LayerDescription {
    return {
      type: 'adaptiveLimiter',
      name: this.name,
      options: this.#options,
      state: jsonRecord({
        limit: this.#limit,
        estimate: this.estimate,
        inFlight: this.#inFlight,
        waiting: this.#waiting,
        partitions: this.partitions,
      }),
      counters: { ...this.#counters },
    };
  }

  enter(call: Call): unknown {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): Permit | typeof OBSERVED | Promise<Permit> | Refusal {
    const partition = partitionOf(call, this.#partitions, this.#partitionBy);
    if (this.#hasRoom(partition)) return this.#admit(partition, call.now());
    if (this.#mode === 'observe') return this.#observe(partition, call);
    if (partition.queue.closed) return new Refusal(this.#rejectDraining(call));
    const full = this.#waiting >= this.#maxQueueSize;
    if (this.#queueTimeout === 0 || (full && !this.#makeRoom(partition)))
      return this.#refuse(call, 'full');
    if (!full && this.#isEarly(this.#waiting)) return this.#refuse(call, 'early');
    if (call.aborted) throw call.reason;
    return this.#wait(partition, call);
  }

  leave(permit: unknown, call: Call, outcome: Outcome): void {
    if (permit === OBSERVED) return;
    const { partition, startedAt, inFlight } = permit as Permit;
    this.#inFlight--;
    partition.inFlight--;
    const kind = this.#kindOf(outcome, call);
    if (kind !== 'ignored' || this.#waiting > 0) {
      const now = this.clock.now();
      if (kind !== 'ignored') this.#sample(now, now - startedAt, startedAt, inFlight, kind, call);
      this.#dispatch(now);
    }
    // Nothing is in flight: nothing must keep the process alive.
    if (this.#inFlight === 0) this.#stalls.stop();
  }

  /** Nobody who waits is passed over: as long as there is room for one, it does not wait. */
  #hasRoom(partition: Partition<Permit>): boolean {
    return this.#inFlight < this.#limit || partition.inFlight < partition.guaranteed;
  }

  #admit(partition: Partition<Permit>, now: number): Permit {
    this.#counters.admitted++;
    this.#inFlight++;
    partition.inFlight++;
    this.#stalls.start(now);
    return new Permit(partition, now, this.#inFlight);
  }

  /** Whether a call is refused before the queue is full. */
  #isEarly(waiting: number): boolean {
    if (this.#early === undefined) return false;
    const ratio = earlyRejectionRatio(waiting, this.#limit, this.#early);
    return ratio > 0 && this.#random() < ratio;
  }

  /**
   * Lets a call in that would have waited or been refused. Those above the limit stand for the queue, and
   * none of them is taken to give up or to be sent away; how one ends that would have been refused counts
   * for nothing.
   */
  #observe(partition: Partition<Permit>, call: Call): Permit | typeof OBSERVED {
    const waiting = Math.max(0, this.#inFlight - this.#limit);
    const full = waiting >= this.#maxQueueSize || this.#queueTimeout === 0;
    if (full || this.#isEarly(waiting)) {
      const reason = full ? 'full' : 'early';
      this.#counters.observed++;
      this.#tellRejected(call, reason, { inFlight: this.#inFlight, waiting });
      return OBSERVED;
    }
    this.#counters.queued++;
    const permit = this.#admit(partition, call.now());
    if (call.observed) {
      const told = { strategy: this.name, limit: this.#limit, inFlight: this.#limit };
      call.emit({ type: 'limiter.queued', ...told, waiting: waiting + 1, ...this.#mark });
    }
    return permit;
  }

  /** Sends away the last of the least important partition that has one waiting, for one that matters more. */
  #makeRoom(partition: Partition<Permit>): boolean {
    for (let at = this.#partitions.length - 1; at >= 0; at--) {
      const other = this.#partitions[at] as Partition<Permit>;
      if (other === partition) return false;
      const { last } = other.queue;
      if (last === undefined) continue;
      this.#sendAway(last, 'shed');
      return true;
    }
    return false;
  }

  #sendAway(waiter: Waiter<Permit>, reason: LimiterRejection): void {
    this.#waiting--;
    this.#counters.rejected++;
    this.#tellRejected(waiter.call, reason);
    waiter.queue.refuse(
      waiter,
      new LimitExceededError(this.name, this.#limit, this.#inFlight, this.#waiting),
    );
  }

  #refuse(call: Call, reason: LimiterRejection): Refusal {
    this.#counters.rejected++;
    this.#tellRejected(call, reason);
    return new Refusal(
      new LimitExceededError(this.name, this.#limit, this.#inFlight, this.#waiting),
    );
  }

  /** @internal */
  drain(): void {
    for (const { queue } of this.#partitions) queue.close();
  }

  #rejectDraining(call: Call): Error {
    this.#counters.rejected++;
    this.#tellRejected(call, 'draining');
    return new DrainingError(this.name);
  }

  #wait(partition: Partition<Permit>, call: Call): Promise<Permit> {
    const now = call.now();
    const timeout = this.#order.join(this.#waiting, now);
    this.#waiting++;
    this.#counters.queued++;
    const waiter = partition.queue.add(call, now, timeout);
    if (call.observed) this.#tellQueued(waiter);
    return waiter.promise;
  }

  /** Lets go who may. */
  #dispatch(now: number): void {
    for (
      let partition = this.#nextPartition();
      partition !== undefined;
      partition = this.#nextPartition()
    ) {
      const waiter = this.#nextWaiter(partition, now);
      if (waiter === undefined) continue;
      this.#waiting--;
      partition.queue.grant(waiter, this.#admit(partition, now));
    }
  }

  /** Whose turn it is: a partition that has not got its share, then the most important. */
  #nextPartition(): Partition<Permit> | undefined {
    if (this.#waiting === 0) return undefined;
    let first: Partition<Permit> | undefined;
    for (const partition of this.#partitions) {
      if (partition.queue.size === 0) continue;
      if (partition.inFlight < partition.guaranteed) return partition;
      first ??= partition;
    }
    return this.#inFlight < this.#limit ? first : undefined;
  }

  #nextWaiter({ queue, codel }: Partition<Permit>, now: number): Waiter<Permit> | undefined {
    return this.#order.next(queue, codel, now, (waiter) => this.#sendAway(waiter, 'codel'));
  }

  #kindOf(outcome: Outcome, call: Call): 'success' | 'dropped' | 'ignored' {
    const classify = this.#classify ?? (call as CallState).scope.classify;
    if (outcome.ok && classify === undefined) return 'success';
    const { kind } = verdictOf(classify, outcome, call);
    if (kind !== 'failure') return kind;
    if (this.#isOverload === undefined) return 'dropped';
    try {
      return this.#isOverload(outcome, call) ? 'dropped' : 'ignored';
    } catch (error) {
      report(error, 'isOverload');
      return 'dropped';
    }
  }

  #sample(
    now: number,
    duration: number,
    startedAt: number,
    inFlight: number,
    kind: 'success' | 'dropped',
    call: Call,
  ): void {
    if (this.#stalls.stalledSince(startedAt, now)) {
      this.#history.add('stall', now, this.#limit, this.#limit, duration, inFlight);
      return;
    }
    const dropped = kind === 'dropped';
    const window = this.#window;
    if (window === undefined) this.#update(now, duration, inFlight, dropped, call);
    else if (window.add(duration, inFlight, dropped, now))
      this.#update(now, window.duration, window.inFlight, window.dropped, call);
  }

  #update(now: number, duration: number, inFlight: number, dropped: boolean, call: Call): void {
    const previous = this.#limit;
    let reason: LimitReason;
    try {
      reason = this.#algorithm.update(duration, inFlight, dropped);
      this.#follow();
    } catch (error) {
      report(error, `algorithm '${this.#algorithm.name}'`);
      return;
    }
    this.#history.add(reason, now, previous, this.#limit, duration, inFlight);
    if (previous !== this.#limit) this.#tellChanged(call, previous, reason);
  }

  /** Takes over the estimate of the algorithm. @throws {TypeError} if it is none. */
  #follow(): void {
    const { estimate } = this.#algorithm;
    if (!Number.isFinite(estimate))
      throw new TypeError(`the estimate is ${String(estimate)} instead of a finite number`);
    const limit = Math.max(1, Math.floor(estimate));
    if (limit === this.#limit && this.#partitions[0]?.limit === limit) return;
    this.#limit = limit;
    for (const partition of this.#partitions) partition.follow(limit);
  }

  #tellQueued({ call, promise, since }: Waiter<Permit>): void {
    const { name: strategy } = this;
    const told = { strategy, limit: this.#limit, inFlight: this.#inFlight, waiting: this.#waiting };
    call.emit({ type: 'limiter.queued', ...told });
    promise.then(
      () => call.emit({ type: 'limiter.dequeued', strategy, duration: call.clock.now() - since }),
      () => {},
    );
  }

  #tellRejected(
    call: Call,
    reason: LimiterRejection,
    { inFlight, waiting } = { inFlight: this.#inFlight, waiting: this.#waiting },
  ): void {
    if (!call.observed) return;
    const told = { strategy: this.name, reason, limit: this.#limit, inFlight, waiting };
    call.emit({ type: 'limiter.rejected', ...told, ...this.#mark });
  }

  #tellChanged(call: Call, previous: number, reason: LimitReason): void {
    if (!call.observed) return;
    const { name: strategy } = this;
    const told = { strategy, limit: this.#limit, previous, reason };
    call.emit({ type: 'limiter.limit-changed', ...told, ...this.#mark });
  }
}

/**
 * An adaptive limiter.
 *
 * @returns A layer; it refuses with {@link LimitExceededError} (`RESIL_LIMIT_EXCEEDED`) and {@link QueueTimeoutError} (`RESIL_QUEUE_TIMEOUT`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { adaptiveLimiter } from '@resil/core';
 *
 * const search = adaptiveLimiter({ algorithm: 'vegas', initialLimit: 10, maxQueueSize: 50 });
 * await search.execute(async () => `${search.inFlight} of ${search.limit} in flight`);
 * console.log(search.explain());
 * ```
 */
export function adaptiveLimiter(options: AdaptiveLimiterOptions = {}): AdaptiveLimiter {
  return new AdaptiveLimiter(options);
}
