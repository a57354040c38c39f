/** Ends a TCP connection with an RST and nothing else. */
import type { Socket } from 'node:net';

/**
 * Resets a connection at once. What was written and not yet sent is lost.
 *
 * Node's `resetAndDestroy` goes through `destroySoon`, which ends the stream first: the peer gets a
 * FIN before the RST, and may take it for an orderly end (lib/net.js, `_reset`).
 */
export function resetSocket(socket: Socket): void {
  // libuv refuses to reset while a FIN is on its way out (uv_tcp_close_reset), and before there is a connection.
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || ending) {
    socket.destroy();
    return;
  }
  socket.destroySoon = () => void socket.destroy();
  socket.resetAndDestroy();
}
