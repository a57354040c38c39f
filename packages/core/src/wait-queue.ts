/**
 * Calls that wait for their turn, in order. The queue is a linked list: entering, leaving and dropping
 * out of its middle cost the same however long it is. A waiter leaves at once when its call is aborted
 * or its time is over, and goes on in its own async context, because it goes on from its own promise.
 */
import type { Call } from './call.js';
import {
  type DeadlineEntry,
  type DeadlineWheel,
  deadlinesOf,
  NOT_PENDING,
} from './deadline-wheel.js';

/** Whose queue it is: hears of waiters that left without their turn. */
export interface WaitOwner<Permit> {
  /** A waiter's time is over, unless it is its turn at this very moment. */
  expiring?(): void;
  /** A waiter has left because it waited for as long as it may; gives the error for it. */
  expired(waiter: Waiter<Permit>): Error;
  /** A waiter has left because its call was aborted. */
  aborted(waiter: Waiter<Permit>): void;
  /** A waiter has been sent away, because the queue was closed; gives the error for it. */
  drained(waiter: Waiter<Permit>): Error;
}

/** A call in the queue. */
export class Waiter<Permit> implements DeadlineEntry {
  readonly call: Call;
  readonly since: number;
  readonly deadline: number;
  readonly promise: Promise<Permit>;
  readonly queue: WaitQueue<Permit>;
  resolve!: (permit: Permit) => void;
  reject!: (reason: unknown) => void;
  /** Whether it has left the queue. */
  left = false;
  forgetAbort: (() => void) | undefined;
  wheel: DeadlineWheel | undefined;
  previous: Waiter<Permit> | undefined;
  next: Waiter<Permit> | undefined;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;

  constructor(queue: WaitQueue<Permit>, call: Call, since: number, deadline: number) {
    this.queue = queue;
    this.call = call;
    this.since = since;
    this.deadline = deadline;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  expire(): void {
    this.queue.expire(this);
  }
}

/** Those who wait, the one who waits longest first. */
export class WaitQueue<Permit> {
  readonly #owner: WaitOwner<Permit>;
  #size = 0;
  #closed = false;
  #first: Waiter<Permit> | undefined;
  #last: Waiter<Permit> | undefined;

  constructor(owner: WaitOwner<Permit>) {
    this.#owner = owner;
  }

  /** Number of those who wait. */
  get size(): number {
    return this.#size;
  }

  /** Whether nobody may wait any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The one who waits longest. */
  get first(): Waiter<Permit> | undefined {
    return this.#first;
  }

  /** The one who came last. */
  get last(): Waiter<Permit> | undefined {
    return this.#last;
  }

  /** Lets a call wait, for at most `timeout` milliseconds from `now`. It must not have been aborted. */
  add(call: Call, now: number, timeout: number): Waiter<Permit> {
    const waiter = new Waiter(this, call, now, now + timeout);
    waiter.previous = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#size++;
    waiter.forgetAbort = call.onAbort((reason) => {
      this.#drop(waiter);
      this.#owner.aborted(waiter);
      waiter.reject(reason);
    });
    // A deadline of the call that comes first ends the wait by aborting the call.
    if (waiter.deadline < call.deadline) {
      waiter.wheel = deadlinesOf(call.clock);
      waiter.wheel.add(waiter, now);
    }
    return waiter;
  }

  /** It is this waiter's turn. */
  grant(waiter: Waiter<Permit>, permit: Permit): void {
    this.#drop(waiter);
    waiter.resolve(permit);
  }

  /** Sends a waiter away. */
  refuse(waiter: Waiter<Permit>, error: Error): void {
    this.#drop(waiter);
    waiter.reject(error);
  }

  /** Sends everybody away, and lets nobody wait any more. */
  close(): void {
    this.#closed = true;
    for (let first = this.#first; first !== undefined; first = this.#first) {
      this.#drop(first);
      first.reject(this.#owner.drained(first));
    }
  }

  /** @internal */
  expire(waiter: Waiter<Permit>): void {
    this.#owner.expiring?.();
    if (waiter.left) return;
    this.#drop(waiter);
    waiter.reject(this.#owner.expired(waiter));
  }

  /** Takes a waiter out of the queue and off everything that could still end its wait. */
  #drop(waiter: Waiter<Permit>): void {
    const { previous, next } = waiter;
    waiter.left = true;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#size--;
    waiter.wheel?.remove(waiter);
    waiter.forgetAbort?.();
  }
}
