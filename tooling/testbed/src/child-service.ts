/**
 * A service as a process of its own, which can be killed and stopped for real and doesn't share its
 * client's event loop. It is told what to do over the channel that `fork` gives.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A running service in a process of its own, which obeys commands of type `C`. */
export class ChildService<C extends object> {
  readonly #child: ChildProcess;
  readonly port: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ child, port }: StartedChild) {
    this.#child = child;
    this.port = port;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Stops the process where it is: connections stay open, nothing is answered. */
  suspend(): void {
    this.#child.kill('SIGSTOP');
  }

  /** Lets a suspended process go on. */
  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Ends the process at once, without a word to its clients. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** One command at a time, so that each answer is that of its command. */
  protected tell(command: C): Promise<unknown> {
    const turn = this.#turn.then(async () => {
      if (!this.#child.connected) throw new Error('the service process is gone');
      const answered = new Promise((resolve, reject) => {
        const gone = (): void => reject(new Error('the service process is gone'));
        this.#child.once('exit', gone);
        this.#child.once('message', (message) => {
          this.#child.off('exit', gone);
          resolve(message);
        });
      });
      this.#child.send(command);
      return answered;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/** A process that has told its port. */
export interface StartedChild {
  readonly child: ChildProcess;
  readonly port: number;
}

/**
 * Starts a main file of this package with `options`; it answers with its port when it is ready. Needs
 * the package to be built.
 */
export async function startChild(mainFile: string, options: object): Promise<StartedChild> {
  // The same file from `src` and from `dist`: a process of its own has no loader for sources.
  const main = fileURLToPath(new URL(`../dist/${mainFile}`, import.meta.url));
  const child = fork(main, [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`${mainFile} ended before it was ready (${signal ?? code})`)),
    );
  });
  child.removeAllListeners('exit');
  return { child, port };
}

/** A service, as its process sees it. */
interface Served {
  readonly port: number;
}

/** What a main file does: starts the service with the options it is given, then obeys its commands. */
export async function serveParent<S extends Served, O, C>(
  start: (options: O) => Promise<S>,
  obey: (service: S, command: C) => unknown,
): Promise<void> {
  const service = await start(JSON.parse(process.argv[2] ?? '{}') as O);
  process.on('message', (command: C) => process.send?.(obey(service, command) ?? {}));
  // Never outlives whoever started it.
  process.on('disconnect', () => process.exit());
  process.send?.(service.port);
}
