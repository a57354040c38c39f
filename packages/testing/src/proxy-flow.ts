/**
 * One direction of a proxied connection: reads a socket, holds the bytes for as long as the faults
 * say, and writes them to the other one, in order. Neither side is read faster than the other takes:
 * beyond `MAX_QUEUED_BYTES` held here the source is paused.
 */
import type { Socket } from 'node:net';
import { type Clock, type Random, systemClock } from '@resil/core';
import type { ResolvedCut, ResolvedFlow } from './proxy-faults.js';
import { resetSocket } from './reset-socket.js';

/** Bytes in flight in one direction: enough for 10 MB/s at a delay of 100 ms. */
const MAX_QUEUED_BYTES = 1_048_576;
/** Bytes handed to the sink and not yet taken by the system. */
const MAX_WRITING_BYTES = 65_536;
/** Length of a slice under a bandwidth limit, in ms. */
const SLICE_DURATION = 20;
/**
 * Real time between the last bytes before a cut and its RST, in ms. A peer that finds both at once
 * may take the RST for an orderly end (libuv does: POLLHUP after a partial read is an EOF).
 */
const RESET_PAUSE = 20;
/** A timer that is early by less than this, in ms, counts as on time. */
const EARLY = 1e-3;

/** What travels: bytes, the end of the stream, or its reset; `due` is when it may leave. */
interface Segment {
  what: Buffer | 'end' | 'reset';
  due: number;
}

/** What a flow needs of its surroundings. */
export interface FlowHost {
  readonly clock: Clock;
  readonly random: Random;
  /** The cut was reached and everything before it has been handed to the system. */
  onCut(by: ResolvedCut['by']): void;
  /** So many bytes went to the sink. */
  onBytes(count: number): void;
}

/** One direction of a connection. */
export class ProxyFlow {
  readonly #host: FlowHost;
  #source: Socket | undefined;
  #sink: Socket | undefined;
  #faults: ResolvedFlow;
  #cut: Cutter | undefined;
  /** A cut stalls this direction until the faults are set anew. */
  #halted = false;
  /** Bytes were lost, so nothing may follow. */
  #dead = false;
  #queue: Segment[] = [];
  #head = 0;
  #queuedBytes = 0;
  #writingBytes = 0;
  #lastDue = Number.NEGATIVE_INFINITY;
  /** When the link is free for the next slice. */
  #freeAt = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;
  #cancelReset: (() => void) | undefined;
  #bytes = 0;

  constructor(host: FlowHost, faults: ResolvedFlow, cut: ResolvedCut | undefined) {
    this.#host = host;
    this.#faults = faults;
    this.#cut = cut && new Cutter(cut);
  }

  /** Bytes written to the sink. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether bytes of this direction were lost. */
  get dead(): boolean {
    return this.#dead;
  }

  set(faults: ResolvedFlow, cut: ResolvedCut | undefined): void {
    this.#faults = faults;
    this.#cut = cut && new Cutter(cut);
    this.#halted = false;
    if (faults.mode === 'black-hole' && this.#head < this.#queue.length) this.kill();
    const latest = this.#host.clock.now() + faults.delay + faults.jitterDelay;
    for (const segment of this.#queue) segment.due = Math.min(segment.due, latest);
    this.#lastDue = Math.min(this.#lastDue, latest);
    this.#freeAt = Number.NEGATIVE_INFINITY;
    this.#pump();
  }

  readFrom(source: Socket): void {
    this.#source = source;
    source.on('data', (chunk: Buffer) => this.#arrive(chunk));
    source.on('end', () => this.#arrive('end'));
    this.#regulate();
  }

  writeTo(sink: Socket): void {
    this.#sink = sink;
    this.#pump();
  }

  /** The source is gone without an end: the sink is reset once everything before it has passed. */
  reset(): void {
    this.#arrive('reset');
  }

  /** Drops what is held; from now on everything that arrives is lost. */
  kill(): void {
    this.#dead = true;
    this.#discard();
    this.#regulate();
  }

  /** Gives back timers and what is held. */
  dispose(): void {
    this.#dead = true;
    this.#discard();
    this.#cancelReset?.();
  }

  #discard(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
  }

  #arrive(what: Segment['what']): void {
    if (this.#dead) return;
    if (this.#faults.mode === 'black-hole') {
      this.kill();
      return;
    }
    const { clock, random } = this.#host;
    const { delay, jitterDelay } = this.#faults;
    const due = clock.now() + delay + (jitterDelay > 0 ? jitterDelay * random() : 0);
    this.#lastDue = Math.max(this.#lastDue, due);
    this.#queue.push({ what, due: this.#lastDue });
    if (typeof what !== 'string') this.#queuedBytes += what.length;
    this.#pump();
  }

  /** Sends what is due, and waits for the rest. */
  #pump(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    while (!this.#dead && !this.#halted && this.#faults.mode === 'forward') {
      const segment = this.#queue[this.#head];
      const sink = this.#sink;
      if (segment === undefined || sink === undefined) break;
      if (sink.destroyed) {
        this.kill();
        break;
      }
      const now = this.#host.clock.now();
      const ready =
        typeof segment.what === 'string' ? segment.due : Math.max(segment.due, this.#freeAt);
      if (ready > now + EARLY) {
        this.#cancelTimer = this.#host.clock.schedule(() => this.#pump(), ready - now);
        break;
      }
      if (this.#writingBytes > (typeof segment.what === 'string' ? 0 : MAX_WRITING_BYTES)) break;
      if (segment.what === 'end' || segment.what === 'reset') {
        this.#shift();
        if (segment.what === 'end') sink.end();
        else resetSocket(sink);
      } else {
        this.#send(sink, segment, segment.what, now);
      }
    }
    this.#regulate();
  }

  /** Writes the head of the queue, or as much of it as bandwidth and cut allow. */
  #send(sink: Socket, segment: Segment, chunk: Buffer, now: number): void {
    const { bytesPerSecond } = this.#faults;
    const slice = Math.max(1, Math.floor((bytesPerSecond * SLICE_DURATION) / 1000));
    let piece = chunk.length > slice ? chunk.subarray(0, slice) : chunk;
    const limit = this.#cut?.take(piece) ?? Number.POSITIVE_INFINITY;
    if (limit < piece.length) piece = piece.subarray(0, limit);
    if (piece.length < chunk.length) segment.what = chunk.subarray(piece.length);
    else this.#shift();
    this.#queuedBytes -= piece.length;
    this.#freeAt =
      Math.max(this.#freeAt, now - SLICE_DURATION) + (piece.length * 1000) / bytesPerSecond;
    const by = limit === Number.POSITIVE_INFINITY ? undefined : this.#cut?.by;
    if (by !== undefined) this.#cut = undefined;
    this.#write(sink, piece, by);
    if (by === 'stall') this.#halted = true;
    else if (by !== undefined) this.kill();
  }

  #write(sink: Socket, piece: Buffer, by: ResolvedCut['by'] | undefined): void {
    this.#bytes += piece.length;
    this.#host.onBytes(piece.length);
    this.#writingBytes += piece.length;
    sink.write(piece, () => {
      this.#writingBytes -= piece.length;
      if (by === 'reset') {
        this.#cancelReset = systemClock.schedule(() => this.#host.onCut(by), RESET_PAUSE);
      } else if (by !== undefined) this.#host.onCut(by);
      else if (this.#cancelTimer === undefined) this.#pump();
    });
  }

  #shift(): void {
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Reads the source only while there is room for what it sends. */
  #regulate(): void {
    const source = this.#source;
    if (source === undefined || source.destroyed) return;
    const stalled = this.#faults.mode === 'stall' || this.#halted;
    const read = this.#dead || (!stalled && this.#queuedBytes < MAX_QUEUED_BYTES);
    if (read === source.isPaused()) {
      if (read) source.resume();
      else source.pause();
    }
  }
}

/** Finds the place of a cut in a stream. */
class Cutter {
  readonly by: ResolvedCut['by'];
  #pattern: Uint8Array | undefined;
  #tail: Buffer = Buffer.alloc(0);
  #bytes: number;

  constructor(cut: ResolvedCut) {
    this.by = cut.by;
    this.#pattern = cut.pattern;
    this.#bytes = cut.bytes;
  }

  /** How many bytes of `chunk` pass before the cut; `Infinity` if it is not in there. */
  take(chunk: Buffer): number {
    let start = 0;
    if (this.#pattern !== undefined) {
      const { length } = this.#pattern;
      const seen = Buffer.concat([this.#tail, chunk]);
      const index = seen.indexOf(this.#pattern);
      if (index < 0) {
        this.#tail = seen.subarray(Math.max(0, seen.length - length + 1));
        return Number.POSITIVE_INFINITY;
      }
      start = index + length - this.#tail.length;
      this.#pattern = undefined;
    }
    const rest = chunk.length - start;
    if (this.#bytes <= rest) return start + this.#bytes;
    this.#bytes -= rest;
    return Number.POSITIVE_INFINITY;
  }
}
