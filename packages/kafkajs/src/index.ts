// The seam

export type { KafkaEffect, KafkaErrorMeaning } from './classify.js';
// What outcomes mean
export { classify, meaningOf, rootOf } from './classify.js';
// Consumers
export { classifyHandler } from './classify-handler.js';
export type { ConsumerOptions, GivenUpMessage, UndeliverableMessage } from './consumer-options.js';
export { consumerDefaults } from './consumer-options.js';
export type { OmittedPart } from './dead-letter.js';
export { resilienceHeaders } from './dead-letter.js';
export type { FileStoreOptions } from './file-store.js';
export { fileStore, fileStoreDefaults, OutboxDamagedError } from './file-store.js';
export type { BatchHandlerOptions, Drainable } from './handler.js';
export { resilientBatchHandler, resilientHandler } from './handler.js';
export type { HandlerContext } from './handling.js';
export type { KafkaCallState, KafkaOptions, SendResilience } from './options.js';
// Options
export { kafkaDefaults } from './options.js';
// What could not be sent
export { Outbox, outbox } from './outbox.js';
export type {
  Appended,
  OutboxOptions,
  OutboxStore,
  StoredEntry,
  StoredMessage,
} from './outbox-options.js';
export { OutboxFullError, outboxDefaults } from './outbox-options.js';
export { UnknownPartitionError } from './partitioner.js';
export type { Redriven, RedriveOptions } from './redrive.js';
export { redrive } from './redrive.js';
export { ProducerSpentError } from './renewable.js';
export { resilient } from './resilient.js';
export { NotAcknowledgedError } from './router.js';
export type {
  Queryable,
  QueryablePool,
  TableStore,
  TableStoreOptions,
} from './table-store.js';
export { tableStore, tableStoreDefaults } from './table-store.js';
export type { TransactionOptions } from './transaction.js';
// Transactions
export { transaction, transactionDefaults } from './transaction.js';
export { TransactionFailedError } from './transaction-object.js';
