import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Child } from './child.js';
import { KILL, spawnOnLeash } from './leash.js';
import { gone } from './process-tree.js';

const run = promisify(execFile);

/** What was built: a child of plain Node can't run the sources. */
const built = (file: string): string => new URL(`../dist/${file}`, import.meta.url).href;

/**
 * Runs a script that calls `die(pids)`: it tells what it has started, and is SIGKILLed in the same turn
 * of its event loop. Gives back what it told.
 */
async function toldBeforeDeath(script: string): Promise<number[]> {
  const whole = `
    import { writeSync } from 'node:fs';
    function die(pids) {
      writeSync(1, pids.join(' '));
      process.kill(process.pid, 'SIGKILL');
    }
    ${script}`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', whole], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  parent.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  const [code, signal] = await once(parent, 'exit');
  expect([code, signal]).toEqual([null, 'SIGKILL']);
  const pids = told.split(' ').map(Number);
  for (const pid of pids) expect(pid).toBeGreaterThan(0);
  return pids;
}

/** The processes of the group that a process leads. */
async function groupOf(leader: number): Promise<string[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pgid=,stat=']);
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([group, state]) => Number(group) === leader && !state?.startsWith('Z'))
    .map(([group]) => String(group));
}

describe('a process on a leash', () => {
  it('ends with its parent, even if that dies at the moment when it was started', async () => {
    const pids = await toldBeforeDeath(`
      const { spawnOnLeash, KILL } = await import('${built('leash.js')}');
      die([spawnOnLeash(['sleep', '1000'], KILL, { stdout: 'ignore' }).pid]);`);
    expect(await gone(pids, 20_000)).toEqual([]);
  });

  it('ends with its parent while it is stopped', async () => {
    const pids = await toldBeforeDeath(`
      const { startHttpProcess, startGrpcProcess } = await import('${built('index.js')}');
      const services = await Promise.all([startHttpProcess(), startGrpcProcess()]);
      for (const service of services) service.suspend();
      die(services.map(({ pid }) => pid));`);
    expect(await gone(pids, 20_000)).toEqual([]);
  });

  it('is let go when it has ended: nothing is left to watch it', async () => {
    const child = spawnOnLeash(['sh', '-c', 'exit 7'], KILL, { stdout: 'ignore' });
    expect(await once(child, 'exit')).toEqual([7, null]);
    await expect.poll(() => groupOf(child.pid ?? 0), { timeout: 20_000 }).toEqual([]);
  });

  it('hears nothing of it while both live', async () => {
    const child = spawnOnLeash(['sleep', '1000'], KILL, { stdout: 'ignore' });
    // The process, and what watches it.
    await expect.poll(() => groupOf(child.pid ?? 0), { timeout: 20_000 }).toHaveLength(2);
    expect(child.exitCode).toBeNull();
    const exited = once(child, 'close');
    child.kill('SIGTERM');
    expect(await exited).toEqual([null, 'SIGTERM']);
    await expect.poll(() => groupOf(child.pid ?? 0), { timeout: 20_000 }).toEqual([]);
  });
});

describe('Child', () => {
  async function mainOf(source: string): Promise<URL> {
    const folder = await mkdtemp(join(tmpdir(), 'resil-child-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'main.mjs');
    await writeFile(file, source);
    return pathToFileURL(file);
  }

  it('is killed when it is not ready in time, and the question is answered so', async () => {
    const main = await mainOf('setInterval(() => {}, 1_000);');
    const child = new Child<string>({ name: 'idle', main, options: {}, startTimeout: 300 });
    await expect(child.ask('port')).rejects.toThrow('the idle process was not ready within 300 ms');
    expect(await gone([child.pid ?? 0], 20_000)).toEqual([]);
  });

  it('may take its time for an answer once it is ready', async () => {
    const main = await mainOf(`
      const { answerParent } = await import('${built('child.js')}');
      answerParent((question) => new Promise((done) => setTimeout(done, 1_500, question)));`);
    const child = new Child<string>({ name: 'slow', main, options: {}, startTimeout: 60_000 });
    onTestFinished(() => child.kill());
    expect(await child.ask('what?')).toBe('what?');
  });

  it('tells who asks that it has ended', async () => {
    const main = await mainOf('process.exit(3);');
    const child = new Child<string>({ name: 'short', main, options: {} });
    await expect(child.ask('port')).rejects.toThrow('the short process has ended (code 3)');
  });
});
