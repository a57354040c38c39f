// Each row of the table in `src/classify.ts`, provoked against a real server or a real lack of one.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { status as codes } from '@grpc/grpc-js';
import { observe, type Verdict } from '@resil/core';
import {
  type GrpcFaults,
  type GrpcService,
  startGrpcProcess,
  startGrpcService,
} from '@resil/testbed';
import { type FaultProxy, faultProxy } from '@resil/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classify, resilient } from '../src/index.js';
import { connect, failureOf, getStock, type Inventory, off, thrice, until } from './inventory.js';

let service: GrpcService;
const clients: Inventory[] = [];

beforeAll(async () => {
  service = await startGrpcService();
});
afterAll(() => {
  for (const client of clients) client.close();
  service.stop();
});

/** A client whose outcomes are seen, each with what it was taken for. */
function watched(address: { readonly address: string }, idempotent: boolean, options: object = {}) {
  const client = connect(address);
  clients.push(client);
  const verdicts: Verdict[] = [];
  const view = resilient(client, {
    ...off,
    idempotent,
    circuitBreaker: {
      failureThreshold: 1_000,
      classify: (outcome, call) => {
        const verdict = classify(outcome, call) as Verdict;
        verdicts.push(verdict);
        return verdict;
      },
    },
    ...options,
  });
  return { view, verdicts };
}

async function verdictOf(faults: GrpcFaults, idempotent = true): Promise<Verdict> {
  const { view, verdicts } = watched(service, idempotent);
  service.set(faults);
  await failureOf(getStock(view));
  service.set();
  return verdicts[0] as Verdict;
}

describe('classify', () => {
  describe('what the server said', () => {
    const { CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED } = codes;
    const { INTERNAL, UNAVAILABLE, DATA_LOSS } = codes;
    const rows: [number, Verdict['kind'], 'idempotent' | 'never'][] = [
      [UNAVAILABLE, 'failure', 'idempotent'],
      [CANCELLED, 'failure', 'idempotent'],
      [DEADLINE_EXCEEDED, 'failure', 'idempotent'],
      [RESOURCE_EXHAUSTED, 'ignored', 'never'],
      [ABORTED, 'success', 'never'],
      [UNKNOWN, 'failure', 'never'],
      [INTERNAL, 'failure', 'never'],
      [DATA_LOSS, 'failure', 'never'],
      ...[
        codes.INVALID_ARGUMENT,
        codes.NOT_FOUND,
        codes.ALREADY_EXISTS,
        codes.PERMISSION_DENIED,
        codes.FAILED_PRECONDITION,
        codes.OUT_OF_RANGE,
        codes.UNIMPLEMENTED,
        codes.UNAUTHENTICATED,
      ].map((code): [number, 'success', 'never'] => [code, 'success', 'never']),
    ];
    for (const [code, kind, repeat] of rows) {
      it(`${codes[code]}: ${kind}, repeated ${repeat}`, async () => {
        expect(await verdictOf({ statusRatio: 1, status: code })).toEqual({
          kind,
          repeat: repeat === 'idempotent',
        });
        expect((await verdictOf({ statusRatio: 1, status: code }, false)).repeat).toBe(false);
      });
    }
  });

  describe('what the server said about waiting', () => {
    const pushback = (text: string): GrpcFaults => ({
      statusRatio: 1,
      trailers: { 'grpc-retry-pushback-ms': text },
    });

    it('pushback of at least 0 is the wait', async () => {
      expect(await verdictOf(pushback('300'))).toEqual({
        kind: 'failure',
        repeat: true,
        retryAfter: 300,
      });
    });

    it.each(['-1', 'x', '1.5', '99999999999'])('pushback %s ends the retries', async (text) => {
      expect(await verdictOf(pushback(text))).toEqual({ kind: 'failure', repeat: false });
    });

    it('RESOURCE_EXHAUSTED with pushback or RetryInfo is repeated, whatever the method', async () => {
      const status = codes.RESOURCE_EXHAUSTED;
      const limited = { ...pushback('20'), status };
      expect(await verdictOf(limited, false)).toEqual({
        kind: 'ignored',
        repeat: true,
        retryAfter: 20,
      });
      // google.rpc.Status { code: 8, details: [Any(RetryInfo { retry_delay: 1.5 s })] }
      const trailers = { 'grpc-status-details-bin': retryInfoBytes().toString('base64') };
      expect(await verdictOf({ statusRatio: 1, status, trailers }, false)).toEqual({
        kind: 'ignored',
        repeat: true,
        retryAfter: 1_500,
      });
    });

    it('is obeyed: the retry waits as long as the server asked', async () => {
      const client = connect(service);
      clients.push(client);
      const delays: number[] = [];
      const stop = observe((event) => {
        if (event.type === 'retry.scheduled' && event.pipeline === 'pushback')
          delays.push(event.delay);
      });
      const view = resilient(client, { ...thrice, name: 'pushback' });
      service.set({ ...pushback('40'), statusRatio: 0, statuses: [14, 0] });
      await getStock(view);
      stop();
      service.set();
      expect(delays).toEqual([40]);
    });

    it('is obeyed: a server that asks not to be asked again is not', async () => {
      const client = connect(service);
      clients.push(client);
      const view = resilient(client, thrice);
      for (const text of ['-1', 'x']) {
        service.set(pushback(text));
        service.resetCounters();
        expect((await failureOf(getStock(view))).code).toBe(codes.UNAVAILABLE);
        expect(service.counters().hits).toBe(1);
      }
      service.set();
    });
  });

  describe('what no server has seen', () => {
    const notSent = { kind: 'failure', repeat: true };

    it('a refused connection, and the call after it in the backoff', async () => {
      const { view, verdicts } = watched({ address: '127.0.0.1:1' }, false);
      const first = await failureOf(getStock(view));
      expect(first.details).toMatch(/^No connection established/);
      await failureOf(getStock(view));
      expect(verdicts).toEqual([notSent, notSent]);
    });

    it('a name that does not resolve', async () => {
      const { view, verdicts } = watched({ address: 'dns:///does-not-exist.invalid:1' }, false);
      expect((await failureOf(getStock(view))).details).toMatch(/^Name resolution failed/);
      expect(verdicts).toEqual([notSent]);
    });

    it('a peer that speaks HTTP/1', async () => {
      const server = http.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const { view, verdicts } = watched({ address: `127.0.0.1:${port}` }, false);
      expect((await failureOf(getStock(view))).details).toMatch(/^No connection established/);
      expect(verdicts).toEqual([notSent]);
      server.close();
    });

    it('a stream that the server refused (REFUSED_STREAM)', async () => {
      const server = http2.createServer().listen(0, '127.0.0.1');
      server.on('stream', (stream) => {
        stream.on('error', () => {});
        stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      });
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const { view, verdicts } = watched({ address: `127.0.0.1:${port}` }, false);
      expect((await failureOf(getStock(view))).details).toBe('Stream refused by server');
      expect(verdicts).toEqual([notSent]);
      for (const client of clients.splice(0)) client.close();
      server.close();
    });

    it('a deadline that passed while there was no connection', async () => {
      // Accepts and says nothing: the connection is never ready.
      const silent = createServer().listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      const { view, verdicts } = watched({ address: `127.0.0.1:${port}` }, false, {
        attemptTimeout: 1_000,
      });
      const error = await failureOf(getStock(view));
      expect(error.code).toBe(codes.DEADLINE_EXCEEDED);
      expect(verdicts).toEqual([notSent]);
      for (const client of clients.splice(0)) client.close();
      silent.close();
    });
  });

  describe('what may have been processed', () => {
    let proxy: FaultProxy;
    const maybe = { kind: 'failure', repeat: false };
    beforeAll(async () => {
      proxy = await faultProxy({ target: { port: service.port } });
    });
    afterAll(() => proxy.close());

    it('a connection that is reset in the middle of a call', async () => {
      const { view, verdicts } = watched({ address: `127.0.0.1:${proxy.port}` }, false);
      await getStock(view);
      service.set({ hangRatio: 1 });
      const before = service.counters().hits;
      const failed = failureOf(getStock(view));
      await until('the call is there', () => service.counters().hits > before);
      proxy.resetConnections();
      expect((await failed).code).toBe(codes.UNAVAILABLE);
      service.set();
      expect(verdicts.at(-1)).toEqual(maybe);
    });

    it('a connection that is closed in an orderly way in the middle of a call', async () => {
      const pairs: [Socket, Socket][] = [];
      const relay = createServer({ allowHalfOpen: true }, (socket) => {
        const upstream = createConnection(service.port, '127.0.0.1');
        pairs.push([socket, upstream]);
        for (const end of [socket, upstream]) end.on('error', () => {});
        socket.pipe(upstream).pipe(socket, { end: false });
      }).listen(0, '127.0.0.1');
      await once(relay, 'listening');
      const { port } = relay.address() as AddressInfo;
      const { view, verdicts } = watched({ address: `127.0.0.1:${port}` }, false);
      service.set({ hangRatio: 1 });
      const before = service.counters().hits;
      const failed = failureOf(getStock(view));
      await until('the call is there', () => service.counters().hits > before);
      // A FIN, and nothing else.
      for (const [socket] of pairs) socket.end();
      const error = await failed;
      expect([error.code, error.details]).toEqual([codes.UNAVAILABLE, 'Connection dropped']);
      service.set();
      expect(verdicts.at(-1)).toEqual(maybe);
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      relay.close();
    });

    it('a deadline of a call that was sent', async () => {
      const { view, verdicts } = watched(service, false, { attemptTimeout: 2_000 });
      await getStock(view);
      service.set({ hangRatio: 1 });
      expect((await failureOf(getStock(view))).code).toBe(codes.DEADLINE_EXCEEDED);
      service.set();
      expect(verdicts.at(-1)).toEqual(maybe);
    });

    it('CANCELLED by a server that closes is its failure, and repeated only if that is harmless', async () => {
      for (const idempotent of [false, true]) {
        const closing = await startGrpcService({ faults: { hangRatio: 1 } });
        const { view, verdicts } = watched(closing, idempotent);
        const failed = failureOf(getStock(view));
        await until('the call is there', () => closing.counters().hits === 1);
        closing.stop();
        const error = await failed;
        expect([error.code, error.details]).toEqual([codes.CANCELLED, 'Call cancelled']);
        expect(verdicts).toEqual([{ kind: 'failure', repeat: idempotent }]);
      }
    });

    it('a server whose process was killed', async () => {
      const killed = await startGrpcProcess({ faults: { hangRatio: 1 } });
      const { view, verdicts } = watched(killed, false);
      const failed = failureOf(getStock(view));
      await until('the call is there', async () => (await killed.counters()).hits === 1);
      await killed.kill();
      expect((await failed).code).toBe(codes.UNAVAILABLE);
      expect(verdicts).toEqual([maybe]);
    });

    it('a server that drains ends what runs, and the next call is not sent', async () => {
      const draining = await startGrpcService({ faults: { latency: 200 } });
      const { view, verdicts } = watched(draining, false);
      const running = getStock(view);
      await until('the call is there', () => draining.counters().hits === 1);
      const drained = draining.drain();
      expect((await running).available).toBe(7);
      await drained;
      await failureOf(getStock(view));
      expect(verdicts.at(-1)).toEqual({ kind: 'failure', repeat: true });
    });
  });

  describe("what is the caller's own", () => {
    it('a cancelled call is no failure of the server', async () => {
      const client = connect(service);
      clients.push(client);
      const view = resilient(client, { ...off, circuitBreaker: { failureThreshold: 1 } });
      service.set({ hangRatio: 1 });
      const error = await new Promise<Error & { code?: number }>((resolve) => {
        const call = view.getStock({ sku: 'a' }, (failure) => resolve(failure as Error));
        setTimeout(() => call.cancel(), 20);
      });
      service.set();
      expect(error.message).toBe('1 CANCELLED: Cancelled on client');
      expect((await getStock(view)).available).toBe(7);
    });

    it('a message that can not be serialised', async () => {
      const { view, verdicts } = watched(service, true);
      const failed = new Promise<Error>((resolve) =>
        view.makeUnaryRequest(
          '/shop.v1.Inventory/GetStock',
          () => {
            throw new Error('no such field');
          },
          () => undefined,
          {},
          (error) => resolve(error as Error),
        ),
      );
      expect((await failed).message).toBe(
        '13 INTERNAL: Request message serialization failure: no such field',
      );
      expect(verdicts).toEqual([{ kind: 'ignored', repeat: false }]);
    });
  });
});

/** google.rpc.Status with a RetryInfo of 1.5 s among its details. */
function retryInfoBytes(): Buffer {
  const field = (number: number, bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
  const duration = Buffer.from([0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]);
  const type = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');
  const any = Buffer.concat([field(1, type), field(2, field(1, duration))]);
  return Buffer.concat([Buffer.from([0x08, 8]), field(3, any)]);
}
