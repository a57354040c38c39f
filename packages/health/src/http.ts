/** node:http and Express: answers the routes of the health, and leaves everything else alone. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Answers, type HealthRoutes } from './answers.js';
import type { Health } from './health.js';

/**
 * Answers the routes of a health. Gives whether the request was one of them; of Express, or whatever else
 * has a `next`, that is called otherwise, and without one the answer is 404.
 */
export type HealthHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/**
 * A listener of a `node:http` server of its own, or a middleware of Express, that answers `/livez`,
 * `/readyz`, `/startupz` and `/health`. To put your own listener behind it, give it as `next`.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { health, healthHandler } from '@resil/health';
 *
 * const answer = healthHandler(health());
 * const server = createServer((request, response) => {
 *   answer(request, response, () => response.end('your own'));
 * });
 * ```
 */
export function healthHandler(health: Health, routes: HealthRoutes = {}): HealthHandler {
  const answers = new Answers('healthHandler', health, routes);
  return (request, response, next) => {
    const answering = answers.to(request.method, request.url);
    if (answering === undefined) {
      if (next !== undefined) next();
      else response.writeHead(404).end();
      return;
    }
    answering.then(
      ({ status, headers, body }) => {
        response.writeHead(status, headers);
        response.end(request.method === 'HEAD' ? '' : body);
      },
      (error: unknown) => (next === undefined ? response.writeHead(500).end() : next(error)),
    );
  };
}
