import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { VirtualClock } from '@resil/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ContextOptions, currentContext, grpcContext } from '../src/index.js';

const json = {
  requestSerialize: (value: unknown) => Buffer.from(JSON.stringify(value ?? null)),
  requestDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString()),
  responseSerialize: (value: unknown) => Buffer.from(JSON.stringify(value ?? null)),
  responseDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString()),
};
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  ...json,
});
const service = {
  unary: method('unary', false, false),
  serverStream: method('serverStream', false, true),
  clientStream: method('clientStream', true, false),
  bidi: method('bidi', true, true),
} satisfies ServiceDefinition;
type Kind = keyof typeof service;
const kinds = Object.keys(service) as Kind[];

/** Told what a handler of each kind sees where it begins, and when a message or the end arrives. */
function handlers(told: (kind: Kind, at: string) => void): UntypedServiceImplementation {
  return {
    unary: (_call: unknown, callback: (error: null, value: unknown) => void) => {
      told('unary', 'start');
      setImmediate(() => {
        told('unary', 'later');
        callback(null, 'done');
      });
    },
    serverStream: (call: { write(value: unknown): void; end(): void }) => {
      told('serverStream', 'start');
      call.write('done');
      call.end();
    },
    clientStream: (
      call: NodeJS.ReadableStream,
      callback: (error: null, value: unknown) => void,
    ) => {
      told('clientStream', 'start');
      call.on('data', () => told('clientStream', 'message'));
      call.on('end', () => {
        told('clientStream', 'end');
        callback(null, 'done');
      });
    },
    bidi: (call: NodeJS.ReadableStream & { write(value: unknown): void; end(): void }) => {
      told('bidi', 'start');
      call.on('data', () => told('bidi', 'message'));
      call.on('end', () => {
        told('bidi', 'end');
        call.write('done');
        call.end();
      });
    },
  };
}

async function start(told: (kind: Kind, at: string) => void, options?: ContextOptions) {
  const server = new Server({ interceptors: [grpcContext(options)] });
  server.addService(service, handlers(told));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
  });
  return {
    call: (kind: Kind, context?: string, deadline?: Date, more?: Record<string, string>) =>
      invoke(client, kind, context, deadline, more),
  };
}

/** The answer of a call of either kind. */
function invoke(
  client: Client,
  kind: Kind,
  context?: string,
  deadline?: Date,
  more: Record<string, string> = {},
): Promise<unknown> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(more)) metadata.set(name, value);
  if (context !== undefined) metadata.set('resil-context', context);
  const options = deadline === undefined ? {} : { deadline };
  const { path, requestSerialize: write, responseDeserialize: read } = service[kind];
  return new Promise((resolve, reject) => {
    const answered = (error: Error | null, value: unknown): void =>
      error === null ? resolve(value) : reject(error);
    const listen = (stream: ClientReadableStream<unknown>): void => {
      stream.on('data', resolve);
      stream.on('error', reject);
    };
    if (kind === 'unary')
      client.makeUnaryRequest(path, write, read, 1, metadata, options, answered);
    else if (kind === 'serverStream')
      listen(client.makeServerStreamRequest(path, write, read, 1, metadata, options));
    else {
      const stream =
        kind === 'bidi'
          ? client.makeBidiStreamRequest(path, write, read, metadata, options)
          : client.makeClientStreamRequest(path, write, read, metadata, options, answered);
      if (kind === 'bidi') listen(stream as never);
      stream.on('error', reject);
      stream.write(1);
      stream.end();
    }
  });
}

describe.each(kinds)('a handler of a %s call', (kind) => {
  it('runs within what the call brought, from its start to its end', async () => {
    const seen: unknown[] = [];
    const clock = new VirtualClock({ now: 1_000 });
    const server = await start((_kind, at) => seen.push([at, currentContext()]), { clock });
    const deadline = new Date(Date.now() + 60_000);
    expect(await server.call(kind, 'priority=5, retried', deadline)).toBe('done');
    const context = { priority: 5, retried: true, clock, deadline: expect.any(Number) };
    const places = {
      unary: ['start', 'later'],
      serverStream: ['start'],
      clientStream: ['start', 'message', 'end'],
      bidi: ['start', 'message', 'end'],
    }[kind];
    expect(seen).toEqual(places.map((at) => [at, context]));
    // What the client had, less its way here.
    const { deadline: left } = (seen[0] as [string, { deadline: number }])[1];
    expect(left).toBeGreaterThan(1_000);
    expect(left).toBeLessThanOrEqual(61_100);
  });

  it('has a context of its own where the call brought nothing, or nothing to be believed', async () => {
    const seen: unknown[] = [];
    const server = await start((_kind, at) => at === 'start' && seen.push(currentContext()), {
      trust: (headers) => headers['resil-context'] === undefined,
    });
    await server.call(kind);
    await server.call(kind, 'priority=9, retried');
    expect(seen).toEqual([{}, {}]);
  });

  it('may be believed by any metadata of the call', async () => {
    const seen: unknown[] = [];
    const asked: unknown[] = [];
    const server = await start((_kind, at) => at === 'start' && seen.push(currentContext()), {
      trust: (headers) => {
        asked.push([headers['x-peer'], headers['resil-context']]);
        return headers['x-peer'] === 'ours';
      },
    });
    await server.call(kind, 'priority=9', undefined, { 'x-peer': 'ours' });
    await server.call(kind, 'priority=9', undefined, { 'x-peer': 'theirs' });
    expect(seen).toEqual([{ priority: 9 }, {}]);
    expect(asked).toEqual([
      ['ours', 'priority=9'],
      ['theirs', 'priority=9'],
    ]);
  });

  it('does not run once the deadline has passed', async () => {
    const told = vi.fn();
    const late = new Date(0);
    // Over a connection that stands grpc-js sends a call that is late before it begins.
    const server = await start(told);
    await server.call(kind);
    told.mockClear();
    for (let round = 0; round < 10; round++) {
      await expect(server.call(kind, undefined, late)).rejects.toMatchObject({ code: 4 });
    }
    expect(told).not.toHaveBeenCalled();
    expect(await server.call(kind)).toBe('done');
  });

  it('has no more time than maxDuration', async () => {
    const seen: unknown[] = [];
    const clock = new VirtualClock();
    const server = await start(() => seen.push(currentContext()?.deadline), {
      clock,
      maxDuration: 2_000,
    });
    await server.call(kind, undefined, new Date(Date.now() + 60_000));
    expect(new Set(seen)).toEqual(new Set([2_000]));
  });
});

describe('grpcContext', () => {
  it('refuses bad options', () => {
    expect(() => grpcContext({ maxDuration: -1 })).toThrow('grpcContext.maxDuration');
  });
});
