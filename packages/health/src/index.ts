// Health
export { type HealthRoutes, healthRoutes } from './answers.js';
export type { HealthComponent } from './components.js';
// Drain
export {
  type DrainOptions,
  type DrainReport,
  type DrainStep,
  type DrainStepReport,
  drainDefaults,
} from './drain.js';
// Servers
export { type FastifyHealthOptions, type FastifyLike, fastifyHealth } from './fastify.js';
export {
  type GrpcHealthLike,
  type GrpcHealthOptions,
  grpcHealth,
  grpcHealthDefaults,
} from './grpc.js';
export { Health, type HealthReport, health, type ProbeReport } from './health.js';
export { type HealthHandler, healthHandler } from './http.js';
export {
  type CheckResult,
  type HealthCheck,
  type HealthOptions,
  healthDefaults,
} from './options.js';
export { drainOnSignals, type SignalOptions } from './signals.js';
export type { HealthStatus } from './statuses.js';
