/** A stream made of a fallback's answer, read one message at a time, as a server's would be. */

/** Who hears the messages. */
export interface AnswerListener {
  message(message: unknown): void;
  end(): void;
  fail(error: unknown): void;
}

type Messages = Iterator<unknown> | AsyncIterator<unknown>;

/** Reads its messages as they are asked for. Belongs to one call. */
export class AnswerStream {
  readonly #messages: Messages;
  readonly #listener: AnswerListener;
  #wanted = 0;
  #reading = false;
  #done = false;

  constructor(messages: Messages, listener: AnswerListener) {
    this.#messages = messages;
    this.#listener = listener;
  }

  /** Asks for one more message. */
  startRead(): void {
    this.#wanted = 1;
    if (!this.#reading) void this.#read();
  }

  /** Nothing more is wanted. */
  cancel(): void {
    this.#done = true;
    Promise.resolve(this.#messages.return?.()).catch(() => {});
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      while (this.#wanted > 0 && !this.#done) {
        this.#wanted = 0;
        const { done, value } = await this.#messages.next();
        if (this.#done) return;
        if (done === true) {
          this.#done = true;
          this.#listener.end();
        } else this.#listener.message(value);
      }
    } catch (error) {
      if (!this.#done) this.#listener.fail(error);
      this.#done = true;
    }
    this.#reading = false;
  }
}

/** The messages that a fallback's answer stands for: those of an iterable, or the answer as the only one. */
export function messagesOf(value: unknown): Messages {
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } =
      value as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
    if (asynchronous !== undefined) return asynchronous.call(value);
    if (synchronous !== undefined) return synchronous.call(value);
  }
  return [value].values();
}
