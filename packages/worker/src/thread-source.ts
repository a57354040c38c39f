/**
 * The script that a thread begins with: loads the module of the pool, runs one task after the other,
 * and sends back what comes of it. As text, so that it is there whatever a bundler makes of this
 * package, and written so that it is a script and a module alike.
 *
 * A copied error has its message, stack and cause only, and the name of one of the language's own
 * kinds. So its name and its plain fields (`code`, `status`) are sent beside it.
 */
import { TRANSFER } from './transfer.js';

/** What the thread says, beside results. */
export interface ThreadMessage {
  /** The task that it is about; `undefined` when the module has been loaded. */
  readonly id: number | undefined;
  readonly ok: boolean;
  readonly value?: unknown;
  readonly error?: unknown;
  readonly name?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Whether the module could not be loaded: this thread will never be of use. */
  readonly unusable?: boolean;
}

/** The script for `module`, a URL, and the function that it exports as `exportName`. */
export function threadSource(module: string, exportName: string): string {
  return `
import('node:worker_threads').then(({ parentPort }) => {
  const exportName = ${JSON.stringify(exportName)};
  const loaded = import(${JSON.stringify(module)}).then((found) => {
    // The namespace of a CommonJS module has what it exports under 'default'.
    const work = [found[exportName], found.default?.[exportName]].find(
      (candidate) => typeof candidate === 'function',
    );
    if (work === undefined) throw new TypeError('the module exports no function ' + exportName);
    parentPort.postMessage({ ok: true });
    return work;
  });
  loaded.catch(() => {}); // told with the first task

  const fieldsOf = (error) => {
    try {
      return Object.fromEntries(
        Object.entries(error).filter(([, value]) => !/^(object|function|symbol)$/.test(typeof value)),
      );
    } catch {
      return {};
    }
  };
  const fail = (id, error, unusable) => {
    const isError = error instanceof Error;
    const told = { id, ok: false, unusable, name: isError ? String(error.name) : '', fields: isError ? fieldsOf(error) : {} };
    try {
      // A DOMException is copied as an empty object.
      if (isError && Object.prototype.toString.call(error) !== '[object Error]') throw error;
      parentPort.postMessage({ ...told, error });
    } catch {
      // It is, or holds, what can't be copied.
      const plain = new Error(isError ? error.message : 'the task threw what cannot be copied');
      if (isError) plain.stack = error.stack;
      parentPort.postMessage({ ...told, error: plain });
    }
  };
  parentPort.on('message', async ({ id, task }) => {
    let work;
    try {
      work = await loaded;
    } catch (error) {
      return fail(id, error, true);
    }
    try {
      const value = await work(task);
      const list = value?.[Symbol.for(${JSON.stringify(TRANSFER)})];
      if (list === undefined) parentPort.postMessage({ id, ok: true, value });
      else parentPort.postMessage({ id, ok: true, value: value.value }, list);
    } catch (error) {
      fail(id, error, false);
    }
  });
});
`;
}
