/** Random histories of a bulkhead against a plain queue: first come, first served, and nothing is lost. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bulkhead, bulkhead } from '../src/bulkhead.js';
import type { RootCall } from '../src/call-state.js';
import { deadlinesOf } from '../src/deadline-wheel.js';
import { BulkheadFullError, QueueTimeoutError, TimeoutError } from '../src/errors.js';
import { pipeline } from '../src/pipeline.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';
import { hostOn, waitingCall } from './started-call.js';

interface Rules {
  readonly maxConcurrentCalls: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
}

/** Why a call that came in does not run. */
type Refusal = 'full' | 'queue-timeout' | 'deadline' | 'cancelled';

/** A call in the reference. */
interface Guest {
  readonly id: number;
  readonly queueEnds: number;
  readonly deadline: number;
  state: 'waiting' | 'running' | 'gone';
}

/** A bulkhead by the book: two lists. */
class ReferenceBulkhead {
  readonly running: Guest[] = [];
  readonly waiting: Guest[] = [];
  readonly refused = new Map<number, Refusal>();
  /** Ids in the order in which they were let in. */
  readonly started: number[] = [];
  readonly #rules: Rules;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  enter(id: number, now: number, deadline: number): Guest {
    const { maxConcurrentCalls, maxQueueSize, queueTimeout } = this.#rules;
    const guest: Guest = { id, queueEnds: now + queueTimeout, deadline, state: 'waiting' };
    if (deadline <= now) this.#refuse(guest, 'deadline');
    else if (this.running.length < maxConcurrentCalls) this.#start(guest);
    else if (this.waiting.length < maxQueueSize && queueTimeout > 0) this.waiting.push(guest);
    else this.#refuse(guest, 'full');
    return guest;
  }

  leave(guest: Guest): void {
    this.running.splice(this.running.indexOf(guest), 1);
    guest.state = 'gone';
    const next = this.waiting.shift();
    if (next !== undefined) this.#start(next);
  }

  cancel(guest: Guest, why: 'cancelled' | 'deadline'): void {
    if (guest.state === 'waiting') this.#refuse(guest, why);
  }

  timePassed(now: number): void {
    for (const guest of [...this.waiting]) {
      if (guest.deadline <= Math.min(now, guest.queueEnds)) this.#refuse(guest, 'deadline');
      else if (guest.queueEnds <= now) this.#refuse(guest, 'queue-timeout');
    }
  }

  #start(guest: Guest): void {
    guest.state = 'running';
    this.running.push(guest);
    this.started.push(guest.id);
  }

  #refuse(guest: Guest, why: Refusal): void {
    const place = this.waiting.indexOf(guest);
    if (place >= 0) this.waiting.splice(place, 1);
    guest.state = 'gone';
    this.refused.set(guest.id, why);
  }
}

type Step =
  | { readonly do: 'enter'; readonly deadline: number; readonly signal: boolean }
  | { readonly do: 'leave'; readonly which: number }
  | { readonly do: 'cancel'; readonly which: number; readonly waiting: boolean }
  | { readonly do: 'wait'; readonly time: number }
  | { readonly do: 'flush' };

const which = fc.nat(20);
const enter: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('enter' as const),
  deadline: fc.constantFrom(Infinity, Infinity, Infinity, 0, 1, 10, 25, 100),
  signal: fc.boolean(),
});
const leave: fc.Arbitrary<Step> = fc.record({ do: fc.constant('leave' as const), which });
const cancel: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('cancel' as const),
  which,
  waiting: fc.boolean(),
});
const wait: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('wait' as const),
  time: fc.oneof(fc.nat(12), fc.constantFrom(25, 100, 2_000)),
});
const flush: fc.Arbitrary<Step> = fc.record({ do: fc.constant('flush' as const) });
const steps = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: enter },
    { weight: 6, arbitrary: leave },
    { weight: 2, arbitrary: cancel },
    { weight: 3, arbitrary: wait },
    { weight: 3, arbitrary: flush },
  ),
  { minLength: 5, maxLength: 50, size: 'max' },
);
const rules: fc.Arbitrary<Rules> = fc.record({
  maxConcurrentCalls: fc.constantFrom(1, 1, 2, 3, 5, Infinity),
  maxQueueSize: fc.constantFrom(0, 1, 2, 3, 10),
  queueTimeout: fc.constantFrom(0, 1, 10, 25, 100, Infinity),
});

const tally: Record<string, number> = {};
function count(what: string): void {
  tally[what] = (tally[what] ?? 0) + 1;
}

const enough = new Error('enough');

function nameOf(error: unknown): Refusal {
  if (error === enough) return 'cancelled';
  if (error instanceof BulkheadFullError) return 'full';
  if (error instanceof QueueTimeoutError) return 'queue-timeout';
  if (error instanceof TimeoutError) return 'deadline';
  throw error;
}

/** Compares what is new since the last time. */
class Compared {
  #started = 0;
  #refused = 0;

  with(
    actual: { readonly started: number[]; readonly refused: Map<number, Refusal> },
    model: ReferenceBulkhead,
  ): void {
    same(actual.started.length, model.started.length, 'number let in');
    for (; this.#started < model.started.length; this.#started++)
      same(actual.started[this.#started], model.started[this.#started], 'let in next');
    same(actual.refused.size, model.refused.size, 'number refused');
    if (this.#refused === model.refused.size) return;
    this.#refused = model.refused.size;
    for (const [id, why] of model.refused) same(actual.refused.get(id), why, `refusal of ${id}`);
  }
}

/** The guard itself, entered and left by hand: nothing happens between two steps, not even a promise job. */
class ByHand {
  readonly clock = new VirtualClock();
  readonly guard: Bulkhead;
  readonly model: ReferenceBulkhead;
  readonly started: number[] = [];
  readonly refused = new Map<number, Refusal>();
  readonly #compared = new Compared();
  readonly #host = hostOn(this.clock);
  readonly #guests: {
    readonly guest: Guest;
    readonly call: RootCall;
    readonly caller: AbortController | undefined;
  }[] = [];

  constructor(chosen: Rules) {
    this.guard = bulkhead(chosen);
    this.model = new ReferenceBulkhead(chosen);
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'enter') this.#enter(step);
    else if (step.do === 'leave') this.#leave(step.which);
    else if (step.do === 'cancel') this.#cancel(step);
    else if (step.do === 'flush') await undefined;
    else {
      this.clock.tick(step.time);
      this.model.timePassed(this.clock.now());
    }
    same(this.guard.running, this.model.running.length, 'running');
    same(this.guard.waiting, this.model.waiting.length, 'waiting');
    if (step.do === 'flush') this.compare();
  }

  compare(): void {
    this.#compared.with(this, this.model);
  }

  async finish(): Promise<void> {
    while (this.model.running.length > 0) await this.take({ do: 'leave', which: 0 });
    await this.take({ do: 'flush' });
    same(this.guard.running + this.guard.waiting, 0, 'permits taken and waiters left');
    same(deadlinesOf(this.clock).size, 0, 'deadlines pending');
    same(
      this.started.length + this.refused.size,
      this.#guests.length,
      'those let in and those refused',
    );
  }

  #enter({ deadline, signal }: Step & { do: 'enter' }): void {
    const id = this.#guests.length;
    const now = this.clock.now();
    const caller = signal ? new AbortController() : undefined;
    // The engine never hands in a call that is over.
    const until = deadline === 0 ? Infinity : now + deadline;
    const call = waitingCall(this.#host, { signal: caller?.signal, deadline: until });
    if (until < Infinity)
      this.clock.schedule(() => call.abort(new TimeoutError('deadline', 0)), deadline);
    const guest = this.model.enter(id, now, until);
    this.#guests.push({ guest, call, caller });
    try {
      const waits = this.guard.enter(call);
      if (waits === undefined) this.started.push(id);
      else
        waits.then(
          () => this.started.push(id),
          (error) => this.refused.set(id, nameOf(error)),
        );
    } catch (error) {
      this.refused.set(id, nameOf(error));
    }
  }

  #leave(at: number): void {
    const { running, waiting } = this.model;
    if (running.length === 0) return;
    if (waiting.length > 0) count('handed on');
    this.model.leave(running[at % running.length]!);
    this.guard.leave();
  }

  #cancel(step: Step & { do: 'cancel' }): void {
    const list = step.waiting ? this.model.waiting : this.model.running;
    const guest = list[step.which % list.length];
    const entry = this.#guests[guest?.id ?? -1];
    if (guest === undefined || entry?.caller === undefined) return;
    entry.caller.abort(enough);
    this.model.cancel(guest, 'cancelled');
  }
}

/** Whole calls through the bulkhead, deadlines and all; each step ends with every promise job done. */
class ByExecute {
  readonly clock = new VirtualClock();
  readonly guard: Bulkhead;
  readonly model: ReferenceBulkhead;
  readonly started: number[] = [];
  readonly refused = new Map<number, Refusal>();
  readonly #compared = new Compared();
  readonly #calls: ReturnType<typeof pipeline>;
  readonly #guests: {
    readonly guest: Guest;
    readonly end: () => void;
    readonly caller: AbortController | undefined;
  }[] = [];

  constructor(chosen: Rules) {
    this.guard = bulkhead(chosen);
    this.model = new ReferenceBulkhead(chosen);
    this.#calls = pipeline({ clock: this.clock }, this.guard);
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'enter') this.#enter(step);
    else if (step.do === 'leave') this.#leave(step.which);
    else if (step.do === 'cancel') this.#cancel(step);
    else if (step.do === 'wait') {
      // With the promise jobs of each moment, so that what expires first is known first.
      await this.clock.advance(step.time);
      this.model.timePassed(this.clock.now());
    }
    await this.clock.flush();
    same(this.guard.running, this.model.running.length, 'running');
    same(this.guard.waiting, this.model.waiting.length, 'waiting');
    this.#compared.with(this, this.model);
  }

  async finish(): Promise<void> {
    while (this.model.running.length > 0) await this.take({ do: 'leave', which: 0 });
    same(this.guard.running + this.guard.waiting, 0, 'permits taken and waiters left');
    same(deadlinesOf(this.clock).size, 0, 'deadlines pending');
  }

  #enter({ deadline, signal }: Step & { do: 'enter' }): void {
    const id = this.#guests.length;
    const caller = signal ? new AbortController() : undefined;
    const until = this.clock.now() + deadline;
    const guest = this.model.enter(id, this.clock.now(), until);
    let end: () => void = () => {};
    const work = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#guests.push({ guest, end, caller });
    const operation = (): Promise<void> => {
      this.started.push(id);
      return work;
    };
    this.#calls.execute(operation, { signal: caller?.signal, deadline: until }).then(
      () => {},
      (error) => {
        // A call that runs past its deadline fails for its caller, and keeps its permit.
        if (this.started.includes(id)) count('late for their callers');
        else this.refused.set(id, nameOf(error));
      },
    );
  }

  #leave(at: number): void {
    const guest = this.model.running[at % this.model.running.length];
    if (guest === undefined) return;
    this.#guests[guest.id]?.end();
    this.model.leave(guest);
  }

  #cancel(step: Step & { do: 'cancel' }): void {
    const list = step.waiting ? this.model.waiting : this.model.running;
    const guest = list[step.which % list.length];
    const caller = this.#guests[guest?.id ?? -1]?.caller;
    if (guest === undefined || caller === undefined) return;
    caller.abort(enough);
    this.model.cancel(guest, 'cancelled');
  }
}

async function equalsReference(
  Driven: new (chosen: Rules) => ByHand | ByExecute,
  numRuns: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(rules, steps, async (chosen, history) => {
      const pair = new Driven(chosen);
      for (const step of history) await pair.take(step);
      await pair.finish();
      for (const why of pair.refused.values()) count(why);
      count('histories');
    }),
    runs(numRuns),
  );
}

describe('bulkhead', () => {
  it(
    'entered and left by hand does what a plain queue does',
    async () => {
      await equalsReference(ByHand, 7_000);
    },
    PATIENCE,
  );

  it(
    'around whole calls with deadlines does what a plain queue does',
    async () => {
      await equalsReference(ByExecute, 3_000);
    },
    PATIENCE,
  );

  it('was driven into every corner by these histories', () => {
    const corners = [
      'full',
      'queue-timeout',
      'deadline',
      'cancelled',
      'handed on',
      'late for their callers',
    ];
    for (const corner of corners) expect(tally[corner], corner).toBeGreaterThan(100);
  });
});
