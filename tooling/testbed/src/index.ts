export { PostgresUnavailableError } from './postgres-files.js';
export { PostgresServer, startPostgres } from './postgres.js';
export type { PostgresOptions, StopMode } from './postgres.js';
