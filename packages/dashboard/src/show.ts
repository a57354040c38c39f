/** The rhythm of the dashboard: a sample each interval, made once and sent to all who look. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@resil/core';
import type { Board } from './board.js';
import type { Sampler } from './sampler.js';
import { frameOf, HEARTBEAT, Viewers } from './viewers.js';

/** How many intervals pass between two samples while nobody looks. */
const LEISURE = 5;
/** Milliseconds between two looks whether the server closes. */
const BEAT = 500;
/** Beats between two comments that keep connections alive: 15 s. */
const BEATS_PER_HEARTBEAT = 30;
/** Milliseconds for which events are still heard after the last viewer left: a page may be loading again. */
const LINGER = 10_000;
/** The process itself. */
export const OWN = '0';

/** What a show needs. */
export interface ShowOptions {
  readonly board: Board;
  readonly sampler: Sampler;
  readonly clock: Clock;
  readonly title: string;
  readonly interval: number;
  readonly background: boolean;
  readonly controlToken: string | undefined;
}

/** Samples, and sends what changed. */
export class Show {
  readonly #options: ShowOptions;
  readonly #viewers: Viewers = new Viewers(() => this.#onViewers());
  #before: () => void = () => {};
  #watchedUntil = -Infinity;
  #cancelTick: (() => void) | undefined;
  #cancelBeat: (() => void) | undefined;
  #beats = 0;
  #tickedAt = -Infinity;
  #ended = false;

  constructor(options: ShowOptions) {
    this.#options = options;
  }

  /** Whether somebody looks, or did a moment ago. */
  get watched(): boolean {
    return this.#viewers.size > 0 || this.#options.clock.now() < this.#watchedUntil;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Runs `work` before each sample. */
  beforeSample(work: () => void): void {
    this.#before = work;
  }

  start(): void {
    this.#options.sampler.heed(this.#options.background);
    this.#tick();
  }

  /** Sends the snapshot of now to one more, and what comes after. */
  add(request: IncomingMessage, response: ServerResponse): void {
    this.#options.sampler.heed(true);
    this.#sample();
    const { board, sampler } = this.#options;
    this.#viewers.add(
      request,
      response,
      frameOf('snapshot', board.snapshot(sampler.moment().epoch)),
    );
  }

  /** Tells at once what a person did. */
  sampleNow(): void {
    this.#sample();
  }

  /** Brings the board up to date, unless that was just done. */
  refresh(): void {
    if (this.#options.clock.now() - this.#tickedAt >= this.#options.interval) this.#sample();
  }

  end(): void {
    this.#ended = true;
    this.#cancelTick?.();
    this.#viewers.end();
    this.#cancelBeat?.();
    this.#options.sampler.end();
  }

  #tick(): void {
    const { clock, interval, background, sampler } = this.#options;
    if (!this.watched) sampler.heed(background);
    this.#sample();
    const delay = this.watched ? interval : interval * LEISURE;
    this.#cancelTick = clock.schedule(() => this.#tick(), delay, true);
  }

  #sample(): void {
    const { board, sampler, title, clock, controlToken } = this.#options;
    this.#before();
    this.#tickedAt = clock.now();
    const { pipelines, hidden, events } = sampler.sample();
    const at = sampler.moment().epoch;
    board.update(
      {
        id: OWN,
        name: title,
        pid: process.pid,
        state: 'live',
        seenAt: at,
        control: controlToken !== undefined,
        hidden,
      },
      { pipelines, events },
      at,
    );
    const changes = board.takeChanges(at);
    if (this.#viewers.size > 0) this.#viewers.send(frameOf('sample', changes));
  }

  #onViewers(): void {
    if (this.#ended) return;
    const { clock, interval } = this.#options;
    if (this.#viewers.size === 0) {
      this.#watchedUntil = clock.now() + LINGER;
      this.#cancelBeat?.();
      this.#cancelBeat = undefined;
      return;
    }
    if (this.#cancelBeat !== undefined) return;
    this.#beat();
    // The first one does not wait for a leisurely sample.
    this.#cancelTick?.();
    this.#cancelTick = clock.schedule(() => this.#tick(), interval, true);
  }

  #beat(): void {
    this.#cancelBeat = this.#options.clock.schedule(
      () => {
        this.#beats = (this.#beats + 1) % BEATS_PER_HEARTBEAT;
        if (this.#beats === 0) this.#viewers.send(HEARTBEAT);
        this.#beat();
        this.#viewers.endClosed();
      },
      BEAT,
      true,
    );
  }
}
