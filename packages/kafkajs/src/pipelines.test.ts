import { circuitBreaker, fallback, pipeline } from '@resil/core';
import { KafkaJSProtocolError } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { resolveOptions } from './options.js';
import { Pipelines } from './pipelines.js';

const tooLarge = new KafkaJSProtocolError(
  Object.assign(new Error('no'), {
    type: 'MESSAGE_TOO_LARGE',
    code: 10,
    retriable: false,
  }) as never,
);
const failed = (): 'failure' => 'failure';
const fail = async (): Promise<never> => {
  throw tooLarge;
};

describe('Pipelines', () => {
  it("give a pipeline of the user's own the meaning that errors of Kafka have", async () => {
    const breaker = circuitBreaker({ failureThreshold: 1 });
    const own = new Pipelines(resolveOptions({ pipeline: () => pipeline(breaker) })).of(undefined);
    await expect(own.execute(fail)).rejects.toBe(tooLarge);
    expect(breaker.state).toBe('closed');
  });

  it("leave it its own 'classify'", async () => {
    const breaker = circuitBreaker({ failureThreshold: 1 });
    const strict = pipeline({ classify: ({ ok }) => (ok ? 'success' : 'failure') }, breaker);
    const own = new Pipelines(resolveOptions({ pipeline: () => strict })).of(undefined);
    await expect(own.execute(fail)).rejects.toBe(tooLarge);
    expect(breaker.state).toBe('open');
  });

  it.each([
    ['of the standard pipeline', { fallback: () => 'kept' }],
    ["of the user's own", { pipeline: () => pipeline(fallback(() => 'kept')) }],
  ] as const)('let no fallback %s answer for what must be certain', async (_, options) => {
    const resolved = resolveOptions({ ...options, classify: failed });
    expect(await new Pipelines(resolved).of(undefined).execute(fail)).toBe('kept');
    const certain = new Pipelines(resolved, true).of(undefined);
    await expect(certain.execute(fail)).rejects.toBe(tooLarge);
  });

  it('keep what runs once and what may be repeated in one state', async () => {
    const pipelines = new Pipelines(
      resolveOptions({ circuitBreaker: { failureThreshold: 1 }, classify: failed }),
    );
    const whole = pipelines.of(undefined);
    await expect(pipelines.once(whole).execute(fail)).rejects.toBe(tooLarge);
    await expect(whole.execute(fail)).rejects.toMatchObject({ code: 'RESIL_CIRCUIT_OPEN' });
    expect(pipelines.once(whole)).toBe(pipelines.once(whole));
  });
});
