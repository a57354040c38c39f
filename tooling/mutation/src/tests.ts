/** Runs tests in a worker thread (see `worker.ts`) that is ended when it hangs or spins. */
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import type { Run, RunEnd } from './protocol.js';

/** The tests of one script. */
export class Tests {
  readonly #script: string;
  #worker: Worker | undefined;
  #over: (end: RunEnd | undefined) => void = () => {};

  constructor(script: string) {
    this.#script = script;
  }

  /** Whether the next run is the first in its thread. */
  get fresh(): boolean {
    return this.#worker === undefined;
  }

  /**
   * Gives nothing where the tests did not come to their end: they wait for what never comes, or took
   * more than `limit` ms of processor time.
   */
  async run(run: Run, limit: number): Promise<RunEnd | undefined> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const before = process.cpuUsage();
    const watch = setInterval(() => {
      if (process.cpuUsage(before).user / 1_000 > limit) void worker.terminate();
    }, 100);
    const end = await new Promise<RunEnd | undefined>((resolve) => {
      this.#over = resolve;
      worker.postMessage(run);
    });
    clearInterval(watch);
    return end;
  }

  /** Ends the thread; the next run gets a new one. */
  async end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('../dist/worker.js', import.meta.url), {
      workerData: { script: this.#script },
    });
    worker.on('message', (end: RunEnd) => this.#over(end));
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#over(undefined);
    });
    return worker;
  }
}
