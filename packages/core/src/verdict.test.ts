import { VirtualClock } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import type { Call } from './call.js';
import { reportErrorsTo } from './emitter.js';
import { CircuitIsolatedError, HedgeLostError, TimeoutError } from './errors.js';
import type { Classify, Outcome, Verdict } from './outcome.js';
import { discard, verdictOf } from './verdict.js';

/** As much of a call as a verdict goes by. */
function callOf(state: Partial<Call> = {}): Call {
  return {
    clock: new VirtualClock(),
    cancelled: false,
    aborted: false,
    started: true,
    idempotent: undefined,
    ...state,
  } as Call;
}

const value: Outcome = { ok: true, value: 1, duration: 5 };
const failed = (error: unknown): Outcome => ({ ok: false, error, duration: 5 });
const down = failed(new Error('down'));
const late = failed(new TimeoutError('timeout', 100));
const refused = failed(new CircuitIsolatedError('db'));

const SUCCESS = { kind: 'success', repeat: false };
const FAILURE = { kind: 'failure', repeat: true };
const IGNORED = { kind: 'ignored', repeat: false };

describe('verdictOf', () => {
  describe('of a call with parts that run side by side', () => {
    const raced = { root: { raced: true } } as Partial<Call>;
    const answered = new HedgeLostError('hedge');
    const notOurs = Object.assign(new Error('lost'), { code: 'RESIL_HEDGE_LOST' });

    it.each<[string, Outcome, object]>([
      ['a value', value, { aborted: true, reason: answered }],
      ['an error', down, { aborted: true, reason: answered }],
    ])('ignores %s of the part that lost', (_, outcome, state) => {
      expect(verdictOf(() => 'failure', outcome, callOf({ ...state, ...raced }))).toEqual(IGNORED);
    });

    it('ignores what classify says of it but for how it is freed', () => {
      const free = vi.fn();
      const call = callOf({ aborted: true, reason: answered, ...raced });
      const classify: Classify = () => ({ kind: 'failure', repeat: true, discard: free });
      expect(verdictOf(classify, down, call)).toEqual({ ...IGNORED, discard: free });
    });

    it.each<[string, object]>([
      ['still runs', { reason: answered }],
      ['was aborted by a timeout', { aborted: true, reason: new TimeoutError('timeout', 5) }],
      ['was aborted with an error that only looks like ours', { aborted: true, reason: notOurs }],
    ])('takes what it is for one that %s', (_, state) => {
      expect(verdictOf(undefined, value, callOf({ ...state, ...raced }))).toEqual(SUCCESS);
    });

    it('has lost nothing where no parts ran', () => {
      const call = callOf({ aborted: true, reason: answered });
      expect(verdictOf(undefined, value, call)).toEqual(SUCCESS);
    });
  });

  it.each([
    'maybe',
    'toString',
    '',
    7,
    true,
    null,
    undefined,
    {},
    { kind: 'maybe' },
    () => 'failure',
    Promise.resolve('failure'),
  ])('reports a classify that gives %o, and goes by the default', (verdict) => {
    const told: unknown[] = [];
    const end = reportErrorsTo((error, where) => told.push([String(error), where]));
    try {
      expect(verdictOf(() => verdict as never, value, callOf())).toEqual(SUCCESS);
      expect(verdictOf(() => verdict as never, down, callOf())).toEqual(FAILURE);
    } finally {
      end();
    }
    const message = `TypeError: classify gave ${String(verdict)} instead of a verdict`;
    expect(told).toEqual(Array(2).fill([message, 'classify']));
  });

  it.each<[string, Outcome, Partial<Call>, object]>([
    ['a value is a success', value, {}, SUCCESS],
    ['an error is a failure that may be repeated', down, {}, FAILURE],
    ['not if repeating does harm', down, { idempotent: false }, { kind: 'failure', repeat: false }],
    ['but if it is known not to', down, { idempotent: true }, FAILURE],
    ['an error of a call that its caller cancelled is ignored', down, { cancelled: true }, IGNORED],
    ['a refusal is ignored', refused, {}, IGNORED],
    ['one of our timeouts is a failure', late, { aborted: true }, FAILURE],
    ['not if it expired before the operation began', late, { started: false }, IGNORED],
    ['nor is what was aborted before it began', down, { started: false, aborted: true }, IGNORED],
    ['a failure before it began is one', down, { started: false }, FAILURE],
  ])('without classify: %s', (_, outcome, call, expected) => {
    expect(verdictOf(undefined, outcome, callOf(call))).toEqual(expected);
  });

  it.each<[string, Outcome, Partial<Call>, ReturnType<Classify>, object]>([
    ['a bare failure may be repeated', value, {}, 'failure', FAILURE],
    [
      'unless that does harm',
      value,
      { idempotent: false },
      'failure',
      { kind: 'failure', repeat: false },
    ],
    ['a bare success may not', down, {}, 'success', SUCCESS],
    ['nor what is ignored', down, {}, 'ignored', IGNORED],
    ['a bare kind other than failure does not hold for our timeouts', late, {}, 'ignored', FAILURE],
    ['nor does success', late, {}, 'success', FAILURE],
  ])('with classify: %s', (_, outcome, call, verdict, expected) => {
    expect(verdictOf(() => verdict, outcome, callOf(call))).toEqual(expected);
  });

  it('hands a full verdict on as it is, for our timeouts too', () => {
    const verdict: Verdict = { kind: 'success', repeat: true, retryAfter: 5, discard: () => {} };
    for (const outcome of [value, down, late]) {
      expect(verdictOf(() => verdict, outcome, callOf())).toBe(verdict);
    }
  });

  it('asks classify with outcome and call, and not at all where the rules decide', () => {
    const classify = vi.fn<Classify>(() => 'failure');
    const call = callOf();
    verdictOf(classify, down, call);
    expect(classify.mock.calls).toEqual([[down, call]]);
    verdictOf(classify, refused, call);
    verdictOf(classify, down, callOf({ cancelled: true }));
    verdictOf(classify, late, callOf({ started: false }));
    expect(classify).toHaveBeenCalledTimes(1);
  });

  it('reports a classify that throws and takes the default', () => {
    const reported: unknown[] = [];
    const end = reportErrorsTo((error) => reported.push(error));
    const broken = new Error('broken');
    const classify = (): never => {
      throw broken;
    };
    expect(verdictOf(classify, down, callOf({ idempotent: false }))).toEqual({
      kind: 'failure',
      repeat: false,
    });
    end();
    expect(reported).toEqual([broken]);
  });
});

describe('discard', () => {
  it('frees what the verdict knows how to free', () => {
    const free = vi.fn();
    discard({ kind: 'failure', repeat: true, discard: free });
    discard({ kind: 'failure', repeat: true });
    expect(free).toHaveBeenCalledTimes(1);
  });
});
