// `npm run demo`: brings and builds what the demo needs, and runs it. Arguments go to the demo, and its
// exit code comes back.

import { spawn } from 'node:child_process';
import { bootstrap, root } from './bootstrap.mjs';
import { Steps } from './steps.mjs';

const steps = new Steps();
const tool = await bootstrap(steps);
const built =
  tool !== undefined &&
  (await steps.run('build', () =>
    tool('turbo', ['run', 'build', '--filter=@resil/demo...', '--output-logs=errors-only']),
  ));

if (built) {
  // Over the channel the demo notices our end, whatever it is, and cleans up after itself.
  const demo = spawn(process.execPath, ['apps/demo/dist/index.js', ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // A terminal sends Ctrl-C to the demo as well; it needs a moment to stop its servers.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => demo.kill(signal));
  demo.once('error', (error) => {
    console.error(`The demo could not be started: ${error.message}`);
    process.exitCode = 1;
  });
  demo.once('exit', (code) => {
    process.exitCode = code ?? 1;
  });
} else {
  process.exitCode = 1;
}
