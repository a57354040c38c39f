// What holds for calls of all four kinds, each against a real server.
import { type EventEmitter, getEventListeners } from 'node:events';
import {
  type Client,
  status as codes,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import { bulkhead, CircuitBreaker, pipeline } from '@resil/core';
import { type GrpcService, inventoryService, startGrpcService } from '@resil/testbed';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { classify, resilient } from '../src/index.js';
import { connect, getStock, type Inventory, off, until } from './inventory.js';

type Failure = (ServiceError & { cause?: unknown }) | null;

/** A call that was begun. */
interface Begun {
  /** What it failed with, or `null`. */
  readonly end: Promise<Failure>;
  cancel(): void;
}
type Begin = (client: Inventory, options?: object) => Begun;

interface AnyCall {
  cancel(): void;
}

/** A call that ends with a callback. */
function byCallback(begin: (done: (error: unknown) => void) => AnyCall): Begun {
  let call: AnyCall | undefined;
  const end = new Promise<Failure>((resolve) => {
    call = begin((error) => resolve(error as Failure));
  });
  return { end, cancel: () => call?.cancel() };
}

/** A call that ends with an event. */
function byEvents(stream: AnyCall & EventEmitter): Begun {
  const end = new Promise<Failure>((resolve) => {
    stream.on('data', () => {});
    stream.on('error', resolve);
    stream.on('end', () => resolve(null));
  });
  return { end, cancel: () => stream.cancel() };
}

const kinds: [string, Begin][] = [
  [
    'unary',
    (client, options = {}) => byCallback((done) => client.getStock({ sku: 'a' }, options, done)),
  ],
  ['server stream', (client, options) => byEvents(client.listStock({ count: 3 }, options))],
  [
    'client stream',
    (client, options = {}) =>
      byCallback((done) => {
        const writing = client.restock(options, done);
        writing.write({ sku: 'a', quantity: 1 });
        writing.end();
        return writing;
      }),
  ],
  [
    'bidi',
    (client, options) => {
      const stream = client.track(options);
      stream.write({ sku: 'a' });
      stream.on('data', () => stream.end());
      return byEvents(stream);
    },
  ],
];

let service: GrpcService;
const open: Client[] = [];

beforeAll(async () => {
  service = await startGrpcService();
});
afterEach(() => {
  service.set();
  service.resetCounters();
  for (const client of open.splice(0)) client.close();
});
afterAll(() => service.stop());

function guarded(options: object, server: { readonly address: string } = service): Inventory {
  const client = connect(server);
  open.push(client);
  return resilient(client, options);
}

describe.each(kinds)('a call, %s', (_kind, begin) => {
  it('succeeds, and gives its permit back', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const view = guarded({ pipeline: () => pipeline(limit) });
    expect(await begin(view).end).toBeNull();
    await until('the permit is back', () => limit.running === 0);
    expect(await begin(view).end).toBeNull();
  });

  it('under a deadline that has passed sends nothing, on a connection that is there', async () => {
    const view = guarded(off);
    await getStock(view);
    service.resetCounters();
    for (const options of [
      { deadline: Date.now() - 1 },
      { deadline: new Date(0) },
      { resilience: { deadline: performance.now() - 1 } },
    ]) {
      expect(await begin(view, options).end).toMatchObject({
        code: codes.DEADLINE_EXCEEDED,
        cause: { code: 'RESIL_TIMEOUT' },
      });
    }
    // Whatever was sent before this one has arrived before it.
    await getStock(view);
    expect(service.counters().hits).toBe(1);
  });

  it('is ended by its signal, at the server too, and leaves nothing on the signal', async () => {
    const view = guarded(off);
    service.set({ hangRatio: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const { end } = begin(view, { resilience: { signal } });
    await until('the call is there', () => service.counters().hits === 1);
    controller.abort(new Error('the user has left'));
    expect(await end).toMatchObject({
      code: codes.CANCELLED,
      cause: { message: 'the user has left' },
    });
    await until('the server knows', () => service.counters().cancelled === 1);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('sends nothing when its signal is aborted already', async () => {
    const view = guarded(off);
    const signal = AbortSignal.abort(new Error('long gone'));
    expect(await begin(view, { resilience: { signal } }).end).toMatchObject({
      code: codes.CANCELLED,
      cause: { message: 'long gone' },
    });
    await getStock(view);
    expect(service.counters().hits).toBe(1);
  });

  it('ends with the server’s call that it is made for, and has its deadline', async () => {
    const view = guarded(off);
    const begun: Begun[] = [];
    const front = await startFront((call) => begun.push(begin(view, { parent: call })));
    service.set({ hangRatio: 1 });
    const user = connect(front);
    open.push(user);
    const deadline = Date.now() + 60_000;
    const call = user.getStock({ sku: 'a' }, { deadline }, () => {});
    await until('the inner call is there', () => service.counters().hits === 1);
    expect(service.calls.at(-1)?.deadline).toBeLessThanOrEqual(deadline + 1_000);
    call.cancel();
    expect(await begun[0]?.end).toMatchObject({
      code: codes.CANCELLED,
      details: 'Cancelled by parent call',
    });
    await until('the server knows', () => service.counters().cancelled === 1);
    front.stop();
  });

  it('counts when the server closes, not when its caller leaves; then it is refused', async () => {
    const closing = await startGrpcService({ faults: { hangRatio: 1 } });
    const breaker = new CircuitBreaker({ failureThreshold: 1, resetTimeout: 3_600_000 });
    const view = guarded({ pipeline: () => pipeline({ classify }, breaker) }, closing);
    const left = begin(view);
    await until('the call is there', () => closing.counters().hits === 1);
    left.cancel();
    expect(await left.end).toMatchObject({ message: '1 CANCELLED: Cancelled on client' });
    expect(breaker.state).toBe('closed');
    const { end } = begin(view);
    await until('the call is there', () => closing.counters().hits === 2);
    closing.stop();
    expect(await end).toMatchObject({ code: codes.CANCELLED, details: 'Call cancelled' });
    await until('the breaker knows', () => breaker.state === 'open');
    expect(await begin(view).end).toMatchObject({
      code: codes.UNAVAILABLE,
      cause: { code: 'RESIL_CIRCUIT_OPEN' },
    });
    expect(closing.counters().hits).toBe(2);
  });
});

describe('streams of the client', () => {
  it.each(kinds.slice(2))('%s: are cut at streamTimeout, at the server too', async (_, begin) => {
    const view = guarded({ ...off, streamTimeout: 1_000 });
    await getStock(view);
    service.set({ hangRatio: 1 });
    service.resetCounters();
    expect(await begin(view).end).toMatchObject({ code: codes.DEADLINE_EXCEEDED });
    // On a busy machine a call may be late before it is sent.
    await until('the server knows', () => service.counters().cancelled === service.counters().hits);
  });

  it('as a probe close the circuit with their first answer', async () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1, resetTimeout: 0, halfOpenCalls: 1 });
    const view = guarded({ pipeline: () => pipeline(breaker) });
    service.set({ statuses: [14] });
    const [, failing] = kinds[3] as [string, Begin];
    await failing(view).end;
    await until('the breaker knows', () => breaker.state === 'half-open');
    const stream = view.track();
    stream.on('error', () => {});
    stream.write({ sku: 'a' });
    await new Promise((resolve) => stream.once('data', resolve));
    expect(breaker.state).toBe('closed');
    stream.cancel();
  });
});

describe('a message that can’t be serialised', () => {
  const serialise = (): never => {
    throw new Error('no such field');
  };
  const read = (): undefined => undefined;
  const path = (method: string): string => `/shop.v1.Inventory/${method}`;
  const ways: [string, Begin][] = [
    [
      'server stream',
      (client) =>
        byEvents(client.makeServerStreamRequest(path('ListStock'), serialise, read, {}, {})),
    ],
    [
      'client stream',
      (client) =>
        byCallback((done) => {
          const writing = client.makeClientStreamRequest(path('Restock'), serialise, read, done);
          // The write fails as well, which Node tells apart from the call's end.
          writing.on('error', () => {});
          writing.write({});
          return writing;
        }),
    ],
    [
      'bidi',
      (client) => {
        const stream = client.makeBidiStreamRequest(path('Track'), serialise, read);
        stream.write({});
        return byEvents(stream);
      },
    ],
  ];

  it.each(ways)('%s: is its caller’s own fault', async (_, begin) => {
    const breaker = new CircuitBreaker({ failureThreshold: 1 });
    const limit = bulkhead({ maxConcurrentCalls: 1 });
    const view = guarded({ pipeline: () => pipeline({ classify }, breaker, limit) });
    expect(await begin(view).end).toMatchObject({
      code: codes.INTERNAL,
      details: 'Request message serialization failure: no such field',
    });
    await until('the permit is back', () => limit.running === 0);
    expect(breaker.state).toBe('closed');
  });
});

/** A service of the same methods in front, which answers nothing by itself. */
async function startFront(
  handle: (call: ServerUnaryCall<unknown, unknown>) => void,
): Promise<{ readonly address: string; stop(): void }> {
  const front = new Server();
  const none = (): void => {};
  front.addService(inventoryService, {
    GetStock: handle,
    Reserve: none,
    ListStock: none,
    Restock: none,
    Track: none,
  });
  const port = await new Promise<number>((resolve, reject) =>
    front.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { address: `127.0.0.1:${port}`, stop: () => front.forceShutdown() };
}
