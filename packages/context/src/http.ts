/**
 * node:http and Express: the handler runs within the context that the request brought, or not at all.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { functionRule, InvalidOptionError } from '@resil/core';
import { provideContext, runWithin } from './context.js';
import { Arrivals, type ContextOptions } from './options.js';
import { LATE_BODY, LATE_STATUS, LATE_TYPE } from './refusal.js';

/** A listener to the requests of a `node:http` server. */
export type HttpHandler<
  Request extends IncomingMessage = IncomingMessage,
  Response extends ServerResponse = ServerResponse,
> = (request: Request, response: Response) => unknown;

/** A middleware of Express, or of whatever else takes its kind. */
export type HttpMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * The handler of a `node:http` server, within the context of each request. A request whose deadline
 * has passed is answered with status 504 instead.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { httpContext, remainingTime } from '@resil/context';
 *
 * const server = createServer(httpContext((_request, response) => response.end(`${remainingTime()}`)));
 * server.close();
 * ```
 */
export function httpContext<
  Request extends IncomingMessage = IncomingMessage,
  Response extends ServerResponse = ServerResponse,
>(
  handler: HttpHandler<Request, Response>,
  options: ContextOptions = {},
): HttpHandler<Request, Response> {
  if (!functionRule.test(handler))
    throw new InvalidOptionError('httpContext: handler', handler, 'must be a function');
  const enter = entrance('httpContext', options);
  return (request, response) => enter(request, response, () => handler(request, response));
}

/**
 * A middleware that runs what comes after it within the context of each request. A request whose
 * deadline has passed is answered with status 504 instead.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts no-run (needs Express)
 * import { expressContext } from '@resil/context';
 *
 * declare const app: { use(middleware: ReturnType<typeof expressContext>): void };
 * app.use(expressContext());
 * ```
 */
export function expressContext(options: ContextOptions = {}): HttpMiddleware {
  const enter = entrance('expressContext', options);
  return (request, response, next) => {
    enter(request, response, () => next());
  };
}

function entrance(owner: string, options: ContextOptions) {
  const arrivals = new Arrivals(owner, options);
  provideContext();
  return <T>(request: IncomingMessage, response: ServerResponse, work: () => T): T | undefined => {
    const context = arrivals.contextOf(request.headers);
    if (!arrivals.isLate(context)) return runWithin(context, work);
    response.writeHead(LATE_STATUS, { 'content-type': LATE_TYPE, 'cache-control': 'no-store' });
    response.end(LATE_BODY);
    return undefined;
  };
}
