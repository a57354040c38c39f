/** Random histories of a circuit breaker against the reference: same answers, same states, same events. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CallHost, RootCall } from '../src/call-state.js';
import { CircuitBreaker } from '../src/circuit-breaker.js';
import type { CircuitBreakerOptions, CircuitSnapshot } from '../src/circuit-breaker-options.js';
import type { Clock } from '../src/clock.js';
import {
  BulkheadFullError,
  CircuitIsolatedError,
  CircuitOpenError,
  TimeoutError,
} from '../src/errors.js';
import type { ResilienceEvent } from '../src/events.js';
import type { Outcome } from '../src/outcome.js';
import { type Admitted, type Kind, ReferenceBreaker, type Rules } from './reference-breaker.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';
import { hostOn, startedCall, waitingCall } from './started-call.js';

type End = 'success' | 'failure' | 'ignored' | 'refusal' | 'timeout';

type Step =
  | {
      readonly do: 'enter';
      readonly deadline: boolean;
      readonly signal: boolean;
      readonly starts: boolean;
    }
  | {
      readonly do: 'leave';
      readonly which: number;
      readonly end: End;
      readonly duration: number;
    }
  | { readonly do: 'abort'; readonly which: number; readonly by: 'caller' | 'timeout' }
  | { readonly do: 'wait'; readonly time: number }
  | { readonly do: 'isolate' | 'reset' }
  | { readonly do: 'restart'; readonly elapsed: number; readonly origin: number };

const which = fc.nat(20);
const enter: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('enter' as const),
  deadline: fc.boolean(),
  signal: fc.boolean(),
  starts: fc.integer({ min: 0, max: 9 }).map((number) => number > 0),
});
const leave: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('leave' as const),
  which,
  end: fc.constantFrom<End>(
    'success',
    'success',
    'failure',
    'failure',
    'failure',
    'ignored',
    'refusal',
    'timeout',
  ),
  duration: fc.constantFrom(0, 40, 99, 100, 101, 250),
});
const abort: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('abort' as const),
  which,
  by: fc.constantFrom('caller' as const, 'timeout' as const),
});
const wait: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('wait' as const),
  time: fc.oneof(fc.nat(12), fc.nat(120), fc.constantFrom(50, 100, 1_000, 5_000)),
});
const byHand: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('isolate' as const, 'reset' as const),
});
const restart: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('restart' as const),
  elapsed: fc.nat(150),
  origin: fc.constantFrom(0, 7, 5_000, -333),
});
const steps = fc.array(
  fc.oneof(
    { weight: 40, arbitrary: enter },
    { weight: 40, arbitrary: leave },
    { weight: 5, arbitrary: abort },
    { weight: 12, arbitrary: wait },
    { weight: 1, arbitrary: byHand },
    { weight: 1, arbitrary: restart },
  ),
  { minLength: 5, maxLength: 50, size: 'max' },
);

const ratio = fc.constantFrom(0.1, 0.25, 1 / 3, 0.5, 0.6, 1);
const recovery = {
  resetTimeout: fc.oneof(
    fc.constantFrom(0, 30, 30, 100, 100, Infinity).map((time) => () => time),
    fc.constant((openings: number) => 20 * 2 ** (openings - 1)),
  ),
  halfOpenCalls: fc.integer({ min: 1, max: 5 }),
  probeTimeout: fc.constantFrom(10, 100, Infinity),
};
const consecutive: fc.Arbitrary<Rules> = fc.record({
  failureThreshold: fc.integer({ min: 1, max: 4 }),
  failureRatio: fc.constant(1),
  minimumCalls: fc.constant(1),
  window: fc.constant({ calls: 1 }),
  slowCallDuration: fc.constant(Infinity),
  slowCallRatio: fc.constant(1),
  ...recovery,
});
const byRatio: fc.Arbitrary<Rules> = fc
  .record({
    failureThreshold: fc.constant(undefined),
    failureRatio: ratio,
    minimumCalls: fc.integer({ min: 1, max: 6 }),
    window: fc.oneof(
      fc.integer({ min: 1, max: 12 }).map((calls) => ({ calls })),
      fc.constantFrom(10, 50, 200, 1_000).map((duration) => ({ duration })),
    ),
    slowCallDuration: fc.constantFrom(100, 100, Infinity),
    slowCallRatio: ratio,
    ...recovery,
  })
  .map((rules) => ({
    ...rules,
    minimumCalls:
      'calls' in rules.window
        ? Math.min(rules.minimumCalls, rules.window.calls)
        : rules.minimumCalls,
  }));

/** What the histories went through, so that a property that no longer reaches anything shows. */
const tally: Record<string, number> = {};
function count(what: string): void {
  tally[what] = (tally[what] ?? 0) + 1;
}

/** The breaker and its reference, side by side. */
class Pair {
  readonly #rules: Rules;
  #virtual = new VirtualClock();
  #host!: CallHost;
  #breaker!: CircuitBreaker;
  #model: ReferenceBreaker;
  #story: string[] = [];
  #compared = 0;
  readonly #inside: {
    readonly call: RootCall;
    readonly permit: unknown;
    readonly breaker: CircuitBreaker;
    readonly admitted: Admitted;
    readonly caller: AbortController | undefined;
    /** Stands under a deadline, so that a timeout of ours is heard at once. */
    readonly deadline: boolean;
  }[] = [];

  constructor(rules: Rules) {
    this.#rules = rules;
    this.#model = new ReferenceBreaker(rules, 0);
    this.#start(0, undefined);
  }

  take(step: Step): void {
    this.#model.now = this.#virtual.now();
    if (step.do === 'enter') this.#enter(step);
    else if (step.do === 'leave') this.#leave(step);
    else if (step.do === 'abort') this.#abort(step);
    else if (step.do === 'wait') this.#virtual.tick(step.time);
    else if (step.do === 'restart') this.#restart(step);
    else {
      this.#breaker[step.do]();
      this.#model[step.do]();
    }
    this.compare();
  }

  compare(): void {
    this.#model.now = this.#virtual.now();
    same(this.#breaker.state, this.#model.state, 'state');
    const { story } = this.#model;
    same(this.#story.length, story.length, 'number of events');
    for (; this.#compared < story.length; this.#compared++)
      same(this.#story[this.#compared], story[this.#compared], 'event');
  }

  /** Whatever happened: once everything has ended, healthy calls close the circuit. */
  expectRecovery(): void {
    for (let index = this.#inside.length - 1; index >= 0; index--)
      this.take({ do: 'leave', which: index, end: 'ignored', duration: 0 });
    const forGood = this.#model.condition === 'isolated' || this.#model.openUntil === Infinity;
    if (forGood) this.take({ do: 'reset' });
    this.take({ do: 'wait', time: 20 * 2 ** this.#model.openings + 200 });
    for (let call = 0; call < this.#rules.halfOpenCalls; call++) {
      this.take({ do: 'enter', deadline: false, signal: false, starts: true });
      this.take({ do: 'leave', which: 0, end: 'success', duration: 0 });
    }
    same(this.#breaker.state, 'closed', 'state after all that');
    same(this.#inside.length, 0, 'calls inside');
  }

  #start(origin: number, snapshot: CircuitSnapshot | undefined, epoch = 0): void {
    const virtual = new VirtualClock({ now: Math.max(0, origin) });
    const before = virtual.now();
    const clock: Clock = {
      now: () => virtual.now(),
      schedule: (callback, delay) => virtual.schedule(callback, delay),
      epoch: () => epoch + virtual.now() - before,
    };
    this.#virtual = virtual;
    this.#host = hostOn(clock);
    this.#breaker = new CircuitBreaker(optionsOf(this.#rules, clock, snapshot));
    this.#story = [];
    this.#compared = 0;
    const story = this.#story;
    this.#breaker.on((event) => story.push(told(event)));
  }

  #enter({ deadline, signal, starts }: Step & { do: 'enter' }): void {
    const caller = signal ? new AbortController() : undefined;
    const make = starts ? startedCall : waitingCall;
    const call = make(this.#host, {
      signal: caller?.signal,
      deadline: deadline ? 1e9 : Infinity,
    });
    const answer = this.#model.enter();
    let permit: unknown;
    let refusal: object | undefined;
    try {
      permit = this.#breaker.enter(call);
    } catch (error) {
      refusal = error as object;
    }
    if (!('refused' in answer)) {
      same(refusal, undefined, 'refusal');
      count(answer.isProbe ? 'probes' : 'calls');
      this.#inside.push({
        call,
        permit,
        breaker: this.#breaker,
        admitted: answer,
        caller,
        deadline,
      });
      return;
    }
    count(`refused ${answer.refused}`);
    const kind = answer.refused === 'isolated' ? CircuitIsolatedError : CircuitOpenError;
    same(refusal?.constructor, kind, 'refusal');
    same((refusal as CircuitOpenError).retryAfter, answer.retryAfter, 'retryAfter');
  }

  #leave({ which: at, end, duration }: Step & { do: 'leave' }): void {
    if (this.#inside.length === 0) return;
    const [one] = this.#inside.splice(at % this.#inside.length, 1);
    const { call, permit, breaker, admitted } = one!;
    const outcome = outcomeOf(end, duration);
    if (admitted.over) count('late results');
    const kind = kindOf(call, end);
    if (breaker === this.#breaker) this.#model.leave(admitted, kind, duration);
    breaker.leave(permit, call, outcome);
  }

  #abort({ which: at, by }: Step & { do: 'abort' }): void {
    if (this.#inside.length === 0) return;
    const one = this.#inside[at % this.#inside.length]!;
    const { call, admitted, deadline, breaker, caller } = one;
    const already = call.aborted;
    if (by === 'caller') caller?.abort(new Error('enough'));
    else call.abort(new TimeoutError('attempt', 5));
    if (already || !call.aborted || breaker !== this.#breaker) return;
    count(`${admitted.isProbe ? 'probe' : 'call'} aborted by ${by}`);
    // A probe's place is needed back; else only a timeout says something about the dependency.
    if (!admitted.isProbe && !(deadline && by === 'timeout')) return;
    const kind = kindOf(call, by === 'timeout' ? 'timeout' : 'failure');
    this.#model.leave(admitted, kind, this.#virtual.now() - admitted.enteredAt);
  }

  #restart({ elapsed, origin }: Step & { do: 'restart' }): void {
    count(`restarted ${this.#model.condition}`);
    const stored = JSON.stringify(this.#breaker.snapshot());
    const snapshot = JSON.parse(stored) as CircuitSnapshot;
    this.#start(origin, snapshot, snapshot.takenAt + elapsed);
    this.#model = this.#model.restored(this.#virtual.now(), elapsed);
  }
}

function optionsOf(
  rules: Rules,
  clock: Clock,
  snapshot: CircuitSnapshot | undefined,
): CircuitBreakerOptions {
  const { resetTimeout, halfOpenCalls, probeTimeout, failureThreshold } = rules;
  const common: CircuitBreakerOptions = {
    resetTimeout: rules.resetTimeout(2) === rules.resetTimeout(1) ? resetTimeout(1) : resetTimeout,
    halfOpenCalls,
    probeTimeout,
    clock,
    snapshot,
    classify: (outcome) =>
      !outcome.ok && (outcome.error as { kind?: Kind }).kind === 'ignored'
        ? 'ignored'
        : outcome.ok
          ? 'success'
          : 'failure',
  };
  if (failureThreshold !== undefined) return { ...common, failureThreshold };
  const { failureRatio, minimumCalls, window, slowCallDuration, slowCallRatio } = rules;
  const slow = slowCallDuration === Infinity ? {} : { slowCallDuration, slowCallRatio };
  return { ...common, failureRatio, minimumCalls, window, ...slow };
}

const errors = {
  failure: new Error('down'),
  ignored: Object.assign(new Error('not the dependency'), { kind: 'ignored' }),
  refusal: new BulkheadFullError('inner', 1, 0),
  timeout: new TimeoutError('attempt', 5),
};

function outcomeOf(end: End, duration: number): Outcome {
  return end === 'success'
    ? { ok: true, value: 1, duration }
    : { ok: false, error: errors[end], duration };
}

/** Whose outcome it is, by the rules that hold whatever `classify` says. */
function kindOf(call: RootCall, end: End): Kind {
  if (end === 'success') return 'success';
  if (end === 'refusal' || end === 'ignored' || call.cancelled) return 'ignored';
  if (!call.started && (end === 'timeout' || call.aborted)) return 'ignored';
  return 'failure';
}

function told(event: ResilienceEvent): string {
  if (event.type === 'circuit.opened')
    return `opened: ${event.reason}, ${event.openings}, ${event.delay}`;
  if (event.type === 'circuit.half-opened') return `half-opened: ${event.reason}`;
  if (event.type === 'circuit.closed') return `closed: ${event.reason}`;
  return event.type === 'circuit.isolated' ? `isolated: ${event.reason}` : event.type;
}

function equalsReference(rules: fc.Arbitrary<Rules>, numRuns: number): void {
  fc.assert(
    fc.property(rules, steps, (chosen, history) => {
      const pair = new Pair(chosen);
      for (const step of history) pair.take(step);
      pair.expectRecovery();
    }),
    runs(numRuns),
  );
}

describe('circuitBreaker', () => {
  it(
    'by consecutive failures does what the reference does',
    () => {
      equalsReference(consecutive, 3_000);
    },
    PATIENCE,
  );

  it(
    'by ratio of a window does what the reference does',
    () => {
      equalsReference(byRatio, 7_000);
    },
    PATIENCE,
  );

  it('was driven into every corner by these histories', () => {
    const corners = [
      'calls',
      'probes',
      'refused open',
      'refused half-open',
      'refused isolated',
      'late results',
      'call aborted by caller',
      'call aborted by timeout',
      'probe aborted by caller',
      'probe aborted by timeout',
      'restarted closed',
      'restarted open',
      'restarted half-open',
      'restarted isolated',
    ];
    for (const corner of corners) expect(tally[corner], corner).toBeGreaterThan(100);
  });
});
