import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from './postgres.js';
import { gone } from './process-tree.js';

describe('startPostgres', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ maxConnections: 7 });
  });
  afterAll(() => server?.close());

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client(server.connection);
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  it('keeps what was committed, and the port, through a SIGKILL', async () => {
    const client = await connect();
    await client.query('create table kept (n int)');
    await client.query('insert into kept values (7)');
    const { port } = server;
    await server.kill();
    expect(server.pid).toBeUndefined();
    await server.start();
    expect(server.port).toBe(port);
    const again = await connect();
    expect((await again.query('select n from kept')).rows).toEqual([{ n: 7 }]);
    expect((await again.query('show max_connections')).rows).toEqual([{ max_connections: '7' }]);
    await again.end();
  });

  it('freezes and goes on', async () => {
    const client = await connect();
    await server.pause();
    const answer = client.query('select 1 as one').then(({ rows }) => rows);
    const first = await Promise.race([
      answer,
      new Promise((done) => setTimeout(done, 100, 'silence')),
    ]);
    expect(first).toBe('silence');
    server.resume();
    expect(await answer).toEqual([{ one: 1 }]);
    await client.end();
  });

  it.each(['smart', 'fast', 'immediate'] as const)('restarts after a %s stop', async (mode) => {
    await server.restart(mode);
    const client = await connect();
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  it('has a standby that streams, takes no writes, and can be promoted', async () => {
    const standby = await startPostgres({ standbyOf: server });
    try {
      const client = await connect();
      await client.query('create table streamed (n int)');
      const { rows } = await client.query('select pg_current_wal_lsn() as lsn');
      await client.end();
      const reader = new pg.Client(standby.connection);
      await reader.connect();
      await expect
        .poll(() => reader.query("select to_regclass('streamed') as t").then((r) => r.rows[0].t), {
          timeout: 20_000,
        })
        .toBe('streamed');
      expect(rows[0].lsn).toMatch(/^[0-9A-F]+\//);
      await expect(reader.query('insert into streamed values (1)')).rejects.toMatchObject({
        code: '25006',
      });
      await reader.query('select pg_promote()');
      await reader.query('insert into streamed values (1)');
      await reader.end();
    } finally {
      await standby.close();
    }
  });

  it.each([
    ['', ''],
    [', even frozen, nor do its backends', 'await server.pause();'],
  ])('does not outlive the process that started it%s', async (_, before) => {
    // What was built: a child of plain Node can't run the sources.
    const built = (file: string): string => new URL(`../dist/${file}`, import.meta.url).href;
    const script = `
      const { startPostgres } = await import('${built('index.js')}');
      const { childrenOf } = await import('${built('process-tree.js')}');
      const server = await startPostgres();
      const pids = [server.pid, ...(await childrenOf(server.pid))];
      ${before}
      process.stdout.write(pids.join(' '), () => process.kill(process.pid, 'SIGKILL'));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    let written = '';
    child.stdout.on('data', (chunk) => {
      written += chunk;
    });
    await once(child, 'close');
    const pids = written.split(' ').map(Number);
    expect(pids.length).toBeGreaterThan(3);
    expect(await gone(pids, 20_000)).toEqual([]);
  });
});
