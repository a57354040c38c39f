import { context, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import {
  bulkhead,
  circuitBreaker,
  fallback,
  type Pipeline,
  pipeline,
  retry,
  timeout,
} from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { instrument } from './instrument.js';

let clock: VirtualClock;
let exporter: InMemorySpanExporter;
let tracer: Tracer;
let stop: () => void;

beforeEach(() => {
  clock = new VirtualClock();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  tracer = new BasicTracerProvider({ spanProcessors }).getTracer('test');
});
afterEach(() => {
  stop();
  context.disable();
});

function start(one: Pipeline, maxKeys = 0): void {
  stop = instrument({ pipelines: [one], meter: false, maxKeys });
}

/** Runs work in a span of its own. */
function within(name: string, work: () => Promise<unknown>): Promise<unknown> {
  return tracer.startActiveSpan(name, async (span) => {
    await work().catch(() => {});
    span.end();
  });
}

function eventsOf(name: string): readonly string[] {
  const span = exporter.getFinishedSpans().find((one) => one.name === name);
  return (span?.events ?? []).map((event) => event.name);
}

const silence = (): Promise<never> => new Promise(() => {});

describe('span events', () => {
  it('stand on the span of the call that they are of, whoever else is told at the time', async () => {
    const orders = pipeline(
      { name: 'orders', clock },
      fallback(() => 'old'),
      circuitBreaker({ failureThreshold: 2, resetTimeout: 60_000, clock }),
      bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 }),
      timeout({ duration: 100 }),
    );
    start(orders);
    // One timer serves all deadlines: it was set by the first call, and ends the second as well.
    const all = ['first', 'second', 'third'].map((name) =>
      within(name, () => orders.execute(silence)),
    );
    await clock.runUntilSettled(Promise.all(all));
    expect(eventsOf('first')).toEqual(['resil.timeout.expired', 'resil.fallback.used']);
    expect(eventsOf('second')).toEqual([
      'resil.bulkhead.queued',
      'resil.bulkhead.dequeued',
      'resil.timeout.expired',
      'resil.circuit.opened',
      'resil.fallback.used',
    ]);
    expect(eventsOf('third')).toEqual(['resil.bulkhead.rejected', 'resil.fallback.used']);
  });

  it('say what belongs to them, and nothing of the call itself', async () => {
    const quotes = pipeline(
      'quotes',
      retry({ maxAttempts: 2, baseDelay: 50, jitter: 'none', clock }),
    );
    start(quotes);
    const error = Object.assign(new Error('hunter2'), { code: 'EDOWN' });
    const options = { key: 'tenant-7', name: 'GET /quotes' };
    const call = within('request', () => quotes.execute(() => Promise.reject(error), options));
    await clock.runUntilSettled(call);
    const [span] = exporter.getFinishedSpans();
    expect(span?.events.map(({ attributes }) => attributes)).toEqual([
      {
        'error.type': 'EDOWN',
        'resil.pipeline': 'quotes',
        'resil.call_name': 'GET /quotes',
        'resil.strategy': 'retry',
        'resil.attempt': 1,
        'resil.delay': 50,
      },
      {
        'error.type': 'EDOWN',
        'resil.pipeline': 'quotes',
        'resil.call_name': 'GET /quotes',
        'resil.strategy': 'retry',
        'resil.attempt': 2,
        'resil.reason': 'attempts',
        'resil.delays': [50],
      },
    ]);
    expect(JSON.stringify(span?.events)).not.toMatch(/hunter2|tenant-7/);
  });

  it('say the key where keys are shown', async () => {
    const quotes = pipeline(
      'quotes',
      fallback(() => 'old'),
    );
    start(quotes, 1);
    await within('request', () =>
      quotes.execute(() => Promise.reject(new Error()), { key: 'shard-7' }),
    );
    const [span] = exporter.getFinishedSpans();
    expect(span?.events[0]?.attributes).toMatchObject({ 'resil.key': 'shard-7' });
  });

  it('are left out where no span is active, or none that is recorded', async () => {
    const quotes = pipeline(
      'quotes',
      fallback(() => 'old'),
    );
    start(quotes);
    expect(await quotes.execute(() => Promise.reject(new Error()))).toBe('old');
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
