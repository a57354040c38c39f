// `npm run demo`: brings and builds what the demo needs, and runs it. Arguments go to the demo.

import { bootstrap } from './bootstrap.mjs';
import { Steps } from './steps.mjs';

const steps = new Steps();
const tool = await bootstrap(steps);
const built =
  tool !== undefined &&
  (await steps.run('build', () =>
    tool('turbo', ['run', 'build', '--filter=@resil/demo...', '--output-logs=errors-only']),
  ));

if (built) {
  console.log('');
  try {
    await tool(process.execPath, ['apps/demo/dist/index.js', ...process.argv.slice(2)]);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
} else {
  process.exitCode = 1;
}
