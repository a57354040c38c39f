import { createRequire } from 'node:module';
import {
  type Call,
  CircuitOpenError,
  InvalidOptionError,
  OutcomeUnknownError,
  TimeoutError,
} from '@resil/core';
import {
  KafkaJSConnectionError,
  KafkaJSError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSProtocolError,
  KafkaJSRequestTimeoutError,
} from 'kafkajs';
import { describe, expect, it } from 'vitest';
import {
  classify,
  isRebalance,
  isRefusedForGood,
  isTooLarge,
  meaningOf,
  rootOf,
} from './classify.js';
import { UnknownPartitionError } from './partitioner.js';
import { ProducerSpentError } from './renewable.js';
import { NotAcknowledgedError } from './router.js';
import { TransactionFailedError } from './transaction-object.js';

const protocol = (type: string, retriable: boolean) =>
  new KafkaJSProtocolError(Object.assign(new Error(type), { type, code: 1, retriable }) as never);
const exhausted = (error: Error, retryCount: number) =>
  new KafkaJSNumberOfRetriesExceeded(error as never, { retryCount, retryTime: 1 });
const FATAL_FOR_THE_PRODUCER = [
  'DUPLICATE_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_TXN_STATE',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'TRANSACTION_COORDINATOR_FENCED',
  'UNKNOWN_PRODUCER_ID',
];
const NOT_RETRIABLE_AND_NOBODYS = ['BROKER_NOT_AVAILABLE', 'UNKNOWN'];
const refused = new KafkaJSConnectionError('refused', { code: 'ECONNREFUSED' } as never);

describe('meaningOf', () => {
  it.each([
    ['NOT_ENOUGH_REPLICAS', true, 'cluster', 'none'],
    ['NOT_LEADER_FOR_PARTITION', true, 'cluster', 'none'],
    ['BROKER_NOT_AVAILABLE', false, 'cluster', 'none'],
    ['CONCURRENT_TRANSACTIONS', true, 'cluster', 'none'],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', true, 'cluster', 'maybe'],
    ['REQUEST_TIMED_OUT', true, 'cluster', 'maybe'],
    ['SOMETHING_NEW', true, 'cluster', 'maybe'],
    ['SOMETHING_NEW', false, 'caller', 'none'],
    ['KAFKAJS_UNKNOWN_ERROR_CODE', false, 'cluster', 'maybe'],
    ['MESSAGE_TOO_LARGE', false, 'caller', 'none'],
    ['TOPIC_AUTHORIZATION_FAILED', false, 'caller', 'none'],
    ['INVALID_RECORD', false, 'caller', 'none'],
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', false, 'producer', 'none'],
    ['INVALID_PRODUCER_EPOCH', false, 'producer', 'none'],
    ['UNKNOWN_PRODUCER_ID', false, 'producer', 'none'],
    ['DUPLICATE_SEQUENCE_NUMBER', false, 'producer', 'maybe'],
  ])('tells %s (retriable: %s) for the %s, effect %s', (type, retriable, fault, effect) => {
    expect(meaningOf(protocol(type, retriable))).toMatchObject({ fault, effect });
    const wrapped = new KafkaJSNonRetriableError(exhausted(protocol(type, retriable), 0) as never);
    Object.assign(wrapped, { cause: exhausted(protocol(type, retriable), 0) });
    expect(meaningOf(wrapped)).toMatchObject({ fault, effect });
  });

  it('has a meaning for every answer that kafkajs knows', () => {
    const require = createRequire(import.meta.url);
    const { errorCodes } = require('kafkajs/src/protocol/error.js') as {
      errorCodes: { type: string; retriable: boolean }[];
    };
    expect(errorCodes.length).toBeGreaterThan(80);
    const faults = new Map(
      errorCodes.map(({ type, retriable }) => [type, meaningOf(protocol(type, retriable))?.fault]),
    );
    const of = (fault: string) =>
      [...faults].flatMap(([type, one]) => (one === fault ? [type] : []));
    expect(of('producer').sort()).toEqual(FATAL_FOR_THE_PRODUCER);
    const retriable = errorCodes.flatMap((one) => (one.retriable ? [one.type] : []));
    // kafkajs says of these that they can't be retried: a broker that is away, and answers that tell nothing.
    expect(of('cluster').sort()).toEqual([...retriable, ...NOT_RETRIABLE_AND_NOBODYS].sort());
  });

  it('has a meaning for every error that kafkajs makes', () => {
    const require = createRequire(import.meta.url);
    const errors = require('kafkajs/src/errors.js') as Record<string, unknown>;
    const classes = Object.entries(errors).flatMap(([name, one]) =>
      typeof one === 'function' && name.startsWith('KafkaJS') ? [name] : [],
    );
    const named = (name: string) => meaningOf(Object.assign(new Error(name), { name }));
    const cluster = classes.filter((name) => named(name)?.fault === 'cluster');
    expect(cluster.sort()).toEqual([
      'KafkaJSBrokerNotFound',
      'KafkaJSConnectionClosedError',
      'KafkaJSConnectionError',
      'KafkaJSGroupCoordinatorNotFound',
      'KafkaJSLockTimeout',
      'KafkaJSMetadataNotLoaded',
      'KafkaJSNoBrokerAvailableError',
      'KafkaJSRequestTimeoutError',
      'KafkaJSSASLAuthenticationError',
      'KafkaJSStaleTopicMetadataAssignment',
      'KafkaJSTopicMetadataNotLoaded',
    ]);
    expect(classes.length).toBeGreaterThan(25);
    for (const name of classes) expect(named(name)).toBeDefined();
  });

  it("takes a connection that was closed between two steps for the cluster's failure", () => {
    // A plain error, which kafkajs wraps only where it has repeated.
    const plain = new Error('Broker not connected');
    expect(meaningOf(plain)).toMatchObject({ fault: 'cluster', effect: 'maybe' });
    expect(meaningOf(exhausted(plain, 2))).toMatchObject({ fault: 'cluster', effect: 'maybe' });
  });

  it.each([
    [refused, 'cluster', 'none'],
    [new KafkaJSConnectionError('reset', {} as never), 'cluster', 'maybe'],
    [new KafkaJSRequestTimeoutError('late', {} as never), 'cluster', 'maybe'],
    [new KafkaJSError('The producer is disconnected'), 'caller', 'none'],
    [
      new KafkaJSNonRetriableError(
        'Transaction state exception: Cannot call "commit" in state "COMMITTING"',
      ),
      'producer',
      'none',
    ],
  ])('tells %s', (error, fault, effect) => {
    expect(meaningOf(error)).toMatchObject({ fault, effect });
  });

  it('does not trust the last of several attempts about those before', () => {
    expect(meaningOf(exhausted(refused, 0))?.effect).toBe('none');
    expect(meaningOf(exhausted(refused, 5))?.effect).toBe('maybe');
  });

  it('knows nothing of other errors', () => {
    for (const error of [new TypeError('x'), 'x', undefined, null, 7]) {
      expect(meaningOf(error)).toBeUndefined();
    }
  });
});

describe('rootOf', () => {
  it('follows causes and the first of many, and is not caught by a circle', () => {
    const root = protocol('NOT_LEADER_FOR_PARTITION', true);
    expect(rootOf(exhausted(exhausted(root, 1), 1))).toBe(root);
    expect(rootOf(Object.assign(new Error('all'), { errors: [root] }))).toBe(root);
    const circle: { cause?: unknown } = {};
    circle.cause = { cause: circle };
    expect(() => rootOf(circle)).not.toThrow();
  });
});

describe('classify', () => {
  const ask = (error: unknown, sent: boolean, idempotent?: boolean) =>
    classify({ ok: false, error, duration: 1 }, {
      idempotent,
      attributes: { kafkajs: { operation: 'send', sent } },
    } as unknown as Call);

  it('repeats what was certainly not written, and more where that does no harm', () => {
    expect(ask(exhausted(refused, 0), true)).toEqual({ kind: 'failure', repeat: true });
    expect(ask(exhausted(refused, 5), true)).toEqual({ kind: 'failure', repeat: false });
    expect(ask(exhausted(refused, 5), true, true)).toEqual({ kind: 'failure', repeat: true });
    const late = new TimeoutError('attempt timeout', 1);
    expect(ask(late, false)).toEqual({ kind: 'failure', repeat: true });
    expect(ask(late, true)).toEqual({ kind: 'failure', repeat: false });
    const unknown = new OutcomeUnknownError('x', 'x', undefined);
    expect(ask(unknown, true)).toEqual({ kind: 'failure', repeat: false });
  });

  it('does not blame the cluster for what is not its fault', () => {
    const others = [
      new TypeError('x'),
      protocol('MESSAGE_TOO_LARGE', false),
      protocol('INVALID_PRODUCER_EPOCH', false),
      new CircuitOpenError('x', 1, 'open'),
    ];
    for (const error of others) expect(ask(error, true)).toBe('ignored');
  });
});

describe('isRefusedForGood', () => {
  it.each([
    ['MESSAGE_TOO_LARGE', true],
    ['RECORD_LIST_TOO_LARGE', true],
    ['TOPIC_AUTHORIZATION_FAILED', true],
    ['INVALID_RECORD', true],
    ['UNKNOWN_TOPIC_OR_PARTITION', false],
    ['BROKER_NOT_AVAILABLE', false],
    ['UNKNOWN_PRODUCER_ID', false],
  ])('tells %s: %s', (type, expected) => {
    const retriable = type === 'UNKNOWN_TOPIC_OR_PARTITION';
    expect(isRefusedForGood(protocol(type, retriable))).toBe(expected);
    expect(isTooLarge(protocol(type, retriable))).toBe(type.endsWith('TOO_LARGE'));
  });

  it('is our own refusal of a record too, and nothing that may pass', () => {
    expect(isRefusedForGood(new InvalidOptionError('send.topic', 'x', 'must be'))).toBe(true);
    const passing = [
      new KafkaJSError('The producer is disconnected'),
      new KafkaJSNonRetriableError("The producer is disconnecting; therefore, it can't accept"),
      new CircuitOpenError('x', 1, 'open'),
      new TypeError('x'),
      undefined,
    ];
    for (const error of passing) expect(isRefusedForGood(error)).toBe(false);
  });
});

describe('our own errors', () => {
  it('carry no flag on which kafkajs stops a consumer for good', () => {
    const errors = [
      new CircuitOpenError('x', 1, 'open'),
      new OutcomeUnknownError('x', 'x', undefined),
      new TimeoutError('x', 1),
      new UnknownPartitionError('x', 9, 1),
      new NotAcknowledgedError('x', 0),
      new ProducerSpentError(undefined),
      new TransactionFailedError(undefined),
    ];
    for (const error of errors) {
      expect(error).not.toHaveProperty('retriable');
      expect(['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError']).not.toContain(
        error.name,
      );
    }
  });
});

describe('isRebalance', () => {
  it('knows what kafkajs must see as it is', () => {
    expect(isRebalance(protocol('REBALANCE_IN_PROGRESS', false))).toBe(true);
    expect(isRebalance(protocol('ILLEGAL_GENERATION', false))).toBe(true);
    expect(isRebalance(new Error('x'))).toBe(false);
    expect(isRebalance(undefined)).toBe(false);
  });
});
