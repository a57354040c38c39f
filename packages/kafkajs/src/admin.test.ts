import { OutcomeUnknownError, type Pipeline, standard, TimeoutError } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { type Admin, KafkaJSProtocolError } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { wrapAdmin } from './admin.js';
import { classify } from './classify.js';

const protocol = (type: string, retriable: boolean) =>
  new KafkaJSProtocolError(Object.assign(new Error(type), { type, code: 1, retriable }) as never);

/** An admin whose every method fails with `error`, or never answers without one, in a pipeline on virtual time. */
function bench(error?: Error) {
  const clock = new VirtualClock();
  const calls: string[] = [];
  const method = (name: string) => () => {
    calls.push(name);
    return error === undefined ? new Promise(() => {}) : Promise.reject(error);
  };
  const names = [
    'listTopics',
    'fetchOffsets',
    'describeConfigs',
    'createTopics',
    'deleteTopics',
    'setOffsets',
    'alterConfigs',
  ];
  const bare = Object.fromEntries(names.map((name) => [name, method(name)])) as unknown as Admin;
  const pipeline: Pipeline = standard({
    clock,
    classify,
    totalTimeout: 10_000,
    attemptTimeout: 1_000,
    circuitBreaker: false,
    retry: { maxAttempts: 3, baseDelay: 100, jitter: 'none', budget: false },
  });
  const admin = wrapAdmin(bare, pipeline);
  const failure = (call: Promise<unknown>) =>
    clock.runUntilSettled(
      call.then(
        () => undefined,
        (reason: unknown) => reason,
      ),
    );
  return { admin, calls, failure };
}
const TOPICS = { topics: [{ topic: 'orders' }] };
const OFFSETS = { groupId: 'billing', topics: ['orders'] };

describe('wrapAdmin', () => {
  it('repeats what only asks, whatever became of it', async () => {
    const { admin, calls, failure } = bench(protocol('REQUEST_TIMED_OUT', true));
    await failure(admin.listTopics());
    await failure(admin.fetchOffsets(OFFSETS));
    await failure(admin.createTopics({ ...TOPICS, validateOnly: true }));
    expect(calls.join(' ')).toBe(
      `${'listTopics '.repeat(3)}${'fetchOffsets '.repeat(3)}${'createTopics '.repeat(3)}`.trim(),
    );
  });

  it('repeats what changes something only if it certainly was not done', async () => {
    const refused = bench(protocol('NOT_CONTROLLER', true));
    await refused.failure(refused.admin.createTopics(TOPICS));
    expect(refused.calls).toHaveLength(3);
    const unknown = bench(protocol('REQUEST_TIMED_OUT', true));
    await unknown.failure(unknown.admin.createTopics(TOPICS));
    await unknown.failure(unknown.admin.fetchOffsets({ ...OFFSETS, resolveOffsets: true }));
    expect(unknown.calls).toEqual(['createTopics', 'fetchOffsets']);
  });

  it("passes the broker's no on at once", async () => {
    const no = protocol('TOPIC_AUTHORIZATION_FAILED', false);
    const { admin, calls, failure } = bench(no);
    expect(await failure(admin.listTopics())).toBe(no);
    expect(await failure(admin.deleteTopics({ topics: ['orders'] }))).toBe(no);
    expect(calls).toEqual(['listTopics', 'deleteTopics']);
  });

  it('frees the caller when no answer comes, and says what that means', async () => {
    const { admin, calls, failure } = bench();
    expect(await failure(admin.listTopics())).toBeInstanceOf(TimeoutError);
    expect(calls.splice(0)).toEqual(['listTopics', 'listTopics', 'listTopics']);
    const error = await failure(admin.deleteTopics({ topics: ['orders'] }));
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect((error as Error).message).toMatch(/deleteTopics was not answered in time/);
    expect(calls).toEqual(['deleteTopics']);
  });

  it('adds no method that the client lacks', () => {
    expect(Object.keys(bench().admin)).not.toContain('createAcls');
  });
});
