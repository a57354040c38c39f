import { pipeline, registered, timeout } from '@resil/core';
import { Kafka, type RetryOptions } from 'kafkajs';
import { expect, it } from 'vitest';
import { type KafkaOptions, resilient } from '../src/index.js';

const told = (retry: RetryOptions | undefined, options?: KafkaOptions) => {
  const kafka = new Kafka({ brokers: ['kafka.example:9092'], ...(retry && { retry }) });
  const client = resilient(kafka, options);
  return { client, dependency: registered().at(-1)?.describe().dependency };
};

it('tells what a client stands before, and how often kafkajs sends', () => {
  expect(told(undefined).dependency).toEqual({ client: 'kafkajs', innerAttempts: 6 });
  expect(told({ retries: 0 }).dependency).toEqual({ client: 'kafkajs', innerAttempts: 1 });
  expect(told({ retries: Infinity }).dependency).toEqual({
    client: 'kafkajs',
    innerAttempts: Number.MAX_SAFE_INTEGER,
  });
});

it('lets what the user says go first, beside a pipeline of his own too', () => {
  const dependency = { critical: true, target: 'kafka.example:9092' };
  const whole = { client: 'kafkajs', innerAttempts: 6, ...dependency };
  expect(told(undefined, { dependency }).dependency).toEqual(whole);
  const own = () => pipeline(timeout({ duration: 500 }));
  expect(told(undefined, { dependency, pipeline: own }).dependency).toEqual(whole);
});
