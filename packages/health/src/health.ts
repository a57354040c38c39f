/**
 * The health of a process, from its pipelines. What to tell whom:
 *
 * - **live**: whether to restart it. Always, as long as it answers: to restart a service because
 *   something that it calls is down makes one outage two.
 * - **started**: whether it has begun. Until then the others need not ask.
 * - **ready**: whether to send it requests. Not while it starts or drains, nor while something fails that
 *   was declared critical.
 */
import type { Keyed, Pipeline } from '@resil/core';
import { findingsOf, type HealthComponent } from './components.js';
import { Drain, type DrainOptions, type DrainReport } from './drain.js';
import { type HealthOptions, type ResolvedHealthOptions, resolveHealthOptions } from './options.js';
import { OwnCheck } from './own-checks.js';
import { type HealthStatus, softened, worstOf } from './statuses.js';

/** What a probe is told. */
export interface ProbeReport {
  readonly status: HealthStatus;
  /** Why it does not pass; left out where it does. */
  readonly output?: string;
}

/** All that is known, as `application/health+json` has it. */
export interface HealthReport extends ProbeReport {
  readonly version?: string;
  readonly releaseId?: string;
  readonly serviceId?: string;
  readonly description?: string;
  /** By `pipeline:layer`, or the name of your own check. */
  readonly checks: Readonly<Record<string, readonly HealthComponent[]>>;
}

/** The health of a process. One is shared by all who ask. */
export class Health {
  readonly #options: ResolvedHealthOptions;
  readonly #checks: readonly OwnCheck[];
  #started: boolean;
  #drain: Drain | undefined;

  /** @throws `InvalidOptionError` */
  constructor(options: HealthOptions = {}) {
    this.#options = resolveHealthOptions(options);
    const { checks, checkInterval, clock, starting } = this.#options;
    this.#checks = checks.map((check) => new OwnCheck(check, checkInterval, clock));
    this.#started = !starting;
  }

  /** Whether the process is about to end. */
  get draining(): boolean {
    return this.#drain !== undefined;
  }

  /** Says that the service has begun. Needed only with `starting: true`. */
  started(): void {
    this.#started = true;
  }

  /** Whether to restart the process: never because of something that it calls. */
  liveness(): ProbeReport {
    return { status: 'pass' };
  }

  /** Whether the service has begun. */
  startup(): ProbeReport {
    return this.#started ? { status: 'pass' } : { status: 'fail', output: 'starting' };
  }

  /** Whether to send requests. */
  async readiness(): Promise<ProbeReport> {
    const { status, output } = await this.report();
    return output === undefined ? { status } : { status, output };
  }

  /** Everything that is known. */
  async report(): Promise<HealthReport> {
    const { about, pipelines, clock } = this.#options;
    const found = await Promise.all(this.#checks.map((check) => check.find()));
    const time = new Date(clock.epoch?.() ?? clock.now()).toISOString();
    const { checks, status, unavailable } = findingsOf(pipelines(), time);
    const statuses = [status];
    const failing: string[] = unavailable ? ['a critical dependency'] : [];
    for (const { check, result, errorType, at, ...finding } of found) {
      const own = softened(finding.status, check.critical);
      if (own === 'fail') failing.push(`'${check.name}'`);
      statuses.push(own);
      const { observedValue, observedUnit } = result;
      checks[check.name] = [
        {
          componentId: check.name,
          componentType: 'system',
          ...(observedValue !== undefined && { observedValue }),
          ...(observedUnit !== undefined && { observedUnit }),
          status: finding.status,
          time: new Date(at).toISOString(),
          ...(errorType !== undefined && { output: errorType }),
        },
      ];
    }
    const output = this.#whyNot(failing);
    return {
      status: output === undefined ? worstOf(statuses) : 'fail',
      ...defined(about),
      ...(output !== undefined && { output }),
      checks,
    };
  }

  /** Status of each pipeline by its name: what `grpcHealth` goes by. */
  pipelineStatuses(): ReadonlyMap<string, HealthStatus> {
    return findingsOf(this.#options.pipelines(), '').byName;
  }

  /**
   * Ends the service in order: it is not ready any more; after `readinessDelay` nothing new is taken in
   * (`stop`), who waits in a queue is sent away, what runs finishes, and everything is closed (`close`).
   * Never rejects: what failed, or was not done in time, stands in the report. A second call gives the
   * same report.
   *
   * @throws `InvalidOptionError`
   */
  drain(options: DrainOptions = {}): Promise<DrainReport> {
    const { clock, pipelines } = this.#options;
    this.#drain ??= new Drain(options, pipelines as () => readonly (Pipeline | Keyed)[], clock);
    return this.#drain.report;
  }

  #whyNot(failing: readonly string[]): string | undefined {
    if (this.draining) return 'draining';
    if (!this.#started) return 'starting';
    return failing.length > 0 ? `failing: ${failing.join(', ')}` : undefined;
  }
}

/**
 * The health of this process, from its pipelines and checks of your own.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { health, healthHandler } from '@resil/health';
 *
 * const server = createServer(healthHandler(health({ serviceId: 'orders' })));
 * // GET /livez, /readyz, /startupz and /health
 * ```
 */
export function health(options: HealthOptions = {}): Health {
  return new Health(options);
}

function defined(about: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(about).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
