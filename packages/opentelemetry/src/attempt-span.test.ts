import { context, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { pipeline, retry } from '@resil/core';
import { describeLayerContract, VirtualClock } from '@resil/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attemptSpan } from './attempt-span.js';

const exporter = new InMemorySpanExporter();
let tracer: Tracer;

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  tracer = new BasicTracerProvider({ spanProcessors }).getTracer('test');
});
afterAll(() => context.disable());
beforeEach(() => exporter.reset());

describeLayerContract({
  runner: { describe, it },
  name: 'attemptSpan',
  create: () => attemptSpan(),
  refuses: [
    [() => attemptSpan({ name: '' }), /attemptSpan\.name/],
    [() => attemptSpan({ tracer: {} as Tracer }), /attemptSpan\.tracer must be a tracer/],
  ],
});

describe('attemptSpan', () => {
  it('makes a span of each attempt, active while it runs, child of the span of the call', async () => {
    const clock = new VirtualClock();
    const quotes = pipeline(
      'quotes',
      retry({ maxAttempts: 2, baseDelay: 50, clock }),
      attemptSpan({ name: 'quote', tracer }),
    );
    const active: (string | undefined)[] = [];
    const call = tracer.startActiveSpan('request', async (span) => {
      const answer = await quotes.execute(
        async ({ attempt }) => {
          active.push(trace.getActiveSpan()?.spanContext().spanId);
          if (attempt === 1) throw Object.assign(new Error('hunter2'), { code: 'EDOWN' });
          return 'answer';
        },
        { name: 'GET /quotes' },
      );
      span.end();
      return answer;
    });
    expect(await clock.runUntilSettled(call)).toBe('answer');
    const [first, second, request] = exporter.getFinishedSpans();
    expect([first?.name, second?.name, request?.name]).toEqual(['quote', 'quote', 'request']);
    expect([first, second].map((span) => span?.spanContext().spanId)).toEqual(active);
    const parent = request?.spanContext().spanId;
    expect([first, second].map((span) => span?.parentSpanContext?.spanId)).toEqual([
      parent,
      parent,
    ]);
    expect(first?.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(first?.attributes).toEqual({
      'error.type': 'EDOWN',
      'resil.attempt': 1,
      'resil.call_name': 'GET /quotes',
    });
    expect(second?.status.code).toBe(SpanStatusCode.UNSET);
    expect(second?.attributes['resil.attempt']).toBe(2);
    expect(first?.events).toEqual([]);
  });

  it('is described as any other layer', () => {
    const layer = attemptSpan({ name: 'quote' });
    expect(pipeline(layer).describe().layers).toEqual([
      { type: 'attemptSpan', name: 'quote', options: {}, state: {}, counters: { spans: 0 } },
    ]);
  });
});
