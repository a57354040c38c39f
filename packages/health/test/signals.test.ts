import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

const service = fileURLToPath(new URL('./signal-service.mjs', import.meta.url));

async function start(...args: string[]) {
  const child = spawn(process.execPath, [service, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value;
  expect(await next()).toBe('listening');
  return { child, next, exit: once(child, 'exit') };
}

describe('drainOnSignals', () => {
  it('drains at SIGTERM and ends with 0', async () => {
    const { child, next, exit } = await start('clean');
    child.kill('SIGTERM');
    expect(JSON.parse(await next())).toMatchObject({
      clean: true,
      finished: 1,
      stop: [{ name: 'http', status: 'done' }],
      close: [{ name: 'pool', status: 'done' }],
    });
    expect(await exit).toEqual([0, null]);
  });

  it('ends with 1 when something was not done in time', async () => {
    const { child, next, exit } = await start('hanging');
    child.kill('SIGTERM');
    expect(JSON.parse(await next())).toMatchObject({ clean: false, unfinished: { calls: 1 } });
    expect(await exit).toEqual([1, null]);
  });

  it('ends at once at the second signal', async () => {
    const { child, next, exit } = await start('endless');
    child.kill('SIGINT');
    expect(await next()).toBe('stopping');
    child.kill('SIGINT');
    expect(await exit).toEqual([130, null]);
  });
});
