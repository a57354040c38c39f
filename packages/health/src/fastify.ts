/** Fastify: a plugin with the routes of the health. */
import { Answers, type HealthRoutes } from './answers.js';
import type { Health } from './health.js';

/** What the plugin needs of a request. */
interface FastifyRequestLike {
  readonly method: string;
  readonly url: string;
}

/** What the plugin needs of a reply. */
interface FastifyReplyLike {
  code(status: number): unknown;
  headers(headers: Readonly<Record<string, string>>): unknown;
  send(body: string): unknown;
}

/** What the plugin needs of a Fastify instance. */
export interface FastifyLike {
  // biome-ignore lint/suspicious/noExplicitAny: a route's handler is of Fastify's own type
  get(path: string, handler: any): unknown;
}

/** Options of {@link fastifyHealth}. */
export interface FastifyHealthOptions extends HealthRoutes {
  /** The health to tell. */
  readonly health: Health;
}

/**
 * A plugin of Fastify: `app.register(fastifyHealth, { health: health() })` answers `/livez`, `/readyz`,
 * `/startupz` and `/health`. Fastify's `prefix` stands before them.
 *
 * Bad options have `app.ready()` reject with an `InvalidOptionError`.
 *
 * @example
 * ```ts no-run (needs Fastify)
 * import { fastifyHealth, health } from '@resil/health';
 *
 * declare const app: { register(plugin: typeof fastifyHealth, options: object): void };
 * app.register(fastifyHealth, { health: health() });
 * ```
 */
export function fastifyHealth(
  app: FastifyLike,
  options: FastifyHealthOptions,
  done: (error?: Error) => void,
): void {
  try {
    const { health, prefix: _, ...routes } = options as FastifyHealthOptions & { prefix?: string };
    const answers = new Answers('fastifyHealth', health, routes);
    for (const path of answers.paths) {
      app.get(path, async (request: FastifyRequestLike, reply: FastifyReplyLike) => {
        const answer = await answers.to(request.method, path);
        if (answer === undefined) return undefined;
        reply.code(answer.status);
        reply.headers(answer.headers);
        return answer.body;
      });
    }
  } catch (error) {
    // What a plugin throws Fastify leaves to nobody.
    done(error as Error);
    return;
  }
  done();
}
