export type { HttpFaults } from './http-faults.js';
export { HttpProcess, type HttpProcessOptions, startHttpProcess } from './http-process.js';
export {
  type HttpCounters,
  type HttpHandler,
  HttpService,
  type HttpServiceOptions,
  type ReceivedRequest,
  startHttpService,
} from './http-server.js';
export type { PostgresOptions, StopMode } from './postgres.js';
export { PostgresServer, startPostgres } from './postgres.js';
export { PostgresUnavailableError } from './postgres-files.js';
export type { SelfSigned } from './self-signed.js';
export { selfSigned } from './self-signed.js';
