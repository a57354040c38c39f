/**
 * What kafkajs' errors mean: whose failure it is, whether the message can have been written, and
 * whether the producer object can be used again. kafkajs wraps what went wrong, sometimes twice, and
 * the outer error has neither `type` nor `code`: the table is asked about the root, found by `cause`.
 *
 * The flags are those of kafkajs 2.2.4 (src/protocol/error.js), with two exceptions that are noted.
 */
import { type Classify, isResilienceError } from '@resil/core';
import { kafkaState } from './options.js';

/** Whether the work was done, as far as an error tells. */
export type KafkaEffect = 'none' | 'maybe';

/** What an error of kafkajs means. */
export interface KafkaErrorMeaning {
  /** Whose failure it is: the cluster's, the caller's own, or the producer object's, which must be replaced. */
  readonly fault: 'cluster' | 'caller' | 'producer';
  /** Whether the last attempt can have been written. */
  readonly effect: KafkaEffect;
  /** Whether trying again may help. */
  readonly transient: boolean;
}

interface HostError {
  readonly name?: string;
  readonly type?: string;
  readonly code?: unknown;
  readonly message?: string;
  readonly cause?: unknown;
  readonly errors?: readonly unknown[];
  readonly retriable?: boolean;
  readonly retryCount?: number;
}

const NOT_DONE: KafkaErrorMeaning = { fault: 'cluster', effect: 'none', transient: true };
const MAYBE_DONE: KafkaErrorMeaning = { fault: 'cluster', effect: 'maybe', transient: true };
const OWN: KafkaErrorMeaning = { fault: 'caller', effect: 'none', transient: false };
const FATAL: KafkaErrorMeaning = { fault: 'producer', effect: 'none', transient: false };
const FATAL_MAYBE: KafkaErrorMeaning = { fault: 'producer', effect: 'maybe', transient: false };

/** Answers of a broker. What is not here goes by kafkajs' own flag. */
const byType: Readonly<Record<string, KafkaErrorMeaning>> = {
  // The broker refused it before it wrote anything.
  CORRUPT_MESSAGE: NOT_DONE,
  UNKNOWN_TOPIC_OR_PARTITION: NOT_DONE,
  LEADER_NOT_AVAILABLE: NOT_DONE,
  NOT_LEADER_FOR_PARTITION: NOT_DONE,
  REPLICA_NOT_AVAILABLE: NOT_DONE,
  // kafkajs says that this can't be retried; a broker that is not there now may be there soon.
  BROKER_NOT_AVAILABLE: NOT_DONE,
  GROUP_LOAD_IN_PROGRESS: NOT_DONE,
  GROUP_COORDINATOR_NOT_AVAILABLE: NOT_DONE,
  NOT_COORDINATOR_FOR_GROUP: NOT_DONE,
  NOT_ENOUGH_REPLICAS: NOT_DONE,
  NOT_CONTROLLER: NOT_DONE,
  CONCURRENT_TRANSACTIONS: NOT_DONE,
  KAFKA_STORAGE_ERROR: NOT_DONE,
  LISTENER_NOT_FOUND: NOT_DONE,
  FENCED_LEADER_EPOCH: NOT_DONE,
  UNKNOWN_LEADER_EPOCH: NOT_DONE,
  // It was written, or may be.
  REQUEST_TIMED_OUT: MAYBE_DONE,
  NETWORK_EXCEPTION: MAYBE_DONE,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: MAYBE_DONE,
  UNKNOWN: MAYBE_DONE,
  // An answer that this version of kafkajs has no name for.
  KAFKAJS_UNKNOWN_ERROR_CODE: { fault: 'cluster', effect: 'maybe', transient: false },
  // This producer object has no future.
  OUT_OF_ORDER_SEQUENCE_NUMBER: FATAL,
  DUPLICATE_SEQUENCE_NUMBER: FATAL_MAYBE,
  INVALID_PRODUCER_EPOCH: FATAL,
  INVALID_TXN_STATE: FATAL,
  INVALID_PRODUCER_ID_MAPPING: FATAL,
  TRANSACTION_COORDINATOR_FENCED: FATAL,
  UNKNOWN_PRODUCER_ID: FATAL,
  PRODUCER_FENCED: FATAL,
};

/** Errors that kafkajs makes itself. */
const byName: Readonly<Record<string, KafkaErrorMeaning>> = {
  KafkaJSConnectionError: MAYBE_DONE,
  KafkaJSConnectionClosedError: MAYBE_DONE,
  KafkaJSRequestTimeoutError: MAYBE_DONE,
  KafkaJSBrokerNotFound: NOT_DONE,
  KafkaJSNoBrokerAvailableError: NOT_DONE,
  KafkaJSMetadataNotLoaded: NOT_DONE,
  KafkaJSTopicMetadataNotLoaded: NOT_DONE,
  KafkaJSStaleTopicMetadataAssignment: NOT_DONE,
  KafkaJSGroupCoordinatorNotFound: NOT_DONE,
  // The broker's lock was not had within 65 s: others were in front.
  KafkaJSLockTimeout: NOT_DONE,
  KafkaJSSASLAuthenticationError: { fault: 'cluster', effect: 'none', transient: false },
};

/** Codes of a connection that was never made. */
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']);

/** The error that all began with: `cause` followed to its end. */
export function rootOf(error: unknown): unknown {
  let at = error;
  for (let depth = 0; depth < 10; depth += 1) {
    const { cause, errors } = (at ?? {}) as HostError;
    const next = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
    if (typeof next !== 'object' || next === null || next === at) return at;
    at = next;
  }
  return at;
}

/** What an error of kafkajs means; `undefined` for an error that is not kafkajs' own. */
export function meaningOf(error: unknown): KafkaErrorMeaning | undefined {
  const root = rootOf(error) as HostError | null | undefined;
  if (typeof root !== 'object' || root === null) return undefined;
  const found = meaningOfRoot(root);
  if (found === undefined || found.effect === 'maybe') return found;
  // The last attempt was not written; those before it may have been.
  const repeated = Number((error as HostError).retryCount ?? 0) > 0;
  return repeated && found.transient ? { ...found, effect: 'maybe' } : found;
}

/** Whether what was to be written may have been, for all that an error of a send tells. */
export function mayBeWritten(error: unknown): boolean {
  if (isResilienceError(error)) return error.code === 'RESIL_OUTCOME_UNKNOWN';
  return meaningOf(error)?.effect !== 'none';
}

function meaningOfRoot(root: HostError): KafkaErrorMeaning | undefined {
  if (typeof root.type === 'string') {
    return byType[root.type] ?? (root.retriable === true ? MAYBE_DONE : OWN);
  }
  // A plain error of src/broker/index.js: its connection was closed between two steps.
  if (root.message === 'Broker not connected') return MAYBE_DONE;
  // Bricked: no end of a transaction was answered, so that none can begin.
  if (/^Transaction state exception/.test(root.message ?? '')) return FATAL;
  if (NEVER_CONNECTED.has(String(root.code))) return NOT_DONE;
  const named = byName[root.name ?? ''];
  if (named !== undefined) return named;
  return root.name?.startsWith('KafkaJS') ? OWN : undefined;
}

/**
 * What outcomes of sends and transactions mean for breaker and retry. An error that is neither
 * kafkajs' nor ours is the caller's own.
 */
export const classify: Classify = (outcome, call) => {
  if (outcome.ok) return 'success';
  const sent = kafkaState(call)?.sent === true;
  const harmless = call.idempotent === true;
  if (isResilienceError(outcome.error)) {
    if (outcome.error.code === 'RESIL_TIMEOUT' || outcome.error.code === 'RESIL_OUTCOME_UNKNOWN') {
      return { kind: 'failure', repeat: (!sent || harmless) && call.idempotent !== false };
    }
    return 'ignored';
  }
  const meaning = meaningOf(outcome.error);
  if (meaning === undefined || meaning.fault !== 'cluster') return 'ignored';
  const safe = meaning.effect === 'none' ? call.idempotent !== false : harmless;
  return { kind: 'failure', repeat: meaning.transient && safe };
};

/** Whether a topic does not take messages of that size. */
export function isTooLarge(error: unknown): boolean {
  const { type } = (rootOf(error) ?? {}) as HostError;
  return type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE';
}

/** Whether a message was refused so that sending it again can't help: by the broker, or because there can be no such topic. */
export function isRefusedForGood(error: unknown): boolean {
  const root = rootOf(error) as HostError | null | undefined;
  if (root?.code === 'RESIL_INVALID_OPTION') return true;
  return typeof root?.type === 'string' && meaningOf(error)?.fault === 'caller';
}

/** Whether an error says that a consumer's group is being shared out anew; kafkajs must see it as it is. */
export function isRebalance(error: unknown): boolean {
  const { type } = (error ?? {}) as HostError;
  return (
    type === 'REBALANCE_IN_PROGRESS' ||
    type === 'NOT_COORDINATOR_FOR_GROUP' ||
    type === 'ILLEGAL_GENERATION' ||
    type === 'UNKNOWN_MEMBER_ID'
  );
}
