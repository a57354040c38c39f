/**
 * Asks the server to stop what a connection is running, as libpq's PQcancel does: a CancelRequest
 * with the connection's process id and secret, on a socket of its own (TLS if the connection has it).
 * It needs no slot of the pool and none of the server's `max_connections`.
 *
 * The server signals the backend first and closes the socket then. Until it is closed, the cancel may
 * still hit whatever the connection runs next: nobody else may use the connection before.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import { isIP, Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { RawClient } from './raw-client.js';

const CANCEL_REQUEST = 80877102;
const SSL_REQUEST = 80877103;

/**
 * Sends a cancel request for what `client` is running. `onClosed` is called once: `true` when the
 * server took it and closed the socket, `false` when it couldn't be delivered or that isn't certain.
 *
 * @returns Gives up waiting; `onClosed(false)` follows unless it has been called.
 */
export function sendCancel(client: RawClient, onClosed: (delivered: boolean) => void): () => void {
  const packet = cancelPacket(client);
  let open = true;
  const close = (delivered: boolean): void => {
    if (!open) return;
    open = false;
    socket.destroy();
    onClosed(delivered);
  };
  const socket = new Socket();
  if (packet === undefined) {
    queueMicrotask(() => close(false));
    return () => close(false);
  }
  const send = (stream: Socket): void => {
    let sent = false;
    stream.on('error', () => close(false));
    stream.on('close', () => close(sent));
    // The server says nothing more, but its end of the stream shows only to one who reads.
    stream.resume();
    stream.write(packet, (error) => {
      sent = !error;
    });
  };
  socket.setNoDelay(true);
  socket.on('error', () => close(false));
  socket.on('close', () => close(false));
  socket.once('connect', () => {
    socket.removeAllListeners('close');
    if (!client.ssl) send(socket);
    else if (client.sslNegotiation === 'direct') secure(socket, client, send);
    else
      askForTls(
        socket,
        () => secure(socket, client, send),
        () => close(false),
      );
  });
  connectLike(client, socket);
  return () => close(false);
}

/** To the very server that the connection is with: a host's name may stand for several. */
function connectLike(client: RawClient, socket: Socket): void {
  if (client.host?.startsWith('/')) {
    socket.connect(`${client.host}/.s.PGSQL.${client.port}`);
    return;
  }
  const peer = client.connection.stream as Partial<Socket>;
  socket.connect(peer.remotePort ?? client.port, peer.remoteAddress ?? client.host);
}

function askForTls(socket: Socket, onYes: () => void, onNo: () => void): void {
  socket.once('close', onNo);
  socket.once('data', (answer) => {
    socket.removeListener('close', onNo);
    if (answer.toString('latin1') === 'S') onYes();
    else onNo();
  });
  const request = Buffer.alloc(8);
  request.writeInt32BE(8, 0);
  request.writeInt32BE(SSL_REQUEST, 4);
  socket.write(request);
}

/** The same settings as pg's own: lib/connection.js, `upgradeToSSL`. */
function secure(socket: Socket, client: RawClient, send: (stream: Socket) => void): void {
  const options: ConnectionOptions = {
    ...(client.ssl === true ? {} : (client.ssl as ConnectionOptions)),
  };
  // pg hides the key from enumeration.
  const { key } = client.ssl as ConnectionOptions;
  if (key !== undefined) options.key = key;
  if (client.sslNegotiation === 'direct') options.ALPNProtocols = ['postgresql'];
  if (isIP(client.host) === 0) options.servername = client.host;
  send(connectTls({ ...options, socket, host: client.host }));
}

/** `undefined` if the connection can't be cancelled: it never came up, or is not pg's own (pg-native). */
function cancelPacket(client: RawClient): Buffer | undefined {
  const { processID, secretKey } = client;
  if (typeof processID !== 'number' || secretKey === null || secretKey === undefined)
    return undefined;
  const secret = typeof secretKey === 'number' ? Buffer.alloc(4) : Buffer.from(secretKey);
  if (typeof secretKey === 'number') secret.writeInt32BE(secretKey, 0);
  const packet = Buffer.alloc(12 + secret.length);
  packet.writeInt32BE(packet.length, 0);
  packet.writeInt32BE(CANCEL_REQUEST, 4);
  packet.writeInt32BE(processID, 8);
  secret.copy(packet, 12);
  return packet;
}
