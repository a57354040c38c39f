/** A viewer that is no browser: reads the stream of server-sent events, one after the other. */
import { get, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import type { DashboardSample, DashboardSnapshot } from '../src/index.js';

/** One server-sent event. */
export interface Frame {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: what it is depends on the event, and each test knows it
  readonly data: any;
}

/** A connection to `events`. */
export class Viewer {
  readonly response: IncomingMessage;
  readonly comments: string[] = [];
  readonly #frames: Frame[] = [];
  #waiting: (() => void) | undefined;
  #ended = false;

  private constructor(response: IncomingMessage) {
    this.response = response;
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      const parts = (rest + text).split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) this.#take(part);
      this.#waiting?.();
    });
    const end = () => {
      this.#ended = true;
      this.#waiting?.();
    };
    response.on('close', end);
    response.on('error', end);
  }

  /** Looks at the dashboard whose page is at `url`; stops when the test ends. */
  static async open(url: string): Promise<Viewer> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = get(new URL('events', url), { agent: false }, resolve);
      request.once('error', reject);
    });
    const viewer = new Viewer(response);
    onTestFinished(() => viewer.close());
    return viewer;
  }

  /** The next event; `undefined` when there is no further one. */
  async next(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#frames.shift();
  }

  async snapshot(): Promise<DashboardSnapshot> {
    return (await this.#expect('snapshot')) as DashboardSnapshot;
  }

  async sample(): Promise<DashboardSample> {
    return (await this.#expect('sample')) as DashboardSample;
  }

  close(): void {
    this.response.destroy();
  }

  async #expect(event: string): Promise<unknown> {
    const frame = await this.next();
    if (frame?.event !== event) throw new Error(`expected ${event}, got ${frame?.event}`);
    return frame.data;
  }

  #take(part: string): void {
    const fields = part.split('\n').map((line) => line.split(/: ?(.*)/s, 2));
    const field = (name: string) => fields.find(([found]) => found === name)?.[1];
    const event = field('event');
    if (event !== undefined) this.#frames.push({ event, data: JSON.parse(field('data') ?? '') });
    else if (part.startsWith(':')) this.comments.push(part);
  }
}
