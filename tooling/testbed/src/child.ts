/**
 * A process of its own that answers questions and reports by itself, over the channel that `fork`
 * gives. It can be killed and stopped for real, doesn't share our event loop, and never outlives us.
 *
 * An entry of its own, `@resil/testbed/child`: a child need not load all servers that there are.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { forkOnLeash } from './leash.js';

export { INHERITED_FILE } from './leash.js';

/** Longest time until a child answers questions, in ms: many times what a busy machine needs. */
const START_TIMEOUT = 60_000;

/** What a child is started with. */
export interface ChildOptions<Event> {
  /** What it is called in errors. */
  readonly name: string;
  /** Its main file, as it was built: a process of its own has no loader for sources. */
  readonly main: URL;
  /** Handed on as JSON; see {@link childOptions}. */
  readonly options: unknown;
  /** Told what it reports by itself. Default: nobody. */
  readonly onEvent?: (event: Event) => void;
  /** An open file that it is given as `INHERITED_FILE`. */
  readonly inherited?: number;
  /** Milliseconds that it has until it answers questions; then it is killed. Default: 60,000. */
  readonly startTimeout?: number;
}

interface Question {
  readonly id: number;
  readonly ask: unknown;
}

type Message =
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'event'; readonly event: unknown };

/** A running child. `Ask` is what it can be asked, `Event` what it reports by itself. */
export class Child<Ask, Event = never> {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, (answer: unknown) => void>();
  readonly #ended: Promise<never>;
  #questions = 0;

  /** Starts it. */
  constructor(config: ChildOptions<Event>) {
    const { name, startTimeout = START_TIMEOUT } = config;
    this.name = name;
    this.#process = forkOnLeash(
      fileURLToPath(config.main),
      [JSON.stringify(config.options)],
      config.inherited,
    );
    this.#ended = new Promise((_resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`the ${name} process was not ready within ${startTimeout} ms`));
        this.#process.kill('SIGKILL');
      }, startTimeout);
      this.#process.once('error', reject);
      this.#process.once('exit', (code, signal) => {
        clearTimeout(late);
        reject(new Error(`the ${name} process has ended (${signal ?? `code ${code}`})`));
      });
      this.#process.on('message', (message: Message) => {
        if (message.type === 'ready') clearTimeout(late);
        else if (message.type === 'event') config.onEvent?.(message.event as Event);
        else {
          this.#pending.get(message.id)?.(message.answer);
          this.#pending.delete(message.id);
        }
      });
    });
    // Whoever asks hears of it.
    this.#ended.catch(() => {});
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Asks a question. Rejects when the process ends before it answers, or isn't ready in time. */
  ask<Answer>(question: Ask): Promise<Answer> {
    const id = ++this.#questions;
    const answered = new Promise<Answer>((resolve) =>
      this.#pending.set(id, resolve as (answer: unknown) => void),
    );
    if (this.#process.connected) this.#process.send({ id, ask: question }, () => {});
    return Promise.race([answered, this.#ended]);
  }

  /** Stops the process where it is: connections stay open, nothing is answered. */
  suspend(): void {
    this.#process.kill('SIGSTOP');
  }

  /** Lets a suspended process go on. */
  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** Ends the process at once, without a word to its clients. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

/** The child's side: its options. */
export function childOptions<Options>(): Options {
  return JSON.parse(process.argv[2] ?? '{}') as Options;
}

/** The child's side: from now on answers what the parent asks, and ends with it. */
export function answerParent<Ask>(answer: (question: Ask) => unknown): void {
  process.on('message', async ({ id, ask }: Question) => {
    tell({ type: 'answer', id, answer: (await answer(ask as Ask)) ?? {} });
  });
  process.on('disconnect', () => process.exit());
  tell({ type: 'ready' });
}

/** The child's side: tells the parent something that it did not ask for. */
export function reportToParent(event: unknown): void {
  tell({ type: 'event', event });
}

function tell(message: Message): void {
  if (process.connected) process.send?.(message);
}
