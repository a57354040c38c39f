import { fileURLToPath } from 'node:url';
import { run } from '@resil/cli';
import { describeResilience } from '../../../tooling/vitest/resilience-contract.ts';

const module = fileURLToPath(new URL('../dist/resilience.js', import.meta.url));

describeResilience(run, module, ['inventory']);
