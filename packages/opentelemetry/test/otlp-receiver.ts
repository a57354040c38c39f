/** An OTLP receiver: an HTTP server that decodes what exporters send, by the messages of the protocol. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import protobuf from 'protobufjs';

/** The part of opentelemetry-proto 1.x that is looked at. */
const PROTO = `
syntax = "proto3";
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message KeyValue { string key = 1; AnyValue value = 2; }
message Scope { string name = 1; string version = 2; }
message NumberPoint { fixed64 start = 2; fixed64 time = 3; oneof value { double as_double = 4; sfixed64 as_int = 6; } repeated KeyValue attributes = 7; }
message HistogramPoint { fixed64 start = 2; fixed64 time = 3; fixed64 count = 4; double sum = 5; repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; repeated KeyValue attributes = 9; }
message Gauge { repeated NumberPoint points = 1; }
message Sum { repeated NumberPoint points = 1; int32 temporality = 2; bool monotonic = 3; }
message Histogram { repeated HistogramPoint points = 1; int32 temporality = 2; }
message Metric { string name = 1; string description = 2; string unit = 3; oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; } }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message ResourceMetrics { repeated ScopeMetrics scopes = 2; }
message Metrics { repeated ResourceMetrics resources = 1; }
message Event { fixed64 time = 1; string name = 2; repeated KeyValue attributes = 3; }
message Status { string message = 2; int32 code = 3; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6; repeated KeyValue attributes = 9; repeated Event events = 11; Status status = 15; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message ResourceSpans { repeated ScopeSpans scopes = 2; }
message Traces { repeated ResourceSpans resources = 1; }
`;

const { root } = protobuf.parse(PROTO);

type Attributes = Readonly<Record<string, unknown>>;

/** A point of a metric, as it was received. */
export interface ReceivedPoint {
  readonly attributes: Attributes;
  /** Of a gauge or a sum. */
  readonly value: number | undefined;
  /** Of a histogram. */
  readonly count: number;
  readonly sum: number;
  readonly buckets: readonly number[];
  readonly bounds: readonly number[];
}

/** A metric, as it was received. */
export interface ReceivedMetric {
  readonly name: string;
  readonly unit: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  readonly monotonic: boolean;
  readonly points: readonly ReceivedPoint[];
}

/** A span, as it was received. */
export interface ReceivedSpan {
  readonly name: string;
  readonly id: string;
  readonly parent: string;
  readonly attributes: Attributes;
  readonly status: number;
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
}

/** A running receiver. */
export class OtlpReceiver {
  readonly #server: Server;
  readonly metrics: ReceivedMetric[] = [];
  readonly spans: ReceivedSpan[] = [];
  /** Names of the scopes that were received. */
  readonly scopes: Set<string> = new Set<string>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        if (request.headers['content-type'] !== 'application/x-protobuf') response.statusCode = 415;
        else if (request.url === '/v1/metrics') this.#takeMetrics(body);
        else if (request.url === '/v1/traces') this.#takeSpans(body);
        else response.statusCode = 404;
        response.setHeader('content-type', 'application/x-protobuf').end();
      });
    });
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #takeMetrics(body: Uint8Array): void {
    for (const { scope, metrics } of scopesOf('Metrics', body)) {
      this.scopes.add(scope.name);
      this.metrics.push(...(metrics as Wire[]).map(metricOf));
    }
  }

  #takeSpans(body: Uint8Array): void {
    for (const { scope, spans } of scopesOf('Traces', body)) {
      this.scopes.add(scope.name);
      this.spans.push(...(spans as Wire[]).map(spanOf));
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what was decoded has the shape of the messages above
type Wire = any;

function scopesOf(type: string, body: Uint8Array): Wire[] {
  const message = root.lookupType(type);
  const decoded: Wire = message.toObject(message.decode(body), {
    longs: Number,
    bytes: String,
    arrays: true,
    defaults: false,
  });
  return decoded.resources.flatMap((resource: Wire) => resource.scopes);
}

function metricOf(metric: Wire): ReceivedMetric {
  const kind = (['gauge', 'sum', 'histogram'] as const).find((one) => metric[one] !== undefined);
  if (kind === undefined) throw new Error(`${metric.name} is of a kind that is not known`);
  return {
    name: metric.name,
    unit: metric.unit ?? '',
    kind,
    monotonic: metric.sum?.monotonic === true,
    points: metric[kind].points.map((point: Wire) => ({
      attributes: attributesOf(point.attributes),
      value: point.asDouble ?? point.asInt,
      count: point.count ?? 0,
      sum: point.sum ?? 0,
      buckets: point.bucketCounts ?? [],
      bounds: point.explicitBounds ?? [],
    })),
  };
}

function spanOf(span: Wire): ReceivedSpan {
  return {
    name: span.name,
    id: span.spanId,
    parent: span.parentSpanId ?? '',
    attributes: attributesOf(span.attributes),
    status: span.status?.code ?? 0,
    events: span.events.map((event: Wire) => ({
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
  };
}

function attributesOf(attributes: Wire[]): Attributes {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value as object)[0]]),
  );
}
