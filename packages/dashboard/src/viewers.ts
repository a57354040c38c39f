/**
 * Those who look: connections that get server-sent events. A frame is made once for all of them. There
 * are only so many, one that reads too slowly is cut off, and all end with the server.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import type { DashboardEnd } from './protocol.js';

/** Bytes that a viewer may be behind. */
const MAX_BEHIND = 1_000_000;
/** Milliseconds after which a page connects again. */
const RECONNECT_DELAY = 1_000;

interface Viewer {
  readonly response: ServerResponse;
  readonly server: Pick<Server, 'listening'> | undefined;
  /** Bytes it may be behind: the snapshot is as long as it is. */
  readonly maxBehind: number;
}

/** The viewers of a dashboard. */
export class Viewers {
  readonly #viewers = new Set<Viewer>();
  readonly #onChange: () => void;

  /** `onChange` is told when one comes or goes. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** Answers a request with the stream, which begins with `first`. */
  add(request: IncomingMessage, response: ServerResponse, first: string): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // So that the connection ends with the answer, and the server can.
      connection: 'close',
      // A proxy that buffers would show nothing.
      'x-accel-buffering': 'no',
    });
    response.write(`retry: ${RECONNECT_DELAY}\n\n${first}`);
    const { server } = request.socket as { server?: Pick<Server, 'listening'> };
    const viewer = { response, server, maxBehind: MAX_BEHIND + 2 * first.length };
    this.#viewers.add(viewer);
    response.once('close', () => {
      if (this.#viewers.delete(viewer)) this.#onChange();
    });
    // Lost connections are told by 'close'.
    response.on('error', () => {});
    this.#onChange();
  }

  /** Sends a frame to all. */
  send(frame: string): void {
    for (const { response, maxBehind } of this.#viewers) {
      if (response.writableLength > maxBehind) response.destroy();
      else response.write(frame);
    }
  }

  /** Ends those whose server takes no more connections: it waits for the ones that it has. */
  endClosed(): void {
    for (const viewer of this.#viewers) if (viewer.server?.listening === false) this.#end(viewer);
  }

  /** Ends all. */
  end(): void {
    for (const viewer of this.#viewers) this.#end(viewer);
  }

  #end(viewer: Viewer): void {
    viewer.response.end(frameOf('end', { reason: 'closed' } satisfies DashboardEnd));
    this.#viewers.delete(viewer);
    this.#onChange();
  }
}

/** One server-sent event. */
export function frameOf(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A comment, which keeps a connection alive and says nothing. */
export const HEARTBEAT = ': \n\n';
