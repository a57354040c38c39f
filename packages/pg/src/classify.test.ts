import type { Call, Outcome, Verdict } from '@resil/core';
import { pipeline, QueueTimeoutError, TimeoutError } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { classify, meaningOf, sqlStateOf } from './classify.js';
import type { PgCallState } from './options.js';

const state = (code: string, severity = 'ERROR', message = ''): Error =>
  Object.assign(new Error(message), { code, severity });
const at = (changes: Partial<PgCallState> = {}): PgCallState => ({
  operation: 'query',
  target: 'any',
  phase: 'sent',
  transaction: false,
  held: false,
  untouched: false,
  ...changes,
});

/** Asks about an error as a pipeline would. */
async function verdict(error: unknown, pg?: PgCallState, idempotent?: boolean): Promise<Verdict> {
  let found: Verdict | undefined;
  const ask = (outcome: Outcome, call: Call): Verdict => {
    found = classify(outcome, call);
    return found;
  };
  await pipeline(
    {},
    {
      name: 'ask',
      enter() {},
      leave: (_: unknown, call: Call, outcome: Outcome) => void ask(outcome, call),
    },
  )
    .execute(() => Promise.reject(error), {
      idempotent,
      attributes: pg === undefined ? {} : { pg },
    })
    .catch(() => {});
  return found as Verdict;
}

describe('meaningOf', () => {
  it.each([
    ['08006', 'failure', 'maybe', 'idempotent', true],
    ['08P01', 'failure', 'maybe', 'idempotent', true],
    ['08001', 'failure', 'no', 'safe', true],
    ['57P01', 'failure', 'maybe', 'idempotent', true],
    ['57P02', 'failure', 'maybe', 'idempotent', true],
    ['57P03', 'failure', 'no', 'safe', true],
    ['53300', 'failure', 'no', 'safe', true],
    ['40001', 'success', 'undone', 'safe', false],
    ['40P01', 'success', 'undone', 'safe', false],
    ['40003', 'failure', 'maybe', 'idempotent', false],
    ['40002', 'success', 'undone', 'never', false],
    ['55P03', 'success', 'undone', 'idempotent', false],
    ['57014', 'failure', 'undone', 'never', false],
    ['25006', 'failure', 'no', 'safe', true],
    ['25P03', 'ignored', 'undone', 'never', true],
    ['25P02', 'success', 'undone', 'never', false],
    ['53100', 'failure', 'undone', 'never', false],
    ['53200', 'failure', 'undone', 'never', false],
    ['58030', 'failure', 'undone', 'never', false],
    ['XX000', 'failure', 'undone', 'never', false],
    ['23505', 'success', 'undone', 'never', false],
    ['22P02', 'success', 'undone', 'never', false],
    ['42601', 'success', 'undone', 'never', false],
    ['28P01', 'success', 'undone', 'never', false],
    ['3D000', 'success', 'undone', 'never', false],
    ['0A000', 'success', 'undone', 'never', false],
    ['P0001', 'success', 'undone', 'never', false],
    ['ECONNREFUSED', 'failure', 'no', 'safe', true],
    ['ENOTFOUND', 'failure', 'no', 'safe', true],
    ['ECONNRESET', 'failure', 'maybe', 'idempotent', true],
    ['EPIPE', 'failure', 'maybe', 'idempotent', true],
    ['CERT_HAS_EXPIRED', 'failure', 'no', 'never', true],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'failure', 'no', 'never', true],
  ] as const)('%s is a %s, effect %s, repeat %s', (code, kind, effect, repeat, fatal) => {
    expect(meaningOf(state(code))).toEqual({ kind, effect, repeat, fatal });
  });

  it.each([
    ['Connection terminated unexpectedly', 'failure', 'maybe'],
    ['Connection terminated', 'failure', 'maybe'],
    ['Query read timeout', 'failure', 'maybe'],
    ['Connection terminated due to connection timeout', 'failure', 'no'],
    ['timeout expired', 'failure', 'no'],
    ['Client has encountered a connection error and is not queryable', 'failure', 'no'],
    ['Client was closed and is not queryable', 'failure', 'no'],
    ['timeout exceeded when trying to connect', 'ignored', 'no'],
    ['Cannot use a pool after calling end on the pool', 'ignored', 'no'],
    ['whatever else', 'ignored', 'maybe'],
  ])("'%s' is a %s, effect %s", (message, kind, effect) => {
    expect(meaningOf(new Error(message))).toMatchObject({ kind, effect });
  });

  it('gives up a connection on every FATAL', () => {
    expect(meaningOf(state('28P01', 'FATAL')).fatal).toBe(true);
    expect(meaningOf(state('28P01')).fatal).toBe(false);
  });

  it('tells a timeout from a cancel by somebody else', () => {
    const by = (who: string): Error => state('57014', 'ERROR', `canceling statement due to ${who}`);
    expect(meaningOf(by('statement timeout')).kind).toBe('failure');
    expect(meaningOf(by('user request')).kind).toBe('ignored');
  });

  it('looks through what wraps an error', () => {
    const wrapped = new Error('Failed query', { cause: state('40001') });
    expect(meaningOf(wrapped).repeat).toBe('safe');
    expect(sqlStateOf(wrapped)).toBe('40001');
    const addresses = new AggregateError([state('ECONNREFUSED'), state('ECONNREFUSED')]);
    expect(meaningOf(addresses).repeat).toBe('safe');
    expect(sqlStateOf(addresses)).toBeUndefined();
    const loop = new Error('loop');
    loop.cause = loop;
    expect(meaningOf(loop).kind).toBe('ignored');
    for (const odd of [undefined, null, 'text', 42]) expect(meaningOf(odd).kind).toBe('ignored');
  });
});

describe('classify', () => {
  const reset = state('ECONNRESET');
  const conflict = state('40001');

  it('repeats what may have run only where its caller allows it', async () => {
    expect(await verdict(reset, at())).toEqual({ kind: 'failure', repeat: false });
    expect(await verdict(reset, at(), true)).toEqual({ kind: 'failure', repeat: true });
    expect(await verdict(reset, at({ phase: 'connecting' }))).toEqual({
      kind: 'failure',
      repeat: true,
    });
    expect(await verdict(reset, at({ phase: 'ready' }))).toEqual({ kind: 'failure', repeat: true });
    expect(await verdict(reset)).toEqual({ kind: 'failure', repeat: false });
  });

  it('repeats what was rolled back, but never a part of a transaction', async () => {
    expect(await verdict(conflict, at())).toEqual({ kind: 'success', repeat: true });
    expect(await verdict(conflict, at({ held: true }))).toEqual({ kind: 'success', repeat: true });
    expect(await verdict(conflict, at({ held: true, transaction: true }), true)).toEqual({
      kind: 'success',
      repeat: false,
    });
  });

  it('does not repeat on a connection that is lost', async () => {
    expect(await verdict(reset, at({ held: true }), true)).toEqual({
      kind: 'failure',
      repeat: false,
    });
    expect(await verdict(state('25006'), at({ held: true }))).toEqual({
      kind: 'failure',
      repeat: false,
    });
    expect(await verdict(state('25006'), at())).toEqual({ kind: 'failure', repeat: true });
  });

  it('blames a timeout on the server, unless the call only waited for the pool', async () => {
    const late = new TimeoutError('attempt timeout', 100);
    expect(await verdict(late, at())).toEqual({ kind: 'failure', repeat: false });
    expect(await verdict(late, at(), true)).toEqual({ kind: 'failure', repeat: true });
    expect(await verdict(late, at({ phase: 'connecting' }))).toEqual({
      kind: 'failure',
      repeat: true,
    });
    expect(await verdict(late, at({ phase: 'waiting' }))).toEqual({
      kind: 'ignored',
      repeat: false,
    });
    expect(await verdict(new QueueTimeoutError('pool', 100), at())).toEqual({
      kind: 'ignored',
      repeat: false,
    });
  });
});
