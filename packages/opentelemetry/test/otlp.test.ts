import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { bulkhead, circuitBreaker, pipeline, retry } from '@resil/core';
import { instruments } from '@resil/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attemptSpan, instrument, metricProducer } from '../src/index.js';
import { OtlpReceiver, type ReceivedMetric } from './otlp-receiver.js';

describe('over OTLP', () => {
  let receiver: OtlpReceiver;
  let meters: MeterProvider;
  let tracers: BasicTracerProvider;

  beforeAll(async () => {
    receiver = await OtlpReceiver.start();
    const exporter = new OTLPMetricExporter({ url: `${receiver.url}/v1/metrics` });
    const hour = 3_600_000;
    meters = new MeterProvider({
      readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: hour })],
    });
    const spans = new OTLPTraceExporter({ url: `${receiver.url}/v1/traces` });
    tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });
  afterAll(async () => {
    context.disable();
    await meters?.shutdown();
    await tracers?.shutdown();
    await receiver?.close();
  });

  it('brings metrics and spans as a receiver decodes them', async () => {
    const tracer = tracers.getTracer('test');
    const orders = pipeline(
      'orders',
      retry({ name: 'again', maxAttempts: 2, baseDelay: 1 }),
      circuitBreaker({ name: 'db', failureThreshold: 2, resetTimeout: 60_000 }),
      bulkhead({ name: 'slots', maxConcurrentCalls: 7, maxQueueSize: 3 }),
      attemptSpan({ name: 'insert', tracer }),
    );
    const stop = instrument({
      pipelines: [orders],
      meter: meters.getMeter('@resil/opentelemetry'),
    });
    await tracer.startActiveSpan('request', async (span) => {
      await orders.execute(async () => 'row');
      const down = Object.assign(new Error('password=hunter2'), { code: 'ECONNREFUSED' });
      await orders.execute(() => Promise.reject(down)).catch(() => {});
      span.end();
    });
    await meters.forceFlush();
    await tracers.forceFlush();
    stop();

    expect(receiver.scopes).toEqual(new Set(['@resil/opentelemetry', 'test']));
    const metric = (name: string) => {
      const found = receiver.metrics.find((one) => one.name === name);
      if (found === undefined) throw new Error(`${name} was not received`);
      return found;
    };
    const duration = metric('resil.call.duration');
    expect(duration).toMatchObject({ kind: 'histogram', unit: 's' });
    expect(duration.points.map(({ attributes, count }) => ({ ...attributes, count }))).toEqual([
      { 'resil.pipeline': 'orders', 'resil.outcome': 'succeeded', count: 1 },
      {
        'resil.pipeline': 'orders',
        'resil.outcome': 'failed',
        'error.type': 'ECONNREFUSED',
        count: 1,
      },
    ]);
    expect(duration.points[0]?.bounds).toEqual(instruments.callDuration.buckets);
    expect(metric('resil.circuit.transitions')).toMatchObject({
      kind: 'sum',
      monotonic: true,
      points: [{ value: 1, attributes: { 'resil.state': 'open', 'resil.strategy': 'db' } }],
    });
    const state = metric('resil.circuit.state');
    expect(state.kind).toBe('gauge');
    const states = state.points.map(({ attributes, value }) => [attributes['resil.state'], value]);
    expect(Object.fromEntries(states)).toEqual({ closed: 0, open: 1, 'half-open': 0, isolated: 0 });
    expect(metric('resil.concurrency.limit').points[0]?.value).toBe(7);
    expect(metric('resil.queue.limit').points[0]?.value).toBe(3);

    expect(receiver.spans.map(({ name, status }) => `${name} ${status}`).sort()).toEqual([
      'insert 0',
      'insert 2',
      'insert 2',
      'request 0',
    ]);
    const request = receiver.spans.find(({ name }) => name === 'request');
    expect(request?.events.map(({ name }) => name)).toEqual([
      'resil.retry.scheduled',
      'resil.circuit.opened',
      'resil.retry.exhausted',
    ]);
    expect(request?.events[0]?.attributes).toEqual({
      'error.type': 'ECONNREFUSED',
      'resil.pipeline': 'orders',
      'resil.strategy': 'again',
      'resil.attempt': 1,
      'resil.delay': expect.any(Number),
    });
    const attempts = receiver.spans.filter(({ name }) => name === 'insert');
    expect(attempts.map(({ parent }) => parent)).toEqual(attempts.map(() => request?.id));
    expect(JSON.stringify([receiver.metrics, receiver.spans])).not.toContain('hunter2');
    expect(trace.getActiveSpan()).toBeUndefined();
  });

  it('brings the same metrics from a producer as from a meter', async () => {
    const quotes = pipeline('quotes', retry({ maxAttempts: 2, baseDelay: 1 }), bulkhead());
    const producer = metricProducer({ pipelines: [quotes] });
    const hour = 3_600_000;
    const provider = (path: string, producers: (typeof producer)[]) =>
      new MeterProvider({
        readers: [
          new PeriodicExportingMetricReader({
            exporter: new OTLPMetricExporter({ url: `${receiver.url}${path}` }),
            exportIntervalMillis: hour,
            metricProducers: producers,
          }),
        ],
      });
    const produced = provider('/v1/metrics', [producer]);
    const recorded = provider('/v1/metrics', []);
    const stop = instrument({ pipelines: [quotes], meter: recorded.getMeter('meter') });
    await quotes.execute(async ({ attempt }) => {
      if (attempt === 1) throw new Error('down');
    });
    const received: ReceivedMetric[][] = [];
    for (const one of [produced, recorded]) {
      receiver.metrics.length = 0;
      await one.forceFlush();
      received.push(receiver.metrics.map(comparable));
    }
    expect(received[0]?.length).toBeGreaterThan(5);
    expect(received[0]).toEqual(expect.arrayContaining(received[1] ?? []));
    expect(received[1]).toEqual(expect.arrayContaining(received[0] ?? []));
    stop();
    producer.stop();
    await Promise.all([produced.shutdown(), recorded.shutdown()]);
  });
});

/** Durations are those of two clocks that were read one after the other. */
function comparable(metric: ReceivedMetric): ReceivedMetric {
  const points = metric.points.map(({ attributes, count, bounds, value }) => ({
    attributes,
    count,
    bounds,
    value: metric.unit === 's' ? undefined : value,
    sum: 0,
    buckets: [],
  }));
  return { ...metric, points };
}
