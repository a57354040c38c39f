/** A service in a process of its own, which is told what to do while it runs. */
import { answerParent, Child, childOptions } from './child.js';

/** What every service can be asked. */
interface PortQuestion {
  readonly type: 'port';
}

/** A running service in a process of its own, which obeys commands of type `C`. */
export class ChildService<C extends object> {
  readonly #child: Child<C | PortQuestion>;
  readonly port: number;

  constructor({ child, port }: StartedService<C>) {
    this.#child = child;
    this.port = port;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Stops the process where it is: connections stay open, nothing is answered. */
  suspend(): void {
    this.#child.suspend();
  }

  /** Lets a suspended process go on. */
  resume(): void {
    this.#child.resume();
  }

  /** Ends the process at once, without a word to its clients. Resolves when it is gone. */
  kill(): Promise<void> {
    return this.#child.kill();
  }

  protected tell(command: C): Promise<unknown> {
    return this.#child.ask(command);
  }
}

/** A process that has told its port. */
export interface StartedService<C> {
  readonly child: Child<C | PortQuestion>;
  readonly port: number;
}

/** Starts a main file of this package, which must be built, and waits until it serves. */
export async function startService<C extends object>(
  name: string,
  mainFile: string,
  options: object,
): Promise<StartedService<C>> {
  // The same file from `src` and from `dist`.
  const main = new URL(`../dist/${mainFile}`, import.meta.url);
  const child = new Child<C | PortQuestion>({ name, main, options });
  return { child, port: await child.ask<number>({ type: 'port' }) };
}

/** What a main file does: starts the service with the options it is given, then obeys its commands. */
export async function serveParent<S extends { readonly port: number }, O, C extends object>(
  start: (options: O) => Promise<S>,
  obey: (service: S, command: C) => unknown,
): Promise<void> {
  const service = await start(childOptions<O>());
  answerParent((question: C | PortQuestion) =>
    isPortQuestion(question) ? service.port : obey(service, question),
  );
}

function isPortQuestion(question: object): question is PortQuestion {
  return (question as Partial<PortQuestion>).type === 'port';
}
