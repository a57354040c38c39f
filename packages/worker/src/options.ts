/** What a pool of threads can be told, and the defaults. */
import { availableParallelism } from 'node:os';
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ResourceLimits, WorkerOptions } from 'node:worker_threads';
import {
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  InvalidOptionError,
  nameRule,
  numberRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
} from '@resil/core';

/** A function that runs in a thread: takes one task, gives a value or a promise. */
export type Task = (task: never) => unknown;

/** What of a thread's options may be chosen. */
export type ThreadOptions = Pick<
  WorkerOptions,
  'argv' | 'env' | 'execArgv' | 'trackUnmanagedFds' | 'workerData'
>;

/** Options of {@link workerPool}. */
export interface WorkerPoolOptions {
  /**
   * Threads at the same time, those that are still ending included.
   *
   * At least 1.
   *
   * @defaultValue `workerPoolDefaults.maxThreads` (one less than the processors, at least 1)
   */
  readonly maxThreads?: number | undefined;
  /**
   * Threads that are started at once and kept; the rest start when they are needed.
   *
   * At most `maxThreads`.
   *
   * @defaultValue `workerPoolDefaults.minThreads` (0)
   */
  readonly minThreads?: number | undefined;
  /**
   * Tasks that may wait for a thread; 0 refuses at once.
   *
   * @defaultValue `workerPoolDefaults.maxQueueSize` (100)
   */
  readonly maxQueueSize?: number | undefined;
  /**
   * Milliseconds a task may wait for a thread; `Infinity` for as long as its deadline allows.
   *
   * @defaultValue `workerPoolDefaults.queueTimeout` (1,000)
   */
  readonly queueTimeout?: number | undefined;
  /**
   * Milliseconds a task may take once it has its place, the start of a new thread included. Then the
   * caller is freed and the thread is ended, whatever it does. `Infinity` for no limit.
   *
   * @defaultValue `workerPoolDefaults.timeout` (30,000)
   */
  readonly timeout?: number | undefined;
  /**
   * Milliseconds after which a thread that has nothing to do is ended; `Infinity` keeps it.
   *
   * @defaultValue `workerPoolDefaults.idleTimeout` (30,000)
   */
  readonly idleTimeout?: number | undefined;
  /** Function of the module that runs the tasks. @defaultValue `'default'` */
  readonly exportName?: string | undefined;
  /**
   * Limits of a thread's heap and stack, as `node:worker_threads` has them, in MB. A thread that uses
   * more ends; its task fails with {@link WorkerCrashedError}. Default: those of Node.
   */
  readonly resourceLimits?: ResourceLimits | undefined;
  /** More for each thread, as `node:worker_threads` has it. Default: nothing. */
  readonly threadOptions?: ThreadOptions | undefined;
  /** Name in errors and events, and of the pool's own pipeline. @defaultValue `'worker-pool'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link workerPool}. */
export const workerPoolDefaults: {
  readonly maxThreads: number;
  readonly minThreads: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
  readonly timeout: number;
  readonly idleTimeout: number;
  readonly exportName: string;
  readonly name: string;
} = Object.freeze({
  // The main thread needs a processor as well.
  maxThreads: Math.max(1, availableParallelism() - 1),
  minThreads: 0,
  maxQueueSize: 100,
  queueTimeout: 1_000,
  timeout: 30_000,
  idleTimeout: 30_000,
  exportName: 'default',
  name: 'worker-pool',
});

const LIMITS = [
  'maxOldGenerationSizeMb',
  'maxYoungGenerationSizeMb',
  'codeRangeSizeMb',
  'stackSizeMb',
];
const THREAD_OPTIONS = ['argv', 'env', 'execArgv', 'trackUnmanagedFds', 'workerData'];

const rules: OptionRules<WorkerPoolOptions> = {
  maxThreads: countRule(1),
  minThreads: countRule(0),
  maxQueueSize: countRule(0),
  queueTimeout: durationRule(0, true),
  timeout: positiveDurationRule(true),
  idleTimeout: durationRule(0, true),
  exportName: nameRule,
  resourceLimits: objectRule(`an object of numbers above 0 for ${LIMITS.join(', ')}`, (limits) =>
    Object.entries(limits).every(
      ([name, value]) =>
        LIMITS.includes(name) &&
        (value === undefined || (numberRule(0).test(value) && value !== 0)),
    ),
  ),
  threadOptions: objectRule(`an object with some of ${THREAD_OPTIONS.join(', ')}`, (options) =>
    Object.keys(options).every((name) => THREAD_OPTIONS.includes(name)),
  ),
  name: nameRule,
  clock: clockRule,
};

/** Checked options, defaults filled in. */
export type CheckedOptions = typeof workerPoolDefaults &
  Pick<WorkerPoolOptions, 'resourceLimits' | 'threadOptions' | 'clock'>;

/** @throws {@link InvalidOptionError} */
export function checkedOptions(options: WorkerPoolOptions): CheckedOptions {
  checkOptions('workerPool', options, rules);
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const checked: CheckedOptions = { ...workerPoolDefaults, ...given };
  if (checked.minThreads > checked.maxThreads) {
    throw new InvalidOptionError(
      'workerPool.minThreads',
      checked.minThreads,
      `must be at most maxThreads (${checked.maxThreads})`,
    );
  }
  return checked;
}

/** The module of a pool as a URL. @throws {@link InvalidOptionError} */
export function moduleUrl(filename: string | URL): string {
  if (typeof filename === 'string' && isAbsolute(filename)) return pathToFileURL(filename).href;
  const href = filename instanceof URL ? filename.href : filename;
  if (typeof href === 'string' && /^(?:file|data):/.test(href)) return href;
  throw new InvalidOptionError(
    'workerPool: filename',
    href,
    'must be an absolute path or a file: URL, such as new URL("./task.js", import.meta.url)',
  );
}
