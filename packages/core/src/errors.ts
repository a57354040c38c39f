/**
 * The library's own errors. The message is the state and the remedy with numbers; the data is in
 * fields. They are thrown exactly when the system is in trouble, so they capture no stack trace: the
 * place to look at is the dependency, not the line that was refused. The operation's own errors are
 * never wrapped.
 */

/** Stable codes of the library's errors; adapters add their own with the same beginning. */
export type ResilienceErrorCode =
  | 'RESIL_CIRCUIT_OPEN'
  | 'RESIL_CIRCUIT_ISOLATED'
  | 'RESIL_BULKHEAD_FULL'
  | 'RESIL_QUEUE_TIMEOUT'
  | 'RESIL_LIMIT_EXCEEDED'
  | 'RESIL_RATE_LIMITED'
  | 'RESIL_THROTTLED'
  | 'RESIL_DRAINING'
  | 'RESIL_NO_ENDPOINT'
  | 'RESIL_TIMEOUT'
  | 'RESIL_HEDGE_LOST'
  | 'RESIL_OUTCOME_UNKNOWN'
  | `RESIL_${string}`;

/** What every error of the library carries. */
export interface ResilienceErrorDetails {
  /** Name of the layer that raised it. */
  readonly strategy: string;
  /** Whether the operation was refused, that is, not run at all. Default: false. */
  readonly refusal?: boolean;
  /** Milliseconds after which trying again can succeed, where that is known. */
  readonly retryAfter?: number | undefined;
  /** What caused it, where something did. */
  readonly cause?: unknown;
}

const BRAND: symbol = Symbol.for('@resil/core/error');

/** Base of the library's errors. Test with {@link isResilienceError}, which also knows the errors of a second copy of the package. */
export class ResilienceError extends Error {
  readonly code: ResilienceErrorCode;
  /** Name of the layer that raised it. */
  readonly strategy: string;
  /** Milliseconds after which trying again can succeed; `undefined` where that is not known. */
  readonly retryAfter: number | undefined;
  /** Whether the operation was refused, that is, not run at all. */
  readonly refusal: boolean;

  constructor(code: ResilienceErrorCode, message: string, details: ResilienceErrorDetails) {
    const engine: { stackTraceLimit?: number | undefined } = Error;
    const limit = engine.stackTraceLimit;
    engine.stackTraceLimit = 0;
    super(message);
    engine.stackTraceLimit = limit;
    this.code = code;
    this.strategy = details.strategy;
    this.retryAfter = details.retryAfter;
    this.refusal = details.refusal === true;
    if (details.cause !== undefined) this.cause = details.cause;
  }
}
for (const [key, value] of [
  ['name', 'ResilienceError'],
  [BRAND, true],
] as const) {
  Object.defineProperty(ResilienceError.prototype, key, {
    value,
    writable: true,
    configurable: true,
  });
}

/** Whether `error` is one of the library's own errors, also when it comes from another copy of the package. */
export function isResilienceError(error: unknown): error is ResilienceError {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as Record<symbol, unknown>)[BRAND] === true
  );
}

/** Whether `error` says that the operation was refused by a layer and not run. */
export function isRefusal(error: unknown): error is ResilienceError {
  return isResilienceError(error) && error.refusal;
}

/** Whether `error` is one of our timeouts. */
export function isTimeout(error: unknown): boolean {
  return isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
}

/** Whether `error` is a refusal or a timeout of ours: the caller has no answer, whatever it says about the dependency. */
export function isRefusalOrTimeout(error: unknown): boolean {
  return isRefusal(error) || isTimeout(error);
}

/** The circuit breaker is open, or half-open with all its probes out. Code `RESIL_CIRCUIT_OPEN`. */
export class CircuitOpenError extends ResilienceError {
  constructor(strategy: string, retryAfter: number, state: 'open' | 'half-open') {
    super(
      'RESIL_CIRCUIT_OPEN',
      state === 'open'
        ? `circuit '${strategy}' is open; a probe is allowed in ${Math.ceil(retryAfter)} ms`
        : `circuit '${strategy}' is half-open and all its probes are out`,
      { strategy, retryAfter: state === 'open' ? retryAfter : undefined, refusal: true },
    );
  }
}

/** The circuit breaker was isolated by hand. Code `RESIL_CIRCUIT_ISOLATED`. */
export class CircuitIsolatedError extends ResilienceError {
  constructor(strategy: string) {
    super(
      'RESIL_CIRCUIT_ISOLATED',
      `circuit '${strategy}' is isolated; reset() lets calls in again`,
      {
        strategy,
        refusal: true,
      },
    );
  }
}

/** All permits are taken and the queue is full. Code `RESIL_BULKHEAD_FULL`. */
export class BulkheadFullError extends ResilienceError {
  /** Calls that were running. */
  readonly running: number;
  /** Calls that were waiting. */
  readonly waiting: number;

  constructor(strategy: string, running: number, waiting: number) {
    super(
      'RESIL_BULKHEAD_FULL',
      `bulkhead '${strategy}' is full: ${running} running, ${waiting} waiting`,
      {
        strategy,
        refusal: true,
      },
    );
    this.running = running;
    this.waiting = waiting;
  }
}

/** A call waited in a queue for as long as it may. Code `RESIL_QUEUE_TIMEOUT`. */
export class QueueTimeoutError extends ResilienceError {
  /** Milliseconds the call may wait. */
  readonly queueTimeout: number;

  constructor(strategy: string, queueTimeout: number) {
    super('RESIL_QUEUE_TIMEOUT', `'${strategy}' had no free permit within ${queueTimeout} ms`, {
      strategy,
      refusal: true,
    });
    this.queueTimeout = queueTimeout;
  }
}

/** The limit that was found out is reached, and no place in the queue is left. Code `RESIL_LIMIT_EXCEEDED`. */
export class LimitExceededError extends ResilienceError {
  /** Calls that might be in flight. */
  readonly limit: number;
  /** Calls that were in flight. */
  readonly inFlight: number;
  /** Calls that were waiting. */
  readonly waiting: number;

  constructor(strategy: string, limit: number, inFlight: number, waiting: number) {
    super(
      'RESIL_LIMIT_EXCEEDED',
      `'${strategy}' is at its limit of ${limit}: ${inFlight} in flight, ${waiting} waiting`,
      { strategy, refusal: true },
    );
    this.limit = limit;
    this.inFlight = inFlight;
    this.waiting = waiting;
  }
}

/** The call would have had to wait for its turn longer than it may. Code `RESIL_RATE_LIMITED`. */
export class RateLimitedError extends ResilienceError {
  /** Calls that were waiting for their turn. */
  readonly waiting: number;

  constructor(strategy: string, retryAfter: number, waiting: number) {
    super(
      'RESIL_RATE_LIMITED',
      `rate limiter '${strategy}' has no turn for this call; try again in ${Math.ceil(retryAfter)} ms`,
      { strategy, retryAfter, refusal: true },
    );
    this.waiting = waiting;
  }
}

/** Too few calls were accepted of late, and chance refused this one. Code `RESIL_THROTTLED`. */
export class ThrottledError extends ResilienceError {
  /** Probability with which a call was refused. */
  readonly rejectionRatio: number;

  constructor(strategy: string, rejectionRatio: number) {
    super(
      'RESIL_THROTTLED',
      `'${strategy}' refuses ${Math.round(rejectionRatio * 100)} % of the calls, for too few are accepted`,
      { strategy, refusal: true },
    );
    this.rejectionRatio = rejectionRatio;
  }
}

/** The process is about to end: nobody waits for a turn any more. Code `RESIL_DRAINING`. */
export class DrainingError extends ResilienceError {
  constructor(strategy: string) {
    super('RESIL_DRAINING', `'${strategy}' is draining: no call waits for its turn any more`, {
      strategy,
      refusal: true,
    });
  }
}

/** There is no endpoint that the call may go to. Code `RESIL_NO_ENDPOINT`. */
export class NoEndpointError extends ResilienceError {
  /** Endpoints that the failover has. */
  readonly endpoints: number;

  constructor(strategy: string, endpoints: number) {
    super(
      'RESIL_NO_ENDPOINT',
      `'${strategy}' has no endpoint for this call among its ${endpoints}`,
      { strategy, refusal: true },
    );
    this.endpoints = endpoints;
  }
}

/** A call did not settle in time. Code `RESIL_TIMEOUT`. It is also the reason that `call.signal` is aborted with. */
export class TimeoutError extends ResilienceError {
  /** Milliseconds the call was given; 0 if its deadline had passed before it began. */
  readonly timeout: number;

  constructor(strategy: string, timeout: number) {
    super('RESIL_TIMEOUT', `'${strategy}' expired after ${Math.round(timeout)} ms`, { strategy });
    this.timeout = timeout;
  }
}

/**
 * Another attempt of a hedged call gave the answer. Code `RESIL_HEDGE_LOST`. It is the reason that the
 * signals of the others are aborted with; no caller gets to see it.
 */
export class HedgeLostError extends ResilienceError {
  constructor(strategy: string) {
    super('RESIL_HEDGE_LOST', `another attempt of '${strategy}' gave the answer`, { strategy });
  }
}

/**
 * It is not known whether the work was done: it was sent and no answer came. Running it again could
 * do it twice. Code `RESIL_OUTCOME_UNKNOWN`; `cause` is what ended the wait.
 */
export class OutcomeUnknownError extends ResilienceError {
  constructor(strategy: string, message: string, cause: unknown) {
    super('RESIL_OUTCOME_UNKNOWN', message, { strategy, cause });
  }
}
