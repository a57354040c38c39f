/**
 * What the host tells about a call, passed on until the call has ended.
 *
 * Node holds a stream of HTTP/2, and with it all that hears of it, until the next full collection of
 * garbage, long after the stream has closed. What hangs on this listener is let go with the status: it
 * dies young, where it would be copied twice and collected late (half of the cost of a guarded call).
 */
import type { InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';

/** A listener in front of another one, which it forgets with the status. */
export class CutListener implements InterceptingListener {
  #listener: InterceptingListener | undefined;

  constructor(listener: InterceptingListener) {
    this.#listener = listener;
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#listener?.onReceiveMetadata(metadata);
  }

  onReceiveMessage(message: unknown): void {
    this.#listener?.onReceiveMessage(message);
  }

  onReceiveStatus(status: StatusObject): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onReceiveStatus(status);
  }
}
