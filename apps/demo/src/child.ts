/**
 * Child processes that answer questions and report by themselves, over the channel that `fork` gives.
 * None outlives its parent: the channel closes when the parent ends, however it ends.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface Question {
  readonly id: number;
  readonly ask: unknown;
}

interface Reply {
  readonly id: number;
  readonly answer: unknown;
}

interface Report<Event> {
  readonly event: Event;
}

/** The child's side: number of the open file that it was given. */
export const INHERITED_FILE = 4;

/** A running child. `Ask` is what it can be asked, `Event` what it reports by itself. */
export class Child<Ask, Event> {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, (answer: unknown) => void>();
  readonly #ended: Promise<never>;
  #questions = 0;

  /** Starts a main file of this package, built. It gets `options` as JSON, and the open file `inherited` if need be. */
  constructor(
    name: string,
    main: string,
    options: unknown,
    onEvent: (event: Event) => void,
    inherited?: number,
  ) {
    this.name = name;
    // The same file from `src` and from `dist`: a process of its own has no loader for sources.
    const file = fileURLToPath(new URL(`../dist/${main}`, import.meta.url));
    this.#process = fork(file, [JSON.stringify(options)], {
      // An open file becomes INHERITED_FILE.
      stdio: [
        'ignore',
        'inherit',
        'inherit',
        'ipc',
        ...(inherited === undefined ? [] : [inherited]),
      ],
      execArgv: [],
      // Away from the terminal's Ctrl-C: the parent ends its children itself, in order.
      detached: true,
    });
    this.#process.on('message', (message: Reply | Report<Event>) => {
      if ('event' in message) return onEvent(message.event);
      this.#pending.get(message.id)?.(message.answer);
      this.#pending.delete(message.id);
    });
    this.#ended = new Promise((_resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('exit', (code, signal) =>
        reject(new Error(`the ${name} process ended by itself (${signal ?? `code ${code}`})`)),
      );
    });
    // Whoever asks hears of it.
    this.#ended.catch(() => {});
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Asks a question. Rejects when the process ends before it answers. */
  ask<Answer>(question: Ask): Promise<Answer> {
    const id = ++this.#questions;
    const answered = new Promise<Answer>((resolve) =>
      this.#pending.set(id, resolve as (answer: unknown) => void),
    );
    if (this.#process.connected) this.#process.send({ id, ask: question }, () => {});
    return Promise.race([answered, this.#ended]);
  }

  /** Ends the process at once. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

/** The child's side: its options, and a function that reports to the parent. */
export function childOptions<Options>(): Options {
  return JSON.parse(process.argv[2] ?? '{}') as Options;
}

/** The child's side: answers what the parent asks, and ends with it. */
export function answerParent<Ask>(answer: (question: Ask) => unknown): void {
  process.on('message', async ({ id, ask }: Question) => {
    const reply: Reply = { id, answer: (await answer(ask as Ask)) ?? {} };
    if (process.connected) process.send?.(reply);
  });
  process.on('disconnect', () => process.exit());
}

/** The child's side: tells the parent something that it did not ask for. */
export function reportToParent(event: unknown): void {
  if (process.connected) process.send?.({ event });
}
