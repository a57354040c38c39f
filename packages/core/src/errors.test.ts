import { describe, expect, it } from 'vitest';
import {
  BulkheadFullError,
  CircuitIsolatedError,
  CircuitOpenError,
  isRefusal,
  isResilienceError,
  OutcomeUnknownError,
  QueueTimeoutError,
  ResilienceError,
  TimeoutError,
} from './errors.js';

const all = [
  ['RESIL_CIRCUIT_OPEN', true, new CircuitOpenError('db', 1_200.4, 'open')],
  ['RESIL_CIRCUIT_OPEN', true, new CircuitOpenError('db', 0, 'half-open')],
  ['RESIL_CIRCUIT_ISOLATED', true, new CircuitIsolatedError('db')],
  ['RESIL_BULKHEAD_FULL', true, new BulkheadFullError('db', 10, 5)],
  ['RESIL_QUEUE_TIMEOUT', true, new QueueTimeoutError('db', 250)],
  ['RESIL_TIMEOUT', false, new TimeoutError('db', 99.6)],
  ['RESIL_OUTCOME_UNKNOWN', false, new OutcomeUnknownError('db', 'sent', 'cut')],
] as const;

describe('ResilienceError', () => {
  it.each(all)(
    '%s (refusal: %s) is an Error with code, strategy and no stack',
    (code, refusal, error) => {
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(ResilienceError);
      expect(error).toMatchObject({ code, refusal, strategy: 'db' });
      expect(error.name).toBe('ResilienceError');
      expect(error.stack ?? '').not.toMatch(/\n\s+at /);
      expect(isResilienceError(error)).toBe(true);
      expect(isRefusal(error)).toBe(refusal);
    },
  );

  it.each([
    [all[0][2], "circuit 'db' is open; a probe is allowed in 1201 ms", { retryAfter: 1_200.4 }],
    [all[1][2], "circuit 'db' is half-open and all its probes are out", { retryAfter: undefined }],
    [all[2][2], "circuit 'db' is isolated; reset() lets calls in again", {}],
    [all[3][2], "bulkhead 'db' is full: 10 running, 5 waiting", { running: 10, waiting: 5 }],
    [all[4][2], "'db' had no free permit within 250 ms", { queueTimeout: 250 }],
    [all[5][2], "'db' expired after 100 ms", { timeout: 99.6 }],
    [all[6][2], 'sent', { cause: 'cut' }],
  ])('says what is the matter and carries its numbers: %s', (error, message, data) => {
    expect(error.message).toBe(message);
    expect(error).toMatchObject(data);
  });

  it('has a cause only where one was given', () => {
    const cause = new Error('why');
    expect(new ResilienceError('RESIL_X', 'x', { strategy: 's', cause }).cause).toBe(cause);
    expect('cause' in new ResilienceError('RESIL_X', 'x', { strategy: 's' })).toBe(false);
  });

  it('leaves the stack traces of other errors as they were', () => {
    const engine = Error as { stackTraceLimit?: number };
    const limit = engine.stackTraceLimit;
    new TimeoutError('db', 1);
    expect(engine.stackTraceLimit).toBe(limit);
    expect(new Error('other').stack).toMatch(/\n\s+at /);
  });
});

describe('isResilienceError', () => {
  it('knows the errors of a second copy of the package', () => {
    class Other extends Error {
      readonly code = 'RESIL_TIMEOUT';
      readonly refusal = true;
    }
    Object.defineProperty(Other.prototype, Symbol.for('@resil/core/error'), { value: true });
    const error = new Other('from another copy');
    expect(error).not.toBeInstanceOf(ResilienceError);
    expect([isResilienceError(error), isRefusal(error)]).toEqual([true, true]);
  });

  it.each([undefined, null, 0, 'RESIL_TIMEOUT', {}, new Error('x'), { code: 'RESIL_TIMEOUT' }])(
    'knows that %s is none',
    (value) => {
      expect([isResilienceError(value), isRefusal(value)]).toEqual([false, false]);
    },
  );
});
