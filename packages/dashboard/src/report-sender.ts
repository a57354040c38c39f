/** Sends reports over HTTP, one at a time, on a connection that does not keep the process alive. */
import * as http from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '@resil/core';
import type { ReportAnswer } from './protocol.js';
import { controlOf } from './read-report.js';

/** Milliseconds for one report. */
const TIMEOUT = 10_000;
/** Bytes of an answer. */
const MAX_ANSWER = 100_000;
/** Orders in an answer. */
const MAX_COMMANDS = 100;

/** The dashboard answered, and refused: the token is wrong, there is no room, or it is no dashboard. */
export class RefusedReportError extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`the dashboard refused the report (${status}): ${detail}`);
    this.name = 'RefusedReportError';
    this.status = status;
  }
}

/** A connection to a dashboard. */
export class ReportSender {
  readonly #url: URL;
  readonly #token: string;
  readonly #clock: Clock;
  readonly #agent: http.Agent | https.Agent;
  #socket: Socket | undefined;
  #held = false;

  constructor(to: string, token: string, clock: Clock) {
    this.#url = new URL('report', to.replace(/\/*$/, '/'));
    this.#token = token;
    this.#clock = clock;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent =
      this.#url.protocol === 'https:' ? new https.Agent(options) : new http.Agent(options);
  }

  /** Rejects with a {@link RefusedReportError}, or with what broke the connection. */
  send(body: string): Promise<ReportAnswer> {
    return new Promise((resolve, reject) => {
      const { request: start } = this.#url.protocol === 'https:' ? https : http;
      const request = start(this.#url, {
        method: 'POST',
        agent: this.#agent,
        headers: {
          authorization: `Bearer ${this.#token}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      });
      const cancel = this.#clock.schedule(
        () => request.destroy(new Error(`the dashboard did not answer within ${TIMEOUT} ms`)),
        TIMEOUT,
        true,
      );
      request.once('close', cancel);
      request.once('socket', (socket) => {
        this.#socket = socket;
        if (this.#held) socket.ref();
        else socket.unref();
      });
      request.once('error', reject);
      request.once('response', (response) => {
        readAnswer(response).then(resolve, reject);
      });
      request.end(body);
    });
  }

  /** Keeps the process alive from now on while something is sent: somebody waits for it. */
  hold(): void {
    this.#held = true;
    this.#socket?.ref();
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function readAnswer(response: http.IncomingMessage): Promise<ReportAnswer> {
  const status = response.statusCode ?? 0;
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    text += chunk;
    if (text.length > MAX_ANSWER) throw new RefusedReportError(status, 'the answer is too long');
  }
  const answer = asRecord(text);
  if (status !== 200) {
    const detail = typeof answer?.detail === 'string' ? answer.detail : 'it is no dashboard';
    throw new RefusedReportError(status, detail.slice(0, 300));
  }
  const { watched, commands } = answer ?? {};
  if (typeof watched !== 'boolean' || !Array.isArray(commands) || commands.length > MAX_COMMANDS)
    throw new RefusedReportError(status, 'the answer is not that of a dashboard');
  return { watched, commands: commands.map((command) => controlOf(command, 'command')) };
}

function asRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
