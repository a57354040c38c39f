import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const index = fileURLToPath(new URL('../dist/index.js', import.meta.url));

/** Runs a script that has `dashboard` and `report`; gives what it wrote and how it ended. */
async function run(script: string): Promise<{ code: unknown; output: string }> {
  const text = `import { dashboard, report } from ${JSON.stringify(index)};\n${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', text], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  const [code] = await once(child, 'close');
  return { code, output };
}

describe('a process', () => {
  it('is not kept alive by a dashboard, nor by reports', async () => {
    const { code, output } = await run(`
      dashboard({ background: true });
      report({ to: 'http://127.0.0.1:9', interval: 60_000, token: 'a-token-of-reports', name: 'short-lived' });
      console.log('ended by itself');
    `);
    expect(code).toBe(0);
    // That nobody listens there may be told before.
    expect(output).toMatch(/^ended by itself\n(?:@resil: report to 127\.0\.0\.1:9 threw|$)/);
  });

  it('is kept alive by a report that goes nowhere no longer than by others', async () => {
    // A server that takes connections and never answers.
    const { code, output } = await run(`
      import { createServer } from 'node:net';
      const server = createServer(() => {
        server.unref();
        console.log('asked');
      });
      server.listen(0, '127.0.0.1', () => {
        report({ to: \`http://127.0.0.1:\${server.address().port}\`, token: 'a-token-of-reports', name: 'unheard' });
      });
      server.on('connection', (socket) => socket.unref());
    `);
    expect({ code, output }).toEqual({ code: 0, output: 'asked\n' });
  });

  it('lives as long as its dashboard listens', async () => {
    const { code, output } = await run(`
      const board = dashboard();
      const { url } = await board.listen(0);
      const answer = await fetch(url);
      console.log(answer.status);
      await board.close();
      console.log('closed');
    `);
    expect({ code, output }).toEqual({ code: 0, output: '200\nclosed\n' });
  });
});
