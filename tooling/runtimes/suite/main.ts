/** Entry for runtimes that run a script: Node, Deno and Bun. */
import process from 'node:process';
import { runSuite } from './run.js';

const { failed } = await runSuite((line) => console.log(line));
process.exitCode = failed === 0 ? 0 : 1;
