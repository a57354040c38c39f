/** What an event says, as measurements. One row for each type of event. */
import type { ResilienceEvent, ResilienceEventType } from '@resil/core';
import type { CircuitTimes } from './circuit-times.js';
import type { Recorder } from './recorder.js';
import { shownErrorType } from './shown-values.js';

/** An event of one type. */
export type EventOf<Type extends ResilienceEventType> = ResilienceEvent & { readonly type: Type };

type Measure<Type extends ResilienceEventType> = (
  event: EventOf<Type>,
  recorder: Recorder,
  circuits: CircuitTimes,
) => void;

/** Adds what an event says to the measurements. */
export function measureEvent(
  event: ResilienceEvent,
  recorder: Recorder,
  circuits: CircuitTimes,
): void {
  // Of a newer core, an event may be one that nothing is known of.
  const measure = measures[event.type] as Measure<ResilienceEventType> | undefined;
  measure?.(event, recorder, circuits);
}

const FIRST = ['first'];
const RETRY = ['retry'];
const HEDGE = ['hedge'];
const SUCCEEDED = ['succeeded', undefined];

/** Says nothing that is not told otherwise. */
const nothing = (): void => {};

const measures: { readonly [Type in ResilienceEventType]: Measure<Type> } = {
  'call.started': (event, to) => to.count('attempts', event, FIRST),
  'call.succeeded': (event, to) =>
    to.record('callDuration', event, SUCCEEDED, seconds(event.duration)),
  'call.failed': ended('failed'),
  'call.rejected': ended('rejected'),
  'call.aborted': (event, to) =>
    // Whatever the caller aborted with is the caller's.
    to.record('callDuration', event, ['aborted', undefined], seconds(event.duration)),
  'retry.scheduled': (event, to) => {
    const values = [event.strategy, shownErrorType(event.errorType)];
    to.record('retryDelay', event, values, seconds(event.delay));
    to.count('attempts', event, RETRY);
  },
  'retry.exhausted': (event, to) =>
    to.count('retriesExhausted', event, [event.strategy, event.reason]),
  'budget.exhausted': (event, to) =>
    to.count('budgetExhausted', event, [event.strategy, event.wanted, event.reason]),
  'hedge.started': (event, to) => to.count('attempts', event, HEDGE),
  'hedge.won': (event, to) => to.count('hedgeResults', event, [event.strategy, 'won']),
  'hedge.lost': (event, to) => to.count('hedgeResults', event, [event.strategy, 'lost']),
  'circuit.opened': changed('open'),
  'circuit.half-opened': changed('half-open'),
  'circuit.closed': changed('closed'),
  'circuit.isolated': changed('isolated'),
  'circuit.rejected': (event, to, circuits) => {
    circuits.seen(event, event.strategy);
    refused(event, to, 'circuit_breaker', event.state);
  },
  'bulkhead.queued': nothing,
  'bulkhead.dequeued': waited('bulkhead'),
  'bulkhead.rejected': (event, to) => refused(event, to, 'bulkhead', event.reason),
  'rate-limit.queued': nothing,
  'rate-limit.dequeued': waited('rate_limiter'),
  'rate-limit.rejected': (event, to) => refused(event, to, 'rate_limiter', event.reason),
  'rate-limit.slowed': (event, to) => to.count('rateSlowed', event, [event.strategy, event.reason]),
  'limiter.limit-changed': (event, to) =>
    to.count('limitChanges', event, [event.strategy, event.reason]),
  'limiter.queued': nothing,
  'limiter.dequeued': waited('adaptive_limiter'),
  'limiter.rejected': (event, to) => refused(event, to, 'adaptive_limiter', event.reason),
  'throttle.rejected': (event, to) => refused(event, to, 'throttle', 'throttled'),
  'timeout.expired': (event, to) => to.count('timeouts', event, [event.strategy]),
  'fallback.used': (event, to) =>
    to.count('fallbacks', event, [event.strategy, shownErrorType(event.errorType)]),
  'coalesce.joined': (event, to) => to.count('coalesced', event, [event.strategy]),
  'cache.hit': (event, to) => to.count('cacheRequests', event, [event.strategy, 'hit']),
  'cache.miss': (event, to) => to.count('cacheRequests', event, [event.strategy, 'miss']),
  'cache.stale': (event, to) => to.count('cacheRequests', event, [event.strategy, 'stale']),
  'cache.stored': (event, to) => to.count('cacheStored', event, [event.strategy]),
  'cache.revalidation-failed': (event, to) =>
    to.count('cacheFailures', event, [event.strategy, shownErrorType(event.errorType)]),
  'endpoint.ejected': (event, to) => {
    const mode = event.enforced ? 'enforce' : 'observe';
    to.count('ejections', event, [event.strategy, event.endpoint, event.reason, mode]);
  },
  'endpoint.returned': endpointIs('returned'),
  'endpoint.unhealthy': endpointIs('unhealthy'),
  'endpoint.healthy': endpointIs('healthy'),
  'endpoint.skipped': (event, to) => {
    const values = [event.strategy, event.endpoint, shownErrorType(event.errorType)];
    to.count('endpointsSkipped', event, values);
  },
  'failover.moved': (event, to) => to.count('failoverMoves', event, [event.strategy, event.to]),
  'failover.panicked': (event, to) =>
    to.count('failoverPanics', event, [event.strategy, 'panicked']),
  'failover.recovered': (event, to) =>
    to.count('failoverPanics', event, [event.strategy, 'recovered']),
  'consumer.paused': (event, to) => {
    const values = [event.strategy, event.name, 'paused', event.reason];
    to.count('consumerChanges', event, values);
  },
  'consumer.resumed': (event, to) =>
    to.count('consumerChanges', event, [event.strategy, event.name, 'resumed', undefined]),
  'message.retried': sentOn('retried'),
  'message.dead-lettered': sentOn('dead-lettered'),
  'message.undeliverable': sentOn('undeliverable'),
  'worker.started': (event, to) =>
    to.count('threadChanges', event, [event.strategy, 'started', undefined]),
  'worker.ended': (event, to) =>
    to.count('threadChanges', event, [event.strategy, 'ended', event.reason]),
};

function ended(outcome: 'failed' | 'rejected') {
  return (event: EventOf<'call.failed' | 'call.rejected'>, to: Recorder): void => {
    const values = [outcome, shownErrorType(event.errorType)];
    to.record('callDuration', event, values, seconds(event.duration));
  };
}

function refused(
  event: ResilienceEvent & { readonly strategy: string },
  to: Recorder,
  layer: string,
  reason: string,
): void {
  to.count('refusals', event, [layer, event.strategy, reason, modeOf(event)]);
}

function waited(layer: string) {
  return (
    event: EventOf<'bulkhead.dequeued' | 'rate-limit.dequeued' | 'limiter.dequeued'>,
    to: Recorder,
  ): void => to.record('queueDuration', event, [layer, event.strategy], seconds(event.duration));
}

function changed(state: 'open' | 'half-open' | 'closed' | 'isolated') {
  return (
    event: EventOf<
      'circuit.opened' | 'circuit.half-opened' | 'circuit.closed' | 'circuit.isolated'
    >,
    to: Recorder,
    circuits: CircuitTimes,
  ): void => {
    to.count('circuitTransitions', event, [event.strategy, state, event.reason, modeOf(event)]);
    circuits.changed(event, event.strategy, state);
  };
}

function endpointIs(state: 'returned' | 'unhealthy' | 'healthy') {
  return (
    event: EventOf<'endpoint.returned' | 'endpoint.unhealthy' | 'endpoint.healthy'>,
    to: Recorder,
  ): void => to.count('endpointChanges', event, [event.strategy, event.endpoint, state]);
}

type GivenUp = 'retried' | 'dead-lettered' | 'undeliverable';

function sentOn(outcome: GivenUp) {
  return (event: EventOf<`message.${GivenUp}`>, to: Recorder): void => {
    const values = [event.strategy, event.name, outcome, shownErrorType(event.errorType)];
    to.count('messages', event, values);
  };
}

function modeOf({ observed }: ResilienceEvent): 'enforce' | 'observe' {
  return observed === true ? 'observe' : 'enforce';
}

function seconds(milliseconds: number): number {
  return milliseconds / 1_000;
}
