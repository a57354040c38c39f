/** Paths that answer in one way each, whatever the service's faults are set to. */
import type { HttpHandler } from './http-server.js';

/** How often a trickled body gets another byte, in ms. */
const TRICKLE_INTERVAL = 50;

/** Handlers under `/fault/`, by path. */
export const faultPaths: Readonly<Record<string, HttpHandler>> = {
  /** Never answers. */
  '/fault/hang': () => undefined,
  /** Sends status 200 and half of the body, then nothing. */
  '/fault/stall': (_request, response) => {
    response.writeHead(200, { 'content-length': 10 });
    response.write('half.');
  },
  /** Sends status 200 and half of the body, then cuts the connection. */
  '/fault/cut': (_request, response) => {
    response.writeHead(200, { 'content-length': 10 });
    response.write('half.', () => response.socket?.destroy());
  },
  /** Sends a complete body of 20 bytes, one byte each 50 ms. */
  '/fault/trickle': (_request, response) => {
    response.writeHead(200, { 'content-length': 20 });
    let sent = 0;
    const timer = setInterval(() => {
      response.write('.');
      if (++sent === 20) response.end();
    }, TRICKLE_INTERVAL);
    response.once('close', () => clearInterval(timer));
  },
  /** Resets the connection without an answer. */
  '/fault/reset': (_request, response) => void response.socket?.resetAndDestroy(),
  /** Closes the connection without an answer. */
  '/fault/close': (_request, response) => void response.socket?.destroy(),
  /** Sends what is not HTTP. */
  '/fault/garbage': (_request, response) => void response.socket?.end('this is not HTTP\r\n\r\n'),
  /** Claims to be gzip, and is not. */
  '/fault/gzip': (_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' });
    response.end('this is not gzip');
  },
  /** Claims to be JSON, and is not. */
  '/fault/json': (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{ this is not JSON');
  },
  /** Redirects to itself. */
  '/fault/redirect': (_request, response) => {
    response.writeHead(302, { location: '/fault/redirect' });
    response.end();
  },
  /** Sends a body of 100 kB. */
  '/fault/large': (_request, response) => void response.end('x'.repeat(100_000)),
};
