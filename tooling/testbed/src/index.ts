export { type Browser, type Page, startChromium } from './chromium.js';
export { type ChromiumFiles, ChromiumUnavailableError, chromiumFiles } from './chromium-files.js';
export { chromiumMissing, describeWithChromium } from './describe-chromium.js';
export { describeWithKafka, kafkaMissing } from './describe-kafka.js';
export { describeWithPrometheus, prometheusMissing } from './describe-prometheus.js';
export type { TestRunner } from './describe-with.js';
export {
  healthService,
  InventoryClient,
  type InventoryMethods,
  inventoryService,
  type Stock,
} from './grpc-definitions.js';
export type { GrpcFaults } from './grpc-faults.js';
export { GrpcProcess, type GrpcProcessOptions, startGrpcProcess } from './grpc-process.js';
export {
  type GrpcCounters,
  GrpcService,
  type GrpcServiceOptions,
  type ReceivedCall,
  type ServingStatus,
  startGrpcService,
} from './grpc-server.js';
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
export { KafkaCluster, type KafkaOptions, startKafka } from './kafka.js';
export type { KafkaNode } from './kafka-node.js';
export { KafkaUnavailableError } from './kafka-process.js';
export type { PostgresOptions, StopMode } from './postgres.js';
export { PostgresServer, startPostgres } from './postgres.js';
export { PostgresUnavailableError } from './postgres-files.js';
export {
  type PrometheusAlert,
  type PrometheusOptions,
  type PrometheusSample,
  type PrometheusSeries,
  PrometheusServer,
  type PromtoolResult,
  promtool,
  startPrometheus,
} from './prometheus.js';
export {
  type PrometheusFiles,
  PrometheusUnavailableError,
  prometheusFiles,
} from './prometheus-files.js';
export type { SelfSigned } from './self-signed.js';
export { selfSigned } from './self-signed.js';
