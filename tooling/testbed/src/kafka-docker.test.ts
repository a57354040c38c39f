import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
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

/** Has the image from then on. */
const pulled: Answer = (response) => response.writeHead(200).end('{"status":"Pulled"}\n');

/** Ends half way, as an engine does whose registry fails. */
const broken: Answer = (response) =>
  response.writeHead(200).end('{"status":"Pulling"}\n{"error":"manifest unknown"}\n');

/** A container of the stand-in's: what it is asked to run, as a process of this machine. */
interface Container {
  readonly command: readonly string[];
  process?: ChildProcess;
}

/**
 * An engine that answers as Docker does, as far as it is asked here. It fetches images as it is told, and
 * runs containers as plain processes. Gives its address.
 */
async function engine(pull: Answer, operatingSystem = 'Some Linux'): Promise<string> {
  const asked: string[] = [];
  const containers = new Map<string, Container>();
  let fetched = false;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://docker');
    const path = url.pathname.replace(/^\/v[\d.]+/, '');
    asked.push(path);
    const [, , id = '', action = ''] = path.split('/');
    const container = containers.get(id);
    if (path === '/_ping') response.end('OK');
    else if (path === '/info') {
      json(200, { OperatingSystem: operatingSystem, OSType: 'linux', ServerVersion: '29' })(
        response,
      );
    } else if (path === '/images/create') {
      fetched = pull === pulled;
      pull(response);
    } else if (path.startsWith('/images/') && fetched) json(200, { Id: 'image' })(response);
    else if (path === '/containers/json') json(200, [])(response);
    else if (path === '/containers/create') {
      const { Entrypoint, Cmd } = JSON.parse(await text(request)) as Creation;
      const made = `made-${containers.size}`;
      containers.set(made, { command: [...Entrypoint, ...Cmd] });
      json(201, { Id: made })(response);
    } else if (container === undefined) json(404, { message: `No such image: ${path}` })(response);
    else await obey(container, request.method === 'DELETE' ? 'remove' : action, url, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const { process } of containers.values()) process?.kill('SIGKILL');
    server.closeAllConnections();
    server.close();
    // Somebody asked, so this was looked at.
    expect(asked).toContain('/info');
  });
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The part of a request for a container that is looked at. */
interface Creation {
  readonly Entrypoint: string[];
  readonly Cmd: string[];
}

async function obey(
  container: Container,
  action: string,
  url: URL,
  response: ServerResponse,
): Promise<void> {
  const child = container.process;
  switch (action) {
    case 'start':
      // In place of Java with its class path: the script that stands where the main class does.
      container.process = spawn('sh', ['-c', container.command.at(-1) ?? ''], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      response.writeHead(204).end();
      return;
    case 'json':
      json(200, {
        Id: 'made',
        Name: '/made',
        Config: { Hostname: 'made', Labels: {} },
        HostConfig: { PortBindings: {} },
        NetworkSettings: { Ports: {}, Networks: {} },
        State: { Running: true, Status: 'running', Pid: child?.pid, StartedAt: '', FinishedAt: '' },
      })(response);
      return;
    case 'logs':
      response.writeHead(200);
      child?.stdout?.on('data', (chunk: Buffer) => {
        const head = Buffer.alloc(8);
        head.writeUInt8(1, 0);
        head.writeUInt32BE(chunk.length, 4);
        response.write(Buffer.concat([head, chunk]));
      });
      child?.once('close', () => response.end());
      return;
    case 'wait': {
      const ended = child?.exitCode ?? child?.signalCode ?? null;
      if (child !== undefined && ended === null) await once(child, 'exit');
      json(200, { StatusCode: child?.exitCode ?? 137 })(response);
      return;
    }
    case 'kill':
      child?.kill(url.searchParams.get('signal') as NodeJS.Signals);
      response.writeHead(204).end();
      return;
    case 'pause':
    case 'unpause':
      child?.kill(action === 'pause' ? 'SIGSTOP' : 'SIGCONT');
      response.writeHead(204).end();
      return;
    default:
      response.writeHead(204).end();
  }
}

/** What a script prints in a process of its own, which looks for Docker at `host` and ends by itself. */
async function printed(host: string, script: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: {
      ...process.env,
      DOCKER_HOST: host,
      KAFKA_BROKERS: '',
      TESTCONTAINERS_RYUK_DISABLED: 'true',
    },
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

  it('runs programs: hears what they write, stops them, lets them go on, and kills them', async () => {
    const script = `
      const { readFileSync } = await import('node:fs');
      const { dockerRuntime } = await import('${built('kafka-docker.js')}');
      const runtime = await dockerRuntime(() => {}, 60_000);
      async function run(program) {
        let heard;
        const said = new Promise((resolve) => { heard = resolve; });
        let over;
        const exited = new Promise((resolve) => { over = resolve; });
        const process = await runtime.start({
          main: [program], options: ['-Xmx1m'], folder: '/tmp', onOutput: heard, onExit: over,
        });
        return { process, said, exited };
      }
      const state = ({ pid }) => readFileSync('/proc/' + pid + '/stat', 'utf8').split(') ')[1][0];
      async function becomes(letter, process) {
        while (state(process) !== letter) await new Promise((done) => setTimeout(done, 5));
        console.log(letter);
      }
      const quick = await run('sleep 1; echo formatted; exit 3');
      console.log(String(await quick.said).trim(), await quick.process.exit());
      await quick.exited;
      const server = await run('sleep 1; echo serving; exec sleep 1000');
      console.log(String(await server.said).trim());
      await server.process.signal('SIGSTOP');
      await becomes('T', server.process);
      await server.process.signal('SIGCONT');
      await becomes('S', server.process);
      const exit = server.process.exit();
      await server.process.signal('SIGKILL');
      console.log(await exit);
      await server.exited;
      process.exit();`;
    expect(await printed(await engine(pulled), script)).toBe('formatted 3\nserving\nT\nS\nnull\n');
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
