// `npm run pnpm -- <arguments>`: the pinned pnpm for those who have none.

import { spawnSync } from 'node:child_process';
import { pnpmEnvironment } from './bootstrap.mjs';

const env = await pnpmEnvironment();
const { status } = spawnSync('pnpm', process.argv.slice(2), { env, stdio: 'inherit' });
process.exitCode = status ?? 1;
