import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CallOptions, InvalidOptionError, type StandardOptions, standard } from '@resil/core';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type AdapterContract,
  type AdapterContractOptions,
  type AdapterFault,
  describeAdapterContract,
} from '../src/index.js';

/** The smallest client that there is to protect, and its adapter. */
type Client = (options?: CallOptions) => Promise<string>;

class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;

  constructor(code: number) {
    super(`status ${code}`);
    this.code = code;
  }
}

const clientOf =
  (port: number): Client =>
  (options) =>
    new Promise((resolve, reject) => {
      const signal = options?.signal;
      const request = get(
        { port, host: '127.0.0.1', agent: false },
        async (response: IncomingMessage) => {
          response.resume();
          if (response.statusCode === 200) resolve('quote');
          else reject(new StatusError(response.statusCode ?? 0));
        },
      );
      const abort = (): void => {
        request.destroy();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort);
      request.on('error', reject);
      request.on('close', () => signal?.removeEventListener('abort', abort));
    });

function resilient(client: Client, options?: AdapterContractOptions): Client {
  if (typeof client !== 'function') {
    throw new InvalidOptionError('target', client, 'must be a client');
  }
  const pipeline = standard(options as StandardOptions);
  return (call) => pipeline.execute(({ signal }) => client({ signal }), call);
}

class QuoteServer {
  fault: AdapterFault = 'none';
  requests = 0;
  readonly #server: Server = createServer((_, response) => {
    this.requests += 1;
    if (this.fault === 'hang') return;
    response.statusCode = this.fault === 'failure' ? 503 : 200;
    response.end('quote');
  });

  async listen(): Promise<this> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const adapter: Omit<AdapterContract<QuoteServer, Client>, 'runner'> = {
  name: 'a minimal adapter',
  start: () => new QuoteServer().listen(),
  stop: (server) => server.close(),
  target: (server) => clientOf(server.port),
  resilient,
  call: (target, options) => target(options),
  failWith: (server, fault) => {
    server.fault = fault;
  },
  received: (server) => server.requests,
};

describeAdapterContract({ ...adapter, runner: { describe, it, afterAll } });

describe('describeAdapterContract', () => {
  /** Runs one test of the suite over an adapter and tells whether it fails. */
  async function fails(
    name: string,
    broken: Partial<AdapterContract<QuoteServer, Client>>,
  ): Promise<boolean> {
    const tests = new Map<string, () => void | Promise<void>>();
    const ends: (() => void | Promise<void>)[] = [];
    describeAdapterContract({
      ...adapter,
      ...broken,
      runner: {
        describe: (_, body) => body(),
        it: (test, body) => tests.set(test, body),
        afterAll: (body) => ends.push(body),
      },
    });
    const run = Promise.resolve().then(tests.get(name));
    const failed = await run.then(
      () => false,
      () => true,
    );
    for (const end of ends) await end();
    return failed;
  }

  it.each<[string, AdapterContract<QuoteServer, Client>['resilient'], string]>([
    [
      'wraps errors',
      (target, options) => {
        const guarded = resilient(target, options);
        return (call) =>
          guarded(call).catch((cause) => Promise.reject(new Error('wrapped', { cause })));
      },
      'gives the error of an unprotected call after maxAttempts attempts',
    ],
    [
      'changes values',
      (target, options) => {
        const guarded = resilient(target, options);
        return async (call) => `${await guarded(call)}!`;
      },
      'gives the value of an unprotected call',
    ],
    [
      'sends aborted calls',
      (target, options) => {
        const guarded = resilient(target, options);
        return (call) => {
          if (call?.signal?.aborted) void target().catch(() => {});
          return guarded(call);
        };
      },
      'sends nothing when the signal is aborted already',
    ],
    [
      'leaves listeners',
      (target, options) => {
        const guarded = resilient(target, options);
        return (call) => {
          call?.signal?.addEventListener('abort', () => {});
          return guarded(call);
        };
      },
      "leaves no listener on the caller's signal",
    ],
    [
      'takes any option',
      (target) => resilient(target),
      'is refused with the option, the value and the rule',
    ],
    [
      'takes any target',
      (target, options) => (typeof target === 'function' ? resilient(target, options) : target),
      'a target that is not what the adapter wraps is refused',
    ],
  ])('finds an adapter that %s', async (_, broken, name) => {
    expect(await fails(name, { resilient: broken })).toBe(true);
    expect(await fails(name, {})).toBe(false);
  });
});
