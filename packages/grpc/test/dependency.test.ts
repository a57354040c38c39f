import { type ChannelOptions, Client, credentials } from '@grpc/grpc-js';
import { registered } from '@resil/core';
import { expect, it } from 'vitest';
import { channelOptions, type ResilientOptions, resilient } from '../src/index.js';

const told = (channel: ChannelOptions, options?: ResilientOptions) => {
  const bare = new Client('stock.example:50051', credentials.createInsecure(), channel);
  const client = resilient(bare, options);
  const dependency = registered().at(-1)?.describe().dependency;
  client.close();
  return { client, bare, dependency };
};

const policy = (name: 'retryPolicy' | 'hedgingPolicy', maxAttempts: number): ChannelOptions => {
  const backoff = { initialBackoff: '0.1s', maxBackoff: '1s', backoffMultiplier: 2 };
  const retries = { maxAttempts, ...backoff, retryableStatusCodes: ['UNAVAILABLE'] };
  const own = name === 'retryPolicy' ? retries : { maxAttempts };
  return {
    'grpc.service_config': JSON.stringify({
      loadBalancingConfig: [],
      methodConfig: [{ name: [{ service: 'other' }] }, { name: [{}], [name]: own }],
    }),
  };
};

it('tells what a client stands before', () => {
  expect(told(channelOptions()).dependency).toEqual({
    client: '@grpc/grpc-js',
    target: 'dns:stock.example:50051',
    innerAttempts: 1,
  });
  const dependency = { target: 'stock', critical: true };
  expect(told(channelOptions(), { dependency }).dependency).toMatchObject(dependency);
});

it.each([
  ['a retry policy', policy('retryPolicy', 4), 4],
  ['a hedging policy', policy('hedgingPolicy', 3), 3],
  ['a policy beyond what grpc-js allows', policy('retryPolicy', 9), 5],
  [
    'a policy beyond a limit that was raised',
    { ...policy('retryPolicy', 9), 'grpc-node.retry_max_attempts_limit': 7 },
    7,
  ],
  ['retries switched off', { ...policy('retryPolicy', 4), 'grpc.enable_retries': 0 }, 1],
  ['no service config, and none from DNS', { 'grpc.service_config_disable_resolution': 1 }, 1],
  ['what DNS may bring', {}, undefined],
] as const)('tells the attempts of the channel: %s', (_what, channel, attempts) => {
  const { dependency } = told(channel);
  expect((dependency as { innerAttempts?: number }).innerAttempts).toBe(attempts);
});

it('answers tools that ask whether it is guarded', () => {
  const { client, bare } = told({});
  expect(Reflect.get(client, '@resil/grpc/wrapped')).toBe(true);
  expect(Reflect.get(bare, '@resil/grpc/wrapped')).toBeUndefined();
});
