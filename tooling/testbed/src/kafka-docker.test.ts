import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';

const run = promisify(execFile);
const built = (file: string): string => new URL(`../dist/${file}`, import.meta.url).href;

type Answer = (response: ServerResponse) => void;

const json =
  (status: number, body: unknown): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

/** Tells so, and never goes on. */
const hang: Answer = (response) => response.writeHead(200).write('{"status":"Pulling"}\n');

/** Ends half way, as an engine does whose registry fails. */
const broken: Answer = (response) =>
  response.writeHead(200).end('{"status":"Pulling"}\n{"error":"manifest unknown"}\n');

/** An engine that answers, and has no image. Gives its address. */
async function engine(pull: Answer, operatingSystem = 'Some Linux'): Promise<string> {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const path = (request.url ?? '').replace(/^\/v[\d.]+/, '').replace(/\?.*/, '');
    asked.push(path);
    if (path === '/_ping') response.end('OK');
    else if (path === '/info') {
      json(200, { OperatingSystem: operatingSystem, OSType: 'linux', ServerVersion: '29.0.0' })(
        response,
      );
    } else if (path === '/images/create') pull(response);
    else json(404, { message: `No such image: ${path}` })(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    // Somebody asked, so this was looked at.
    expect(asked).toContain('/info');
  });
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What a script prints in a process of its own, which looks for Docker at `host` and ends by itself. */
async function printed(host: string, script: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, DOCKER_HOST: host, KAFKA_BROKERS: '' },
    timeout: 400_000,
  });
  return stdout;
}

const docker = `
  const { dockerRuntime } = await import('${built('kafka-docker.js')}');
  const runtime = await dockerRuntime(console.log, 500);
  console.log(runtime === undefined ? 'no Docker' : 'Docker');`;

describe.runIf(process.platform === 'linux')('Docker', () => {
  it.each([
    ['refuses to fetch', json(500, { message: 'registry unreachable' }), /registry unreachable/],
    ['fails half way', broken, /manifest unknown/],
    ['never comes to an end', hang, /apache\/kafka:\S+ was not there within 500 ms/],
  ])('is left where its engine %s', async (_, pull, why) => {
    const said = await printed(await engine(pull), docker);
    expect(said).toMatch(/^fetching apache\/kafka:\S+ with Docker/);
    expect(said).toMatch(why);
    expect(said).toMatch(
      /Docker answers, but can't run Kafka .*; going on without it\nno Docker\n$/,
    );
  });

  it('is left where the engine has a network of its own', async () => {
    const said = await printed(await engine(hang, 'Docker Desktop'), docker);
    expect(said).toMatch(/its network is not that of this machine.*\nno Docker\n$/);
  });

  it('is followed by Java', async () => {
    const script = `
      const { kafkaRuntime } = await import('${built('kafka-runtime.js')}');
      console.log(await kafkaRuntime(console.log).then(({ kind }) => kind, ({ message }) => message));`;
    const host = await engine(json(500, { message: 'registry unreachable' }));
    const said = await printed(host, script);
    // As far as there is one here.
    expect(said).toMatch(
      /registry unreachable.*; going on without it\n(?:.*\n)?(?:java|Apache Kafka can't be started: .*)\n$/,
    );
  }, 400_000);
});
