import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { kafkaMissing } from '@resil/testbed';
import { expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/index.js', import.meta.url));
const run = promisify(execFile);
// The demo breaks a cluster of its own, never somebody's.
delete process.env.KAFKA_BROKERS;
const missing = await kafkaMissing();

/** Starts the demo and waits until its servers and the order service run. */
async function started(): Promise<{ demo: ChildProcess; exit: Promise<unknown[]> }> {
  const demo = spawn(process.execPath, [main, '--short'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, CI: 'true' },
  });
  const exit = once(demo, 'exit');
  // Read to the end: a demo whose output nobody reads would end by itself.
  await new Promise<void>((resolve, reject) => {
    let output = '';
    demo.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      // The first phase is over.
      if (output.includes('calm  ')) resolve();
    });
    exit.then(() => reject(new Error(`the demo ended by itself:\n${output}`)), reject);
  });
  return { demo, exit };
}

interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** The processes that descend from one. */
async function descendants(ancestor: number): Promise<Entry[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,args='], { maxBuffer: 2 ** 24 });
  const all = stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
  const found: Entry[] = [];
  for (let level = [ancestor]; level.length > 0; ) {
    const next = all.filter(({ parent }) => level.includes(parent));
    found.push(...next);
    level = next.map(({ pid }) => pid);
  }
  return found;
}

/** Waits until none of the processes is left. */
async function gone(entries: readonly Entry[]): Promise<void> {
  const alive = ({ pid }: Entry): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  while (entries.some(alive)) await sleep(50);
}

const killOf =
  (signal: NodeJS.Signals) =>
  (demo: ChildProcess): unknown =>
    demo.kill(signal);

const loseAServer = (_demo: ChildProcess, running: readonly Entry[]): unknown => {
  const prices = running.find(({ command }) => command.includes('price-service'));
  return process.kill(prices?.pid ?? 0, 'SIGKILL');
};

it.each([
  ['SIGINT', killOf('SIGINT'), 130],
  ['SIGKILL', killOf('SIGKILL'), null],
  ['a failure half way', loseAServer, 1],
] as const)(
  'leaves no process behind after %s',
  async (_, end, code) => {
    const { demo, exit } = await started();
    const running = await descendants(demo.pid ?? 0);
    const has = (name: string): number =>
      running.filter(({ command }) => command.includes(name)).length;
    expect(has('price-service.js')).toBe(1);
    // Unless it is being killed at this moment.
    expect(has('inventory-service.js')).toBeLessThanOrEqual(1);
    expect(has('order-service.js')).toBe(1);
    expect(has('postgres')).toBeGreaterThan(0);
    if (missing === undefined) expect(has('kafka')).toBeGreaterThanOrEqual(3);
    end(demo, running);
    expect((await exit)[0]).toBe(code);
    await gone(running);
  },
  240_000,
);

/** A folder with the commands that servers need at their end, and neither Java nor Maven nor Docker. */
async function poorPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'resil-demo-bin-'));
  for (const command of ['cat', 'head', 'rm', 'sleep', 'sh']) {
    for (const place of ['/usr/bin', '/bin']) {
      const file = join(place, command);
      const there = await access(file).then(
        () => true,
        () => false,
      );
      if (!there) continue;
      await symlink(file, join(folder, command));
      break;
    }
  }
  return folder;
}

it('shows the rest where neither brokers nor a Prometheus can be had, and says so', async () => {
  const folder = await poorPath();
  const report = join(folder, 'report.html');
  const { JAVA_HOME: _java, ...rest } = process.env;
  try {
    const { stdout } = await run(process.execPath, [main, '--short', '--report', report], {
      env: {
        ...rest,
        PATH: folder,
        // Nothing that was fetched before, either.
        RESIL_CACHE: join(folder, 'cache'),
        CI: 'true',
        NO_COLOR: '1',
        FORCE_COLOR: undefined,
      },
    });
    const notShown = "NOT SHOWN: Kafka. Apache Kafka can't be started: there is no Java";
    // When it is found out, and at the end.
    expect(stdout.split(notShown)).toHaveLength(3);
    expect(stdout).toContain('✔ Every acknowledged order is in PostgreSQL exactly once');
    expect(stdout).toContain('✔ Every acknowledged order has its stock reserved exactly once');
    expect(stdout).toContain('inventory killed');
    expect(stdout).not.toMatch(/broker killed|messages in Kafka/);
    const noAlerts = "NOT SHOWN: alerts. Prometheus can't be started: there is no apt-get";
    expect(stdout.split(noAlerts)).toHaveLength(3);
    expect(stdout).toContain(
      'Live dashboard of the protected run, while it lasts: http://127.0.0.1:',
    );
    const html = await readFile(report, 'utf8');
    expect(html).toContain('NOT SHOWN: Kafka');
    expect(html).toContain('NOT SHOWN: alerts');
    expect(await readFile(join(folder, 'ops', 'alerts.yml'), 'utf8')).toContain('ResilCircuitOpen');
  } finally {
    await rm(folder, { recursive: true });
  }
}, 240_000);
