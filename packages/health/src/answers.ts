/** What the routes answer, the same on every server. */
import { checkOptions, InvalidOptionError, type OptionRules } from '@resil/core';
import { Health, type ProbeReport } from './health.js';

/** Where the probes ask; a route that is `false` is not there. */
export interface HealthRoutes {
  /** @defaultValue `healthRoutes.liveness` (`'/livez'`) */
  readonly liveness?: string | false | undefined;
  /** @defaultValue `healthRoutes.readiness` (`'/readyz'`) */
  readonly readiness?: string | false | undefined;
  /** @defaultValue `healthRoutes.startup` (`'/startupz'`) */
  readonly startup?: string | false | undefined;
  /** Everything that is known, for people and tools. @defaultValue `healthRoutes.report` (`'/health'`) */
  readonly report?: string | false | undefined;
}

/** Defaults of {@link HealthRoutes}. */
export const healthRoutes: {
  readonly liveness: string;
  readonly readiness: string;
  readonly startup: string;
  readonly report: string;
} = Object.freeze({
  liveness: '/livez',
  readiness: '/readyz',
  startup: '/startupz',
  report: '/health',
});

const routeRule = {
  test: (value: unknown): boolean =>
    value === false || (typeof value === 'string' && /^\/[^?#\s]*$/.test(value)),
  text: "a path that begins with '/', or false",
};

const rules: OptionRules<HealthRoutes> = {
  liveness: routeRule,
  readiness: routeRule,
  startup: routeRule,
  report: routeRule,
};

/** A complete answer. */
export interface HealthAnswer {
  readonly status: 200 | 405 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Gives the answers of one health's routes. */
export class Answers {
  readonly #routes: ReadonlyMap<string, () => ProbeReport | Promise<ProbeReport>>;

  /** @throws `InvalidOptionError` */
  constructor(owner: string, health: Health, routes: HealthRoutes) {
    if (!(health instanceof Health))
      throw new InvalidOptionError(`${owner}: health`, health, 'must be what health() gives');
    checkOptions(owner, routes, rules);
    const all: [string | false, () => ProbeReport | Promise<ProbeReport>][] = [
      [routes.liveness ?? healthRoutes.liveness, () => health.liveness()],
      [routes.readiness ?? healthRoutes.readiness, () => health.readiness()],
      [routes.startup ?? healthRoutes.startup, () => health.startup()],
      [routes.report ?? healthRoutes.report, () => health.report()],
    ];
    const kept = all.filter((route): route is [string, (typeof route)[1]] => route[0] !== false);
    this.#routes = new Map(kept);
    if (this.#routes.size < kept.length)
      throw new InvalidOptionError(owner, routes, 'must have a path of its own for each route');
  }

  get paths(): readonly string[] {
    return [...this.#routes.keys()];
  }

  /** The answer to a request; `undefined` for a path that is none of ours. */
  to(method: string | undefined, url: string | undefined): Promise<HealthAnswer> | undefined {
    const [path = ''] = (url ?? '').split('?', 1);
    const ask = this.#routes.get(path);
    if (ask === undefined) return undefined;
    return method === 'GET' || method === 'HEAD' ? answerOf(ask) : Promise.resolve(WRONG_METHOD);
  }
}

async function answerOf(ask: () => ProbeReport | Promise<ProbeReport>): Promise<HealthAnswer> {
  const report = await ask();
  return {
    status: report.status === 'fail' ? 503 : 200,
    headers: { 'content-type': 'application/health+json', 'cache-control': 'no-store' },
    body: JSON.stringify(report),
  };
}

const WRONG_METHOD: HealthAnswer = {
  status: 405,
  headers: { allow: 'GET, HEAD', 'cache-control': 'no-store' },
  body: '',
};
