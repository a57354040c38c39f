/** Packages whose import means that a service calls somebody else. */

/** Those that an adapter of ours stands before. */
const ADAPTERS: Readonly<Record<string, string>> = {
  axios: '@resil/axios',
  '@grpc/grpc-js': '@resil/grpc',
  kafkajs: '@resil/kafkajs',
  pg: '@resil/pg',
};

/** The adapter for a client library. */
export function adapterOf(library: string): string | undefined {
  return ADAPTERS[library];
}

const LIBRARIES = new Set([
  ...Object.keys(ADAPTERS),
  '@apollo/client',
  '@clickhouse/client',
  '@confluentinc/kafka-javascript',
  '@elastic/elasticsearch',
  '@nats-io/transport-node',
  '@opensearch-project/opensearch',
  '@prisma/client',
  'amqplib',
  'cassandra-driver',
  'couchbase',
  'got',
  'graphql-request',
  'ioredis',
  'ky',
  'memjs',
  'mongodb',
  'mongoose',
  'mssql',
  'mysql',
  'mysql2',
  'nats',
  'neo4j-driver',
  'node-fetch',
  'node-rdkafka',
  'nodemailer',
  'openai',
  'oracledb',
  'pg-promise',
  'postgres',
  'redis',
  'stripe',
  'superagent',
  'undici',
]);

/** Families of packages: one for each service of a cloud. */
const FAMILIES = [/^@aws-sdk\/client-/, /^@google-cloud\//, /^@azure\//];

/** Whether a package calls somebody else. */
export function isClientLibrary(name: string): boolean {
  return LIBRARIES.has(name) || FAMILIES.some((family) => family.test(name));
}

/**
 * Whether two names are those of one library: an SDK's client tells its class (`SQSClient`), an import the
 * package (`@aws-sdk/client-sqs`).
 */
export function sameLibrary(a: string, b: string): boolean {
  return a === b || bareName(a) === bareName(b);
}

function bareName(library: string): string {
  return library.toLowerCase().replace(/aws-sdk|client|[^a-z\d]/g, '');
}
