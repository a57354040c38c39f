/** What is served at which path, and to whom. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { report } from '@resil/core';
import { script, style } from '#page';
import { type Board, ownIdOf, processOf } from './board.js';
import type { ResolvedDashboardOptions } from './options.js';
import { html, icon } from './page-html.js';
import type { Peers } from './peers.js';
import type { ControlAnswer, ControlRequest } from './protocol.js';
import { MAX_CONTROL, MAX_REPORT, MalformedError, readControl, readReport } from './read-report.js';
import { guard, type Problem, readBody, sendJson, sendProblem, sendText } from './replies.js';
import type { Sampler } from './sampler.js';
import { OWN, type Show } from './show.js';
import { TokenGate } from './token-gate.js';

/** What routes need. */
export interface RoutesParts {
  readonly options: ResolvedDashboardOptions;
  readonly board: Board;
  readonly sampler: Sampler;
  readonly show: Show;
  readonly peers: Peers | undefined;
}

/** Wrong tokens from one address in a minute: from a person, and from processes, of which many may share one. */
const TRIES_OF_A_PERSON = 5;
const TRIES_OF_PROCESSES = 100;

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => unknown;

/** The dashboard's HTTP side. */
export class Routes {
  readonly #parts: RoutesParts;
  #controlGate: TokenGate | undefined;
  #reportGate: TokenGate | undefined;
  readonly #routes: { readonly [route: string]: Handler };

  constructor(parts: RoutesParts) {
    const { options } = parts;
    const { clock, controlToken, reports } = options;
    this.#parts = parts;
    if (controlToken !== undefined)
      this.#controlGate = new TokenGate(controlToken, clock, TRIES_OF_A_PERSON);
    if (reports !== undefined)
      this.#reportGate = new TokenGate(reports.token, clock, TRIES_OF_PROCESSES);
    const page = html(options.title);
    this.#routes = {
      'GET ': (request, response) => sendText(request, response, 'text/html', page),
      'GET app.js': (request, response) => sendText(request, response, 'text/javascript', script),
      'GET style.css': (request, response) => sendText(request, response, 'text/css', style),
      'GET icon.svg': (request, response) => sendText(request, response, 'image/svg+xml', icon),
      'GET events': (request, response) => this.#events(request, response),
      'GET snapshot': (_request, response) => this.#snapshot(response),
      'GET recent': (_request, response) =>
        sendJson(response, parts.board.recent(parts.sampler.moment().epoch)),
      'GET history': (_request, response, url) => this.#history(response, url),
      'POST control': (request, response) => this.#control(request, response),
      'POST report': (request, response) => this.#report(request, response),
    };
  }

  /** Answers a request whose path lies under `mount`, which ends with a slash; others go to `next`. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    mount: string,
    next?: (error?: unknown) => void,
  ): void {
    const url = urlOf(request.url);
    // Express takes the part that it is mounted at off, and keeps it here.
    const { originalUrl } = request as { originalUrl?: string };
    const asked = urlOf(originalUrl ?? request.url);
    if (url === undefined || asked === undefined) {
      guard(response);
      sendProblem(response, NOT_FOUND);
      return;
    }
    if (`${url.pathname}/` === mount || (url.pathname === mount && !asked.pathname.endsWith('/'))) {
      // The page names its parts relative to where it is.
      const last = asked.pathname.slice(asked.pathname.lastIndexOf('/') + 1);
      response.writeHead(308, { location: `${last}/${asked.search}` }).end();
      return;
    }
    if (!url.pathname.startsWith(mount)) {
      if (next !== undefined) next();
      else {
        guard(response);
        sendProblem(response, NOT_FOUND);
      }
      return;
    }
    guard(response);
    this.#answer(request, response, url, url.pathname.slice(mount.length)).catch((error) => {
      report(error, 'the dashboard');
      if (!response.headersSent) sendProblem(response, FAILED);
      else response.destroy();
    });
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    path: string,
  ): Promise<void> {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
    const handler = Object.hasOwn(this.#routes, `${method} ${path}`)
      ? this.#routes[`${method} ${path}`]
      : undefined;
    if (handler === undefined) {
      const other = method === 'GET' ? 'POST' : 'GET';
      const known = Object.hasOwn(this.#routes, `${other} ${path}`);
      sendProblem(response, known ? notAllowed(other) : NOT_FOUND);
      return;
    }
    if (this.#parts.show.ended) sendProblem(response, CLOSED);
    else if (path !== 'report' && !(await this.#mayLook(request))) sendProblem(response, NOT_YOURS);
    else await handler(request, response, url);
  }

  async #mayLook(request: IncomingMessage): Promise<boolean> {
    const { authorize } = this.#parts.options;
    if (authorize === undefined) return true;
    try {
      return (await authorize(request)) === true;
    } catch (error) {
      report(error, 'dashboard.authorize');
      return false;
    }
  }

  #events(request: IncomingMessage, response: ServerResponse): void {
    const { show, options } = this.#parts;
    if (show.viewers >= options.maxViewers)
      sendProblem(response, tooManyViewers(options.maxViewers));
    else if (request.method === 'HEAD') response.end();
    else show.add(request, response);
  }

  #snapshot(response: ServerResponse): void {
    const { show, board, sampler } = this.#parts;
    show.refresh();
    sendJson(response, board.snapshot(sampler.moment().epoch));
  }

  #history(response: ServerResponse, url: URL): void {
    const history = this.#parts.board.history(url.searchParams.get('pipeline') ?? '');
    if (history === undefined) sendProblem(response, NO_PIPELINE);
    else sendJson(response, history);
  }

  async #control(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused =
      (this.#controlGate === undefined ? NO_CONTROL : undefined) ??
      (isSameOrigin(request) ? undefined : FOREIGN) ??
      tokenProblem(this.#controlGate as TokenGate, request);
    if (refused !== undefined) {
      sendProblem(response, refused);
      return;
    }
    const order = await this.#read(request, response, MAX_CONTROL, readControl);
    if (order === undefined) return;
    const answer = processOf(order.pipeline) === OWN ? this.#switch(order) : this.#passOn(order);
    if ('status' in answer) sendProblem(response, answer);
    else sendJson(response, answer);
  }

  #switch(order: ControlRequest): ControlAnswer | Problem {
    const { sampler } = this.#parts;
    const breaker = sampler.breakers(ownIdOf(order.pipeline))[order.breaker];
    if (breaker === undefined || breaker.name !== order.name) return NO_BREAKER;
    breaker[order.action]();
    this.#parts.show.sampleNow();
    return { result: 'done', detail: `circuit '${order.name}' ${DONE[order.action]}` };
  }

  #passOn(order: ControlRequest): ControlAnswer | Problem {
    const told = this.#parts.peers?.command(processOf(order.pipeline), order);
    if (told === undefined) return NO_PIPELINE;
    if ('refused' in told) return { status: 409, title: 'Conflict', detail: told.refused };
    const detail = `'${told.name}' is told to ${order.action} circuit '${order.name}' when it reports next`;
    return { result: 'sent', detail };
  }

  async #report(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { peers } = this.#parts;
    const gate = this.#reportGate;
    if (peers === undefined || gate === undefined) {
      sendProblem(response, NO_REPORTS);
      return;
    }
    const refused = tokenProblem(gate, request);
    if (refused !== undefined) {
      sendProblem(response, refused);
      return;
    }
    const told = await this.#read(request, response, MAX_REPORT, readReport);
    if (told === undefined) return;
    const answer = peers.accept(told);
    if (answer === undefined) sendProblem(response, TOO_MANY_PROCESSES);
    else sendJson(response, answer);
  }

  /** What a request's body says; answers one that can't be read, and gives nothing. */
  async #read<T>(
    request: IncomingMessage,
    response: ServerResponse,
    most: number,
    read: (body: string) => T,
  ): Promise<T | undefined> {
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
      sendProblem(response, NOT_JSON);
      return undefined;
    }
    const body = await readBody(request, most).catch(() => '');
    if (body === undefined) {
      sendProblem(response, tooLarge(most));
      return undefined;
    }
    try {
      return read(body);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      sendProblem(response, { status: 400, title: 'Bad Request', detail: error.message });
      return undefined;
    }
  }
}

const DONE = { isolate: 'is isolated', reset: 'is reset' } as const;

const NOT_FOUND: Problem = {
  status: 404,
  title: 'Not Found',
  detail: 'there is no such part of the dashboard',
};
const NO_PIPELINE: Problem = {
  status: 404,
  title: 'Not Found',
  detail: 'there is no such pipeline any more',
};
const NO_BREAKER: Problem = {
  status: 404,
  title: 'Not Found',
  detail: 'there is no such circuit any more',
};
const FAILED: Problem = {
  status: 500,
  title: 'Internal Server Error',
  detail: 'the dashboard failed; its process has the error',
};
const CLOSED: Problem = {
  status: 503,
  title: 'Service Unavailable',
  detail: 'the dashboard is closed',
};
const NOT_YOURS: Problem = {
  status: 403,
  title: 'Forbidden',
  detail: 'you may not look at this dashboard',
};
const NO_CONTROL: Problem = {
  status: 403,
  title: 'Forbidden',
  detail: 'nothing can be switched from this dashboard: it was made without control',
};
const FOREIGN: Problem = {
  status: 403,
  title: 'Forbidden',
  detail: 'a page of another origin may switch nothing here',
};
const NO_REPORTS: Problem = {
  status: 403,
  title: 'Forbidden',
  detail: 'this dashboard takes no reports: it was made without reports',
};
const TOO_MANY_PROCESSES: Problem = {
  status: 503,
  title: 'Service Unavailable',
  detail: 'this dashboard shows as many processes as it may (reports.maxProcesses)',
  headers: { 'retry-after': '60' },
};
const NOT_JSON: Problem = {
  status: 415,
  title: 'Unsupported Media Type',
  detail: 'the body must be application/json',
};

function notAllowed(allow: string): Problem {
  const detail = `only ${allow} is allowed here`;
  return { status: 405, title: 'Method Not Allowed', detail, headers: { allow } };
}

function tooLarge(most: number): Problem {
  const detail = `the body must have at most ${most} bytes`;
  return { status: 413, title: 'Content Too Large', detail, headers: { connection: 'close' } };
}

function tooManyViewers(most: number): Problem {
  const detail = `there are as many viewers as there may be (maxViewers is ${most}); close one`;
  const headers = { 'retry-after': '10' };
  return { status: 503, title: 'Service Unavailable', detail, headers };
}

function tokenProblem(gate: TokenGate, request: IncomingMessage): Problem | undefined {
  const verdict = gate.check(request.headers.authorization, request.socket.remoteAddress ?? '');
  if (verdict.kind === 'right') return undefined;
  if (verdict.kind === 'wrong') {
    return { status: 403, title: 'Forbidden', detail: 'the token is wrong; nothing was done' };
  }
  const seconds = Math.ceil(verdict.delay / 1_000);
  return {
    status: 429,
    title: 'Too Many Requests',
    detail: `there were too many wrong tokens; try again in ${seconds} s`,
    headers: { 'retry-after': String(seconds) },
  };
}

/** A browser says where a request comes from; what says nothing is no browser, and needs the token alone. */
function isSameOrigin({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  // No page can set it, and no proxy between changes what is true.
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

function urlOf(text: string | undefined): URL | undefined {
  const path = (text ?? '/').replace(/^\/{2,}/, '/');
  return URL.canParse(path, 'http://dashboard') ? new URL(path, 'http://dashboard') : undefined;
}
