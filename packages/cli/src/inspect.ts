/** Loads a module in a process of its own, and gives what was seen there. */
import { fork } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BadInputError } from './bad-input.js';
import { after } from './clock.js';
import type { Inspection } from './inspection.js';
import type { InspectorAnswer } from './inspector.js';
import { readSourceGraph } from './source-graph.js';

/** How a module is loaded. */
export interface InspectOptions {
  /** Name of the service. Default: the module's file name, or its package's name for an `index` or `main`. */
  readonly service?: string | undefined;
  /** Milliseconds that the module may take to load. @defaultValue `inspectDefaults.loadTimeout` (20,000) */
  readonly loadTimeout?: number | undefined;
  /** Folder that a relative path starts from. Default: the current one. */
  readonly cwd?: string | undefined;
}

/** Defaults of {@link InspectOptions}. */
export const inspectDefaults: { readonly loadTimeout: number } = Object.freeze({
  loadTimeout: 20_000,
});

/**
 * Loads a module in a process of its own, and looks at the pipelines and clients there.
 *
 * @throws `BadInputError` for a module that can't be loaded, and for one that exports nothing and makes
 *   no pipeline.
 */
export async function inspect(module: string, options: InspectOptions = {}): Promise<Inspection> {
  const { cwd = process.cwd(), loadTimeout = inspectDefaults.loadTimeout } = options;
  const file = path.resolve(cwd, module);
  await checkFile(file, module);
  const survey = await load(file, module, loadTimeout);
  if (survey.pipelines.length === 0 && survey.exports.length === 0) {
    throw new BadInputError(
      `'${module}' exports nothing and makes no pipeline: there is nothing to look at; name a module that exports the service's clients or pipelines`,
    );
  }
  const { packages } = await readSourceGraph(file);
  return {
    service: options.service ?? (await serviceNameOf(file)),
    file,
    ...survey,
    imports: packages,
  };
}

async function checkFile(file: string, module: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) {
    throw new BadInputError(`there is no file '${module}'; is it built, and is the path right?`);
  }
  if (!found.isFile()) {
    throw new BadInputError(`'${module}' is a folder; name the module's file in it`);
  }
  const typescript = /\.[cm]?tsx?$/.test(file);
  const { features } = process as { features: { typescript?: unknown } };
  const loader = /(?:--import|--require|--loader|-r)\b/.test(process.env.NODE_OPTIONS ?? '');
  if (typescript && !features.typescript && !loader) {
    throw new BadInputError(
      `Node ${process.versions.node} can't run TypeScript: name the JavaScript that '${module}' is built to, use Node 22.18 or newer, or set NODE_OPTIONS='--import tsx'`,
    );
  }
}

async function load(
  file: string,
  module: string,
  loadTimeout: number,
): Promise<Extract<InspectorAnswer, { survey: unknown }>['survey']> {
  // The same file from `src` and from `dist`: a process of its own has no loader for sources.
  const main = fileURLToPath(new URL('../dist/inspector.js', import.meta.url));
  // What the module prints is not part of what we print.
  const child = fork(main, [file], { stdio: ['ignore', 2, 2, 'ipc'], execArgv: [] });
  const answer = await new Promise<InspectorAnswer>((resolve, reject) => {
    const cancel = after(loadTimeout, () => {
      child.kill('SIGKILL');
      reject(
        new BadInputError(
          `'${module}' did not finish loading within ${loadTimeout} ms; does it wait for something at its top level? Name a module that only makes the clients`,
        ),
      );
    });
    child.once('message', (message) => {
      cancel();
      resolve(message as InspectorAnswer);
    });
    child.once('error', (error) => {
      cancel();
      reject(error);
    });
    let left = 2;
    // Messages that are on their way arrive before the channel is closed.
    const gone = (): void => {
      left -= 1;
      if (left > 0) return;
      cancel();
      reject(
        new BadInputError(
          `'${module}' ended its process (${child.signalCode ?? `code ${child.exitCode}`}) before it could be looked at; name a module that makes the clients without running the service`,
        ),
      );
    };
    child.once('exit', gone);
    child.once('disconnect', gone);
  });
  if ('survey' in answer) return answer.survey;
  const { code, message } = answer.failure;
  throw new BadInputError(
    `'${module}' could not be loaded: ${message}${code === undefined ? '' : ` (${code})`}`,
  );
}

/** `orders` of `dist/orders.js`, or of the package `@shop/orders` for its `dist/index.js`. */
async function serviceNameOf(file: string): Promise<string> {
  const base = path.basename(file).replace(/\.[cm]?[jt]sx?$/, '');
  if (!/^(?:index|main|clients|resilience)$/.test(base)) return base;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const text = await readFile(path.join(folder, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) {
      const { name } = JSON.parse(text) as { name?: string };
      if (name !== undefined) return name.replace(/^@[^/]+\//, '');
    }
    if (folder === path.dirname(folder)) return base;
  }
}
