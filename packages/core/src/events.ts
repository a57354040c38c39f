/**
 * The whole telemetry contract: one discriminated union. Exporters (metrics, traces, logs,
 * dashboards) are listeners and nothing else. No event carries an argument or a value of a call.
 */

import type { BudgetRefusal } from './attempt-budget.js';
import type { ObservedMark } from './guard-mode.js';
import type { LimitReason } from './limit-algorithm.js';

/** What every event carries. */
export interface ResilienceEventBase extends ObservedMark {
  /** Name of the pipeline, if it has one. */
  readonly pipeline: string | undefined;
  /** Key of the call or of the keyed pipeline, if it has one. */
  readonly key: string | undefined;
  /** Name of the call, if it has one. */
  readonly name: string | undefined;
  /** Number of the attempt, counting from 1; 0 if no call caused the event. */
  readonly attempt: number;
  /** When it happened, on the clock's scale. */
  readonly at: number;
  /**
   * Code or name of the event's `error`, fit for a label. The error itself is not enumerable, so that
   * an event that is printed or stored as JSON holds nothing of a call.
   */
  readonly errorType?: string | undefined;
}

/** What happens to a call as a whole. */
export type CallEvent =
  | { readonly type: 'call.started' }
  | { readonly type: 'call.succeeded'; readonly duration: number }
  | { readonly type: 'call.failed'; readonly duration: number; readonly error: unknown }
  | { readonly type: 'call.rejected'; readonly duration: number; readonly error: unknown }
  | { readonly type: 'call.aborted'; readonly duration: number; readonly reason: unknown };

/** What retry does. `delay` is the wait before attempt `attempt + 1`. */
export type RetryEvent =
  | {
      readonly type: 'retry.scheduled';
      readonly strategy: string;
      readonly delay: number;
      readonly error: unknown;
    }
  | {
      readonly type: 'retry.exhausted';
      readonly strategy: string;
      readonly reason: RetryStopReason;
      readonly error: unknown;
      /** The delays that were waited before, in ms. */
      readonly delays: readonly number[];
    }
  | {
      readonly type: 'budget.exhausted';
      /** Name of the budget. */
      readonly strategy: string;
      /** What was refused. */
      readonly wanted: 'retry' | 'hedge';
      /** Why; `'refused'` by a budget that doesn't tell. */
      readonly reason: BudgetRefusal['reason'];
      /** What is used of the budget, and what may be; see {@link BudgetRefusal}. */
      readonly used?: number | undefined;
      readonly limit?: number | undefined;
    };

/** What a hedge does. `hedge` counts the extra attempts of a call from 1; 0 is the first attempt. */
export type HedgeEvent =
  | {
      readonly type: 'hedge.started';
      readonly strategy: string;
      readonly hedge: number;
      /** Whether the attempts before were slow, or one of them failed. */
      readonly reason: 'delay' | 'failure';
      /** Milliseconds since the attempt before. */
      readonly delay: number;
    }
  | {
      readonly type: 'hedge.won' | 'hedge.lost';
      readonly strategy: string;
      readonly hedge: number;
      /** Milliseconds that the attempt ran until it gave the answer, or was aborted. */
      readonly duration: number;
    };

/**
 * Why retry did not go on: attempts used up, no time left, the server asked for a longer wait than
 * allowed, no budget, somebody further out repeats the work.
 */
export type RetryStopReason = 'attempts' | 'deadline' | 'retry-after' | 'budget' | 'nested';

/** Why a circuit changed state. */
export type CircuitReason =
  | 'failures'
  | 'slow-calls'
  | 'probe-failed'
  | 'probe-succeeded'
  | 'reset-timeout'
  | 'manual';

/** What a circuit breaker does. `openings` counts the openings in a row since the circuit was last closed. */
export type CircuitEvent =
  | {
      readonly type: 'circuit.opened';
      readonly strategy: string;
      readonly reason: CircuitReason;
      readonly openings: number;
      /** How long the circuit stays open, in ms. */
      readonly delay: number;
    }
  | {
      readonly type: 'circuit.half-opened';
      readonly strategy: string;
      readonly reason: CircuitReason;
    }
  | { readonly type: 'circuit.closed'; readonly strategy: string; readonly reason: CircuitReason }
  | { readonly type: 'circuit.isolated'; readonly strategy: string; readonly reason: CircuitReason }
  | {
      readonly type: 'circuit.rejected';
      readonly strategy: string;
      readonly state: 'open' | 'half-open' | 'isolated';
    };

/** Why a bulkhead refused a call: no place in the queue, waited as long as it may, aborted while it waited, or the process is about to end. */
export type BulkheadRejection = 'full' | 'queue-timeout' | 'aborted' | 'draining';

/** What a bulkhead does. */
export type BulkheadEvent =
  | {
      readonly type: 'bulkhead.queued';
      readonly strategy: string;
      readonly running: number;
      readonly waiting: number;
    }
  | { readonly type: 'bulkhead.dequeued'; readonly strategy: string; readonly duration: number }
  | {
      readonly type: 'bulkhead.rejected';
      readonly strategy: string;
      readonly reason: BulkheadRejection;
      readonly running: number;
      readonly waiting: number;
    };

/**
 * Why a thread of a pool ended: its task took too long or was aborted, it ended by itself, it could not
 * load its module, it had nothing to do, or the pool was closed.
 */
export type WorkerEndReason = 'timeout' | 'aborted' | 'crashed' | 'load-failed' | 'idle' | 'closed';

/** What becomes of the threads of a pool. `threads` is how many there are then. */
export type WorkerEvent =
  | { readonly type: 'worker.started'; readonly strategy: string; readonly threads: number }
  | {
      readonly type: 'worker.ended';
      readonly strategy: string;
      readonly reason: WorkerEndReason;
      readonly threads: number;
      readonly exitCode: number;
      /** What ended it, if an error did. */
      readonly error?: unknown;
    };

/**
 * Why a rate limiter refused a call: nobody more may wait, its turn is further away than it may wait, its
 * turn comes after its deadline, it was aborted while it waited, or the process is about to end.
 */
export type RateLimitReason = 'full' | 'queue-timeout' | 'deadline' | 'aborted' | 'draining';

/** What a rate limiter does. */
export type RateLimitEvent =
  | {
      readonly type: 'rate-limit.queued';
      readonly strategy: string;
      readonly waiting: number;
    }
  | { readonly type: 'rate-limit.dequeued'; readonly strategy: string; readonly duration: number }
  | {
      readonly type: 'rate-limit.rejected';
      readonly strategy: string;
      readonly reason: RateLimitReason;
      readonly waiting: number;
    }
  | {
      readonly type: 'rate-limit.slowed';
      readonly strategy: string;
      /** What the server said: a time to wait, or what is left of a quota. */
      readonly reason: 'retry-after' | 'quota';
      /** Milliseconds until the next call (`retry-after`), or between two calls (`quota`). */
      readonly delay: number;
      /** Milliseconds for which that holds. */
      readonly duration: number;
    };

/**
 * Why an adaptive limiter refused a call: no place in the queue, waited as long as it may, aborted while
 * it waited, dropped because waits were too long for too long, gave way to a more important one, or the
 * process is about to end.
 */
export type LimiterRejection =
  | 'full'
  | 'early'
  | 'queue-timeout'
  | 'aborted'
  | 'codel'
  | 'shed'
  | 'draining';

/** What an adaptive limiter does. */
export type LimiterEvent =
  | {
      readonly type: 'limiter.limit-changed';
      readonly strategy: string;
      readonly limit: number;
      readonly previous: number;
      readonly reason: LimitReason;
    }
  | {
      readonly type: 'limiter.queued';
      readonly strategy: string;
      readonly limit: number;
      readonly inFlight: number;
      readonly waiting: number;
    }
  | { readonly type: 'limiter.dequeued'; readonly strategy: string; readonly duration: number }
  | {
      readonly type: 'limiter.rejected';
      readonly strategy: string;
      readonly reason: LimiterRejection;
      readonly limit: number;
      readonly inFlight: number;
      readonly waiting: number;
    };

/** A throttle refused a call. */
export interface ThrottleEvent {
  readonly type: 'throttle.rejected';
  readonly strategy: string;
  /** Probability with which a call was refused. */
  readonly rejectionRatio: number;
}

/** A timeout cut a call short. */
export interface TimeoutEvent {
  readonly type: 'timeout.expired';
  readonly strategy: string;
  /** Milliseconds the call was given. */
  readonly duration: number;
}

/** A fallback answered. */
export interface FallbackEvent {
  readonly type: 'fallback.used';
  readonly strategy: string;
  readonly error: unknown;
}

/** What a cache does. `age` is that of the answer, in milliseconds. */
export type CacheEvent =
  | { readonly type: 'cache.hit'; readonly strategy: string; readonly age: number }
  | { readonly type: 'cache.miss'; readonly strategy: string }
  | {
      readonly type: 'cache.stale';
      readonly strategy: string;
      readonly age: number;
      /** Whether it is asked for anew meanwhile, or stands for an answer that could not be had. */
      readonly reason: 'revalidate' | 'error';
    }
  | { readonly type: 'cache.stored'; readonly strategy: string; readonly duration: number }
  | {
      readonly type: 'cache.revalidation-failed';
      readonly strategy: string;
      readonly error: unknown;
    };

/** A call shares the flight of one before it. */
export interface CoalesceEvent {
  readonly type: 'coalesce.joined';
  readonly strategy: string;
  /** Calls that wait for the flight, this one included. */
  readonly waiting: number;
}

/** Why an endpoint was ejected. */
export type EndpointEjectionReason = 'consecutive-failures' | 'success-rate' | 'failure-share';

/** What happens to the endpoints of a failover. */
export type EndpointEvent =
  | {
      /** An endpoint was found to be an outlier, and is left out for `delay` ms; where `enforced` is false it is only told. */
      readonly type: 'endpoint.ejected';
      readonly strategy: string;
      readonly endpoint: string;
      readonly reason: EndpointEjectionReason;
      /** How long it stays out at least, in ms. */
      readonly delay: number;
      readonly enforced: boolean;
    }
  | { readonly type: 'endpoint.returned'; readonly strategy: string; readonly endpoint: string }
  /** Its health check failed too often, or passes again. */
  | {
      readonly type: 'endpoint.unhealthy';
      readonly strategy: string;
      readonly endpoint: string;
      readonly error: unknown;
    }
  | { readonly type: 'endpoint.healthy'; readonly strategy: string; readonly endpoint: string }
  /** An endpoint could not take a call, which goes on to another one at once. */
  | {
      readonly type: 'endpoint.skipped';
      readonly strategy: string;
      readonly endpoint: string;
      readonly error: unknown;
    }
  /** Work that only one endpoint can do at a time goes to another one from now on. */
  | {
      readonly type: 'failover.moved';
      readonly strategy: string;
      /** Where it went before; `undefined` if nowhere. */
      readonly from: string | undefined;
      readonly to: string;
    }
  /** Too few endpoints are left: calls go to all of them, whatever is known of them; or that is over. */
  | {
      readonly type: 'failover.panicked' | 'failover.recovered';
      readonly strategy: string;
      /** Endpoints that are neither ejected nor unhealthy. */
      readonly available: number;
    };

/** Why a partition is not consumed from for a while. */
export type ConsumerPauseReason =
  /** A layer refused its message: the circuit is open, the bulkhead full. */
  | 'refused'
  /** Its message failed, and is handled again. */
  | 'failed'
  /** Its message comes from a retry topic, and is not due yet. */
  | 'not-due'
  /** Its message was given up, and could not be sent on. */
  | 'undelivered';

/** What becomes of a consumer's messages and partitions; `name` is the topic. No event carries a key, a value or a header. */
export type ConsumerEvent =
  | {
      readonly type: 'consumer.paused';
      readonly strategy: string;
      readonly partition: number;
      readonly reason: ConsumerPauseReason;
      /** How long it is left alone, in ms; `Infinity` until somebody resumes it. */
      readonly delay: number;
    }
  | { readonly type: 'consumer.resumed'; readonly strategy: string; readonly partition: number }
  | {
      /** Sent on to a retry topic. */
      readonly type: 'message.retried';
      readonly strategy: string;
      /** Topic that it was sent to. */
      readonly to: string;
      /** When it is handled again, in ms from now. */
      readonly delay: number;
      /** How often its handler has run, all topics together. */
      readonly attempts: number;
      readonly error: unknown;
    }
  | {
      /** Sent to a dead-letter topic. */
      readonly type: 'message.dead-lettered';
      readonly strategy: string;
      /** Topic that it was sent to. */
      readonly to: string;
      /** How often its handler has run, all topics together. */
      readonly attempts: number;
      readonly error: unknown;
    }
  | {
      /** It could not be handled, and its dead letter is refused for good. */
      readonly type: 'message.undeliverable';
      readonly strategy: string;
      /** Topic that does not take it; `undefined` if none could be named. */
      readonly to: string | undefined;
      /** How often its handler has run, all topics together. */
      readonly attempts: number;
      /** Whether it was passed over, and is lost; its partition waits with it otherwise. */
      readonly skipped: boolean;
      /** Why the topic does not take it. */
      readonly error: unknown;
    };

/** What a layer hands to `call.emit`. */
export type ResilienceEventInput =
  | CallEvent
  | RetryEvent
  | HedgeEvent
  | CircuitEvent
  | BulkheadEvent
  | RateLimitEvent
  | LimiterEvent
  | ThrottleEvent
  | TimeoutEvent
  | FallbackEvent
  | CoalesceEvent
  | CacheEvent
  | EndpointEvent
  | ConsumerEvent
  | WorkerEvent;

/** Everything that happens in a pipeline. */
export type ResilienceEvent = ResilienceEventInput & ResilienceEventBase;

/** Names of the events. */
export type ResilienceEventType = ResilienceEvent['type'];

/**
 * Hears events. Must not throw: what it throws is reported and otherwise ignored.
 *
 * `call` is the same object for all events of one call, by which to know them: timers and queues are shared,
 * so an event may be told in the async context of another call. It is left out where no call caused the event.
 */
export type ResilienceListener = (event: ResilienceEvent, call?: object) => void;
