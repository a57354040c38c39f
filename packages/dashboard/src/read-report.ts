/**
 * What another process reports, read strictly: nothing that is not of the protocol comes in, nothing is
 * longer than what is shown, and a body that is malformed is refused as a whole.
 */
import type { CircuitState } from '@resil/core';
import { MAX_TEXT } from './event-digest.js';
import { circuitStates, MAX_PARTS } from './layer-samples.js';
import {
  type BreakerSample,
  type BudgetSample,
  type CallRates,
  type ControlRequest,
  type EventSample,
  type LatencySample,
  type LimitSample,
  type PipelineSample,
  type ProcessReport,
  protocolVersion,
} from './protocol.js';

/** Bytes of a report at most. */
export const MAX_REPORT = 2_000_000;
/** Bytes of a request to a circuit. */
export const MAX_CONTROL = 4_000;

/** Rows of a process, keys of a row, events of a report, fields of an event at most. */
export const MAX_ROWS = 1_000;
export const MAX_KEYS = 200;
const MAX_EVENTS = 1_000;
const MAX_DETAILS = 40;

/** A body that is not of the protocol; the message says where. */
export class MalformedError extends Error {
  constructor(where: string, rule: string) {
    super(`'${where}' must be ${rule}`);
    this.name = 'MalformedError';
  }
}

/** @throws {@link MalformedError} */
export function readReport(body: string): ProcessReport {
  const report = recordOf(parsed(body), 'report');
  if (report.protocol !== protocolVersion)
    throw new MalformedError('protocol', `${protocolVersion}: both need the same major version`);
  return {
    protocol: protocolVersion,
    instance: textOf(report.instance, 'instance'),
    name: textOf(report.name, 'name'),
    pid: countOf(report.pid, 'pid'),
    interval: Math.min(numberOf(report.interval, 'interval'), 3_600_000),
    control: report.control === true,
    ending: report.ending === true,
    hidden: countOf(report.hidden, 'hidden'),
    pipelines: listOf(report.pipelines, 'pipelines', MAX_ROWS, (row, at) => rowOf(row, at, true)),
    events: listOf(report.events, 'events', MAX_EVENTS, eventOf),
  };
}

/** @throws {@link MalformedError} */
export function readControl(body: string): ControlRequest {
  return controlOf(parsed(body), 'request');
}

/** @throws {@link MalformedError} */
export function controlOf(value: unknown, at: string): ControlRequest {
  const { pipeline, breaker, name, action } = recordOf(value, at);
  if (action !== 'isolate' && action !== 'reset')
    throw new MalformedError(`${at}.action`, "'isolate' or 'reset'");
  return {
    pipeline: textOf(pipeline, `${at}.pipeline`),
    breaker: countOf(breaker, `${at}.breaker`),
    name: textOf(name, `${at}.name`),
    action,
  };
}

function rowOf(value: unknown, at: string, withKeys: boolean): PipelineSample {
  const row = recordOf(value, at);
  const { kind } = row;
  if (kind !== 'pipeline' && kind !== 'keyed' && kind !== 'key')
    throw new MalformedError(`${at}.kind`, "'pipeline', 'keyed' or 'key'");
  return {
    id: textOf(row.id, `${at}.id`),
    kind,
    name: orNull(row.name, (name) => textOf(name, `${at}.name`)),
    key: orNull(row.key, (key) => textOf(key, `${at}.key`)),
    target: orNull(row.target, (target) => textOf(target, `${at}.target`)),
    state: orNull(row.state, (state) => stateOf(state, `${at}.state`)),
    inFlight: numberOf(row.inFlight, `${at}.inFlight`),
    waiting: numberOf(row.waiting, `${at}.waiting`),
    rates: ratesOf(row.rates, `${at}.rates`),
    latency: orNull(row.latency, (latency) => latencyOf(latency, `${at}.latency`)),
    breakers: listOf(row.breakers, `${at}.breakers`, MAX_PARTS, breakerOf),
    limits: listOf(row.limits, `${at}.limits`, MAX_PARTS, limitOf),
    budgets: listOf(row.budgets, `${at}.budgets`, MAX_PARTS, budgetOf),
    keys: withKeys ? orNull(row.keys, (keys) => keysOf(keys, `${at}.keys`)) : null,
  };
}

function keysOf(value: unknown, at: string): PipelineSample['keys'] {
  const { known, shown } = recordOf(value, at);
  return {
    known: countOf(known, `${at}.known`),
    shown: listOf(shown, `${at}.shown`, MAX_KEYS, (row, place) => rowOf(row, place, false)),
  };
}

function ratesOf(value: unknown, at: string): CallRates {
  const rates = recordOf(value, at);
  return {
    succeeded: numberOf(rates.succeeded, `${at}.succeeded`),
    failed: numberOf(rates.failed, `${at}.failed`),
    rejected: numberOf(rates.rejected, `${at}.rejected`),
    aborted: numberOf(rates.aborted, `${at}.aborted`),
    retried: numberOf(rates.retried, `${at}.retried`),
  };
}

function latencyOf(value: unknown, at: string): LatencySample {
  const { p50, p95, p99 } = recordOf(value, at);
  return {
    p50: numberOf(p50, `${at}.p50`),
    p95: numberOf(p95, `${at}.p95`),
    p99: numberOf(p99, `${at}.p99`),
  };
}

function breakerOf(value: unknown, at: string): BreakerSample {
  const breaker = recordOf(value, at);
  return {
    index: countOf(breaker.index, `${at}.index`),
    name: textOf(breaker.name, `${at}.name`),
    state: stateOf(breaker.state, `${at}.state`),
    since: numberOf(breaker.since, `${at}.since`),
    openings: countOf(breaker.openings, `${at}.openings`),
    nextProbeAt: orNull(breaker.nextProbeAt, (time) => numberOf(time, `${at}.nextProbeAt`)),
  };
}

function limitOf(value: unknown, at: string): LimitSample {
  const limit = recordOf(value, at);
  const numberIn = (name: string) =>
    orNull(limit[name], (number) => numberOf(number, `${at}.${name}`));
  return {
    type: textOf(limit.type, `${at}.type`),
    name: textOf(limit.name, `${at}.name`),
    running: numberIn('running'),
    limit: numberIn('limit'),
    waiting: numberIn('waiting'),
    maxWaiting: numberIn('maxWaiting'),
    rejectionRatio: numberIn('rejectionRatio'),
  };
}

function budgetOf(value: unknown, at: string): BudgetSample {
  const { type, name, left, refused } = recordOf(value, at);
  return {
    type: textOf(type, `${at}.type`),
    name: textOf(name, `${at}.name`),
    left: numberOf(left, `${at}.left`),
    refused: countOf(refused, `${at}.refused`),
  };
}

function eventOf(value: unknown, at: string): EventSample {
  const event = recordOf(value, at);
  const details = Object.entries(recordOf(event.details, `${at}.details`));
  if (details.length > MAX_DETAILS)
    throw new MalformedError(`${at}.details`, `at most ${MAX_DETAILS} fields`);
  return {
    id: countOf(event.id, `${at}.id`),
    at: numberOf(event.at, `${at}.at`),
    pipeline: textOf(event.pipeline, `${at}.pipeline`),
    type: textOf(event.type, `${at}.type`),
    key: orNull(event.key, (key) => textOf(key, `${at}.key`)),
    strategy: orNull(event.strategy, (strategy) => textOf(strategy, `${at}.strategy`)),
    count: countOf(event.count, `${at}.count`),
    details: Object.fromEntries(
      details.map(([name, detail]) => [textOf(name, at), detailOf(detail, `${at}.details`)]),
    ),
  };
}

function detailOf(value: unknown, at: string): string | number | boolean {
  if (typeof value === 'boolean') return value;
  return typeof value === 'string' ? textOf(value, at) : numberOf(value, at);
}

function stateOf(value: unknown, at: string): CircuitState {
  if (circuitStates.includes(value as CircuitState)) return value as CircuitState;
  throw new MalformedError(at, `one of '${circuitStates.join("', '")}'`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new MalformedError('body', 'JSON');
  }
}

function recordOf(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new MalformedError(at, 'an object');
}

function listOf<T>(
  value: unknown,
  at: string,
  most: number,
  read: (entry: unknown, at: string) => T,
): readonly T[] {
  if (Array.isArray(value) && value.length <= most)
    return value.map((entry, index) => read(entry, `${at}[${index}]`));
  throw new MalformedError(at, `a list of at most ${most}`);
}

function textOf(value: unknown, at: string): string {
  if (typeof value === 'string' && value.length <= MAX_TEXT) return value;
  throw new MalformedError(at, `a text of at most ${MAX_TEXT} characters`);
}

function numberOf(value: unknown, at: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new MalformedError(at, 'a number');
}

function countOf(value: unknown, at: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new MalformedError(at, 'a whole number of at least 0');
}

function orNull<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === null ? null : read(value);
}
