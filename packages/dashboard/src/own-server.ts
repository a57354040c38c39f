/** A server that serves nothing but the dashboard. */
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { InvalidOptionError } from '@resil/core';
import { guard, sendProblem } from './replies.js';

/** A dashboard's own server. */
export interface DashboardServer {
  /** Where the page is. */
  readonly url: string;
  readonly port: number;
  /** Stops it; pages that are open are told. */
  close(): Promise<void>;
}

/** A dashboard could not listen. The message says why and what to do; `code` is that of the system: `'EADDRINUSE'`. */
export class DashboardListenError extends Error {
  readonly code: string;

  constructor(where: string, cause: NodeJS.ErrnoException) {
    super(`the dashboard can't listen on ${where}: ${remedy(cause)}`, { cause });
    this.name = 'DashboardListenError';
    this.code = cause.code ?? 'UNKNOWN';
  }
}

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Listens on loopback, unless another host is named. */
export async function listen(
  handler: RequestListener,
  port: number,
  host = '127.0.0.1',
): Promise<DashboardServer> {
  if (!Number.isSafeInteger(port) || port < 0 || port > 65_535)
    throw new InvalidOptionError('dashboard.listen: port', port, 'must be from 0 to 65535');
  const local = LOOPBACK.test(host);
  const server = createServer((request, response) => {
    if (!local || isLocalName(request.headers.host)) {
      handler(request, response);
      return;
    }
    // A page elsewhere whose name was made to lead here.
    guard(response);
    const detail = 'this dashboard is reached by an IP address or as localhost alone';
    sendProblem(response, { status: 421, title: 'Misdirected Request', detail });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new DashboardListenError(`${host}:${port}`, error)),
    );
    server.listen(port, host, resolve);
  });
  const { port: actual, address, family } = server.address() as AddressInfo;
  const shown = family === 'IPv6' ? `[${address}]` : address;
  return {
    url: `http://${shown}:${actual}/`,
    port: actual,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

function isLocalName(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0;
}

function remedy({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use; take another one, or 0 for one that is free';
    case 'EACCES':
      return 'the process may not use this port; take one above 1023';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address';
    default:
      return message;
  }
}
