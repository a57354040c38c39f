/**
 * gRPC: keeps `grpc.health.v1` true. The service itself is that of the package grpc-health-check, or of
 * whatever else has its `setStatus`.
 */
import {
  type Clock,
  checkOptions,
  clockRule,
  InvalidOptionError,
  type OptionRules,
  objectRule,
  positiveDurationRule,
  report,
  systemClock,
} from '@resil/core';
import { Health } from './health.js';

/** `HealthImplementation` of the package grpc-health-check. */
export interface GrpcHealthLike {
  // biome-ignore lint/suspicious/noExplicitAny: the names of the statuses are that package's own type
  setStatus(service: string, status: any): void;
}

/** Options of {@link grpcHealth}. */
export interface GrpcHealthOptions {
  /**
   * Your services, and the names of the pipelines that each can't do its work without. A service is
   * `NOT_SERVING` while one of them fails, or the process is not ready. Default: none; `''`, the server as a
   * whole, is always told.
   */
  readonly services?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Milliseconds between two looks, above 0. @defaultValue `grpcHealthDefaults.interval` (1,000) */
  readonly interval?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link grpcHealth}. */
export const grpcHealthDefaults: { readonly interval: number } = Object.freeze({ interval: 1_000 });

const rules: OptionRules<GrpcHealthOptions> = {
  services: objectRule('an object of lists of pipeline names by service', (value) =>
    Object.values(value).every(
      (names) => Array.isArray(names) && names.every((name) => typeof name === 'string'),
    ),
  ),
  interval: positiveDurationRule(),
  clock: clockRule,
};

/**
 * Keeps the statuses of a health service those of `health`: at once, every `interval`, and until the
 * function that it gives is called. Does not keep the process alive.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { Server } from '@grpc/grpc-js';
 * import { grpcHealth, health } from '@resil/health';
 * import { HealthImplementation } from 'grpc-health-check';
 *
 * const service = new HealthImplementation();
 * const server = new Server();
 * service.addToServer(server);
 * const end = grpcHealth(health(), service, { services: { 'shop.v1.Orders': ['prices'] } });
 * end();
 * ```
 */
export function grpcHealth(
  health: Health,
  service: GrpcHealthLike,
  options: GrpcHealthOptions = {},
): () => void {
  if (!(health instanceof Health))
    throw new InvalidOptionError('grpcHealth: health', health, 'must be what health() gives');
  if (typeof service?.setStatus !== 'function')
    throw new InvalidOptionError('grpcHealth: service', service, 'must have a setStatus()');
  checkOptions('grpcHealth', options, rules);
  const { services = {}, interval = grpcHealthDefaults.interval, clock = systemClock } = options;
  let forget: () => void = () => {};
  let ended = false;
  const look = async (): Promise<void> => {
    const { status } = await health.readiness();
    const statuses = health.pipelineStatuses();
    service.setStatus('', servingIf(status !== 'fail'));
    for (const [name, needs] of Object.entries(services)) {
      const able = needs.every((pipeline) => statuses.get(pipeline) !== 'fail');
      service.setStatus(name, servingIf(status !== 'fail' && able));
    }
  };
  const goOn = (): void => {
    look()
      .catch((error: unknown) => report(error, 'grpcHealth'))
      .finally(() => {
        if (!ended) forget = clock.schedule(goOn, interval, true);
      });
  };
  goOn();
  return () => {
    ended = true;
    forget();
  };
}

function servingIf(able: boolean): 'SERVING' | 'NOT_SERVING' {
  return able ? 'SERVING' : 'NOT_SERVING';
}
