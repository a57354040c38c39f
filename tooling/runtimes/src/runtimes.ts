/** The runtimes that the core promises to run in, and how each of them runs the suite. */
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** A runtime that comes from a package. */
export interface Runtime {
  readonly name: string;
  /** Which entry of the suite it runs. */
  readonly entry: 'main' | 'worker';
  /** Its program within its package. */
  readonly program: string;
  /** What it is started with to run the suite in `file`. */
  readonly args: (file: string) => readonly string[];
  /** Tests that it can't run, by a part of their names, and why. */
  readonly without: Readonly<Record<string, string>>;
}

const noProcesses = 'it can start no process';
const node: Omit<Runtime, 'name'> = {
  entry: 'main',
  program: 'bin/node',
  args: (file) => [file],
  without: {},
};

export const runtimes: readonly Runtime[] = [
  ...['20', '22', '24', '26'].map((version) => ({ name: `node-${version}`, ...node })),
  {
    name: 'deno',
    entry: 'main',
    program: 'deno',
    args: (file) => ['run', '--allow-all', '--no-config', file],
    without: {
      'needs no more memory after many calls with one signal':
        'what its heapUsed shows after a collection varies by more than the test allows',
    },
  },
  {
    name: 'bun',
    entry: 'main',
    program: 'bin/bun',
    args: (file) => ['run', file],
    without: {
      'holds no breaker, pipeline or key that nobody uses':
        'its collector goes by what looks like a reference on the stack, and keeps more',
    },
  },
  {
    name: 'workerd',
    entry: 'worker',
    program: 'bin/workerd',
    args: (file) => ['test', path.join(path.dirname(file), 'workerd.capnp')],
    without: {
      'leaks > a process': noProcesses,
      'one failure costs the same with a thousand': noProcesses,
      'no registry of the process keeps breakers': noProcesses,
    },
  },
];

/** Where the packages with the programs are installed. */
export const binaries: string = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../binaries',
);

/** The program of a runtime for this machine. */
export function programOf(runtime: Runtime): string {
  const platform = `${process.platform}-${process.arch}`;
  return path.join(binaries, 'node_modules', `${runtime.name}-${platform}`, runtime.program);
}
