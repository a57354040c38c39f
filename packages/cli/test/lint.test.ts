import { describe, expect, it } from 'vitest';
import { BadInputError, type Finding, type Inspection, lint, type Settings } from '../src/index.js';
import { sameLibrary } from '../src/lint/client-libraries.js';
import { Modules } from './modules.js';

const modules = new Modules();
const shown = (findings: readonly Finding[]): string[] =>
  findings.map(({ rule, place }) => `${rule}@${place}`);
const only = (rule: string, inspections: readonly Inspection[], settings?: Settings) =>
  lint(inspections, { rules: [rule], settings });

describe('lint', () => {
  describe('attempts', () => {
    it('multiplies retries, hedges and what the client repeats, but for what is bounded', async () => {
      const service = await modules.inspect(`
        import { hedge, pipeline, retry, retryBudget, circuitBreaker, timeout } from '@resil/core';
        const limit = () => timeout({ duration: 1_000 });
        const budget = retryBudget({ ratio: 0.1 });
        export const all = [
          pipeline('storm', limit(), retry({ maxAttempts: 4 }), hedge({ maxHedges: 1, budget: false })),
          pipeline('budgeted', limit(), retry({ maxAttempts: 40, budget })),
          pipeline('cut off', limit(), retry({ maxAttempts: 40 }), circuitBreaker({ failureThreshold: 5 })),
          pipeline('outside', limit(), circuitBreaker({ failureThreshold: 5 }), retry({ maxAttempts: 40 })),
          pipeline('observed', limit(), retry({ maxAttempts: 40 }), circuitBreaker({ failureThreshold: 5, mode: 'observe' })),
          pipeline('few', limit(), retry({ maxAttempts: 4 })),
          pipeline({ name: 'its own', dependency: { client: 'kafkajs', innerAttempts: 6 } }, limit()),
          pipeline('nested', limit(), retry({ maxAttempts: 3 }), pipeline('inner', retry({ maxAttempts: 3 }))),
        ];`);
      const found = only('retry-storm', [service]);
      expect(found.map(({ place, figures }) => [place, figures.attempts])).toEqual([
        ['storm', 8],
        ['outside', 40],
        ['observed', 40],
        ['nested', 9],
      ]);
      expect(shown(only('double-retry', [service]))).toEqual(['double-retry@nested']);
    });

    it('sees the retry policy of a gRPC channel, and one that DNS may bring', async () => {
      const service = await modules.inspect(`
        import { Client, credentials } from '@grpc/grpc-js';
        import { channelOptions, resilient } from '@resil/grpc';
        const make = (host, options) => new Client(host + ':50051', credentials.createInsecure(), options);
        const retryPolicy = { maxAttempts: 4, initialBackoff: '0.1s', maxBackoff: '1s', backoffMultiplier: 2, retryableStatusCodes: ['UNAVAILABLE'] };
        const config = JSON.stringify({ loadBalancingConfig: [], methodConfig: [{ name: [{}], retryPolicy }] });
        export const policy = resilient(make('policy', { 'grpc.service_config': config }), { name: 'policy' });
        export const dns = resilient(make('dns', {}), { name: 'dns' });
        export const once = resilient(make('dns', {}), { name: 'once', retry: false });
        export const good = resilient(make('good', channelOptions()), { name: 'good' });
      `);
      expect(only('double-retry', [service]).map(({ place, figures }) => [place, figures])).toEqual(
        [
          ['policy', { attempts: 12, layers: 2 }],
          ['dns', { attempts: 3, channel: 5 }],
        ],
      );
    });

    it('sees kafkajs repeat beneath a pipeline that repeats, and axios-retry beneath one of our own', async () => {
      const service = await modules.inspect(`
        import { pipeline, retry, timeout } from '@resil/core';
        import { resilient } from '@resil/kafkajs';
        import axios from 'axios';
        import axiosRetry from 'axios-retry';
        import { Kafka, logLevel } from 'kafkajs';
        const kafka = new Kafka({ brokers: ['localhost:1'], logLevel: logLevel.NOTHING });
        const repeated = () => pipeline('sends', timeout({ duration: 1_000 }), retry({ maxAttempts: 2 }));
        export const events = resilient(kafka, { name: 'events' });
        export const twice = resilient(kafka, { name: 'twice', pipeline: repeated });
        export const prices = axios.create({ baseURL: 'http://prices' });
        axiosRetry(prices);
        export const calls = pipeline({ name: 'prices', dependency: { client: 'axios' } }, timeout({ duration: 1_000 }), retry());
      `);
      expect(only('double-retry', [service]).map(({ place, figures }) => [place, figures])).toEqual(
        [
          ['twice', { attempts: 12, layers: 2 }],
          ['prices', { attempts: 12, client: 4 }],
        ],
      );
    });
  });

  describe('across services', () => {
    const service = (
      name: string,
      calls: string,
      options: string,
      extra = '',
    ): Promise<Inspection> =>
      modules.inspect(
        `import { pipeline, retry, timeout } from '@resil/core'; ${extra}
         export const calls = pipeline('${calls}', ${options});`,
        name,
      );
    const thrice =
      'timeout({ duration: 900 }), retry({ maxAttempts: 3 }), timeout({ duration: 200 })';

    it('multiplies the attempts along the calls', async () => {
      const chain = [
        await service('shop', 'orders', thrice),
        await service('orders', 'stock', thrice),
        await service('stock', 'db', thrice),
      ];
      const [found, ...others] = only('retry-storm', chain);
      expect(others).toEqual([]);
      expect(found).toMatchObject({
        service: 'shop',
        place: 'orders',
        figures: { attempts: 9, services: 2 },
      });
      expect(found?.why).toContain("3 of 'shop' for 'orders' × 3 of 'orders' for 'stock'");
    });

    it('leaves services alone that hand on who retries', async () => {
      const context = "import { installContext } from '@resil/context'; installContext();";
      const chain = [
        await service('shop', 'orders', thrice, context),
        await service('orders', 'stock', thrice, context),
        await service('stock', 'db', thrice, context),
      ];
      expect(only('retry-storm', chain)).toEqual([]);
      const repeats = thrice.replace('maxAttempts: 3', "maxAttempts: 3, whenNested: 'repeat'");
      chain[1] = await service('orders', 'stock', repeats, context);
      expect(shown(only('retry-storm', chain))).toEqual(['retry-storm@orders']);
    });

    it('compares what a service may take with what its callers wait', async () => {
      const shop = await service('shop', 'orders', thrice);
      const slow = await service('orders', 'db', 'timeout({ duration: 3_000 })');
      const quick = await service('orders', 'db', 'timeout({ duration: 200 })');
      const endless = await service('orders', 'db', 'retry()');
      const looped = await service('orders', 'db', 'retry(), timeout({ duration: 100 })');
      const figures = (callee: Inspection) =>
        only('cascading-timeout', [shop, callee]).map((finding) => finding.figures);
      expect(figures(slow)).toEqual([{ caller: 200, callee: 3_000 }]);
      expect(figures(quick)).toEqual([]);
      expect(figures(endless)).toEqual([{ caller: 200, callee: null }]);
      expect(figures(looped)).toEqual([{ caller: 200, callee: 300 }]);
    });

    it('goes by the settings, by a pipeline’s name or by its target to know who calls whom', async () => {
      const slow = await service('orders', 'db', 'timeout({ duration: 3_000 })');
      const byName = await service('shop', 'orders', thrice);
      const unknown = await service('shop', 'x', thrice);
      const byTarget = await modules.inspect(
        `import { pipeline, timeout } from '@resil/core';
         const dependency = { target: 'http://orders:8080' };
         export const calls = pipeline({ name: 'x', dependency }, timeout({ duration: 200 }));`,
        'shop',
      );
      expect(only('cascading-timeout', [byName, slow])).toHaveLength(1);
      expect(only('cascading-timeout', [byTarget, slow])).toHaveLength(1);
      expect(only('cascading-timeout', [unknown, slow])).toEqual([]);
      const calls = [{ from: 'shop', pipeline: 'x', to: 'orders' }];
      expect(only('cascading-timeout', [unknown, slow], { calls })).toHaveLength(1);
      expect(() => only('cascading-timeout', [slow], { calls })).toThrow(
        "the settings name a service 'shop' in calls; known are 'orders'",
      );
      const wrong = [{ from: 'shop', pipeline: 'y', to: 'orders' }];
      expect(() => only('cascading-timeout', [unknown, slow], { calls: wrong })).toThrow(
        "the settings name a pipeline 'y' of 'shop' in calls, which has 'x'",
      );
    });
  });

  describe('hidden dependencies', () => {
    it('tells the clients of every library that it knows, wherever they are among the exports', async () => {
      const service = await modules.inspect(`
        import { Client, credentials } from '@grpc/grpc-js';
        import { Kafka, logLevel } from 'kafkajs';
        import { Pool } from 'pg';
        const kafka = new Kafka({ brokers: ['localhost:1'], logLevel: logLevel.NOTHING });
        class Shop { db = new Pool({ host: 'db', database: 'shop' }); get never() { throw new Error('a getter ran'); } }
        export const shop = new Shop();
        export const clients = { list: [new Client('stock:1', credentials.createInsecure())], kafka, again: kafka };
        export const producers = new Map([['orders', kafka.producer()]]);
        export class Vendor { maxRetries = 2; request() {} }
        export const vendor = new Vendor();
      `);
      expect(service.clients.map(({ library, path, target }) => [library, path, target])).toEqual([
        ['Vendor', 'vendor', null],
        ['kafkajs', 'clients.kafka', null],
        ['kafkajs', 'producers.orders', null],
        ['pg', 'shop.db', 'db:5432/shop'],
        ['@grpc/grpc-js', 'clients.list.0', 'dns:stock:1'],
      ]);
      expect(only('hidden-dependency', [service])).toHaveLength(5);
    });

    it('tells libraries that are imported further in, and not those that a pipeline stands before', async () => {
      await modules.write("export { Pool } from 'pg';\nimport 'kafkajs';\n", 'inner/db.mjs');
      const service = await modules.inspect(`
        import './inner/db.mjs';
        import { pipeline, timeout } from '@resil/core';
        export const events = pipeline({ name: 'events', dependency: { client: 'kafkajs' } }, timeout());
      `);
      const [found, ...others] = only('hidden-dependency', [service]);
      expect(others).toEqual([]);
      expect(found).toMatchObject({ place: 'pg', figures: { files: 1 } });
      expect(found?.why).toMatch(/inner.db\.mjs/);
    });

    it('knows the client of an SDK and the import of its package for one library', async () => {
      const service = await modules.inspect(`
        import { pipeline, timeout } from '@resil/core';
        class SQSClient { config = { maxAttempts: async () => 3 }; middlewareStack = {}; send() {} }
        export const queue = new SQSClient();
        const dependency = { client: '@aws-sdk/client-sqs' };
        export const calls = pipeline({ name: 'queue', dependency }, timeout());
      `);
      const imports = [{ name: '@aws-sdk/client-sqs', files: ['queue.mjs'] }];
      expect(only('hidden-dependency', [{ ...service, imports }])).toEqual([]);
      const bare = { ...service, imports, pipelines: [] };
      expect(shown(only('hidden-dependency', [bare]))).toEqual(['hidden-dependency@queue']);
      expect(sameLibrary('pg', 'pg-promise')).toBe(false);
      expect(sameLibrary('OpenAI', 'openai')).toBe(true);
    });

    it('takes a pipeline of one’s own for the client that it names, and for no other', async () => {
      const service = await modules.inspect(`
        import { pipeline, timeout } from '@resil/core';
        import { Pool } from 'pg';
        export const shop = new Pool({ host: 'db', database: 'shop' });
        export const books = new Pool({ host: 'db', database: 'books' });
        export const calls = pipeline({ name: 'shop', dependency: { client: 'pg', target: 'db:5432/shop' } }, timeout());
      `);
      expect(shown(only('hidden-dependency', [service]))).toEqual(['hidden-dependency@books']);
    });
  });

  it('looks at keyed pipelines by one of them, and at the endpoints of a failover', async () => {
    const service = await modules.inspect(`
      import { circuitBreaker, failover, keyed, pipeline, timeout } from '@resil/core';
      export const shards = keyed((key) => pipeline({ name: 'shards', key }, circuitBreaker({ failureThreshold: 1 })));
      const layers = () => [timeout({ duration: 900 })];
      export const stores = pipeline('stores', timeout({ duration: 100 }), failover({ endpoints: ['a', 'b'], layers }));
      export const strict = keyed((key) => { if (key !== 'a') throw new Error('no shard ' + key); return pipeline(); }, { name: 'strict' });
    `);
    expect(shown(lint([service]))).toEqual(['cascading-timeout@stores', 'no-timeout@shards']);
    expect(service.pipelines.map(({ exportedAs, keyed }) => [exportedAs, keyed])).toEqual([
      ['shards', true],
      ['stores', false],
    ]);
    expect(service.notes).toEqual([
      "the keyed pipelines 'strict' could not be looked at: making one for the key 'sample' failed (no shard sample)",
    ]);
  });

  it('takes what the settings say of dependencies', async () => {
    const service = await modules.inspect(`
      import { circuitBreaker, pipeline, timeout } from '@resil/core';
      export const db = pipeline('db', circuitBreaker({ failureThreshold: 5, resetTimeout: 1_000 }), timeout());
    `);
    expect(lint([service])).toEqual([]);
    const settings = { dependencies: { db: { critical: true, restartDuration: 4_000 } } };
    expect(lint([service], { settings }).map(({ rule, figures }) => [rule, figures])).toEqual([
      ['reset-before-restart', { resetTimeout: 1_000, restartDuration: 4_000, rounds: 3 }],
      ['no-fallback', { answers: 0 }],
    ]);
  });

  it('leaves out what is ignored, by rule or by rule and place', async () => {
    const service = await modules.inspect(`
      import { circuitBreaker, pipeline } from '@resil/core';
      export const a = pipeline('a', circuitBreaker({ failureThreshold: 5 }));
      export const b = pipeline('b', circuitBreaker({ failureThreshold: 5 }));
    `);
    expect(shown(lint([service]))).toEqual(['no-timeout@a', 'no-timeout@b']);
    expect(shown(lint([service], { ignore: ['no-timeout@a'] }))).toEqual(['no-timeout@b']);
    expect(lint([service], { settings: { ignore: ['no-timeout'] } })).toEqual([]);
    expect(() => lint([service], { ignore: ['no-time@a'] })).toThrow(BadInputError);
  });
});
