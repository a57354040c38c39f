import {
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import { circuitBreaker, type Pipeline, pipeline } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { service as definition, HealthImplementation } from 'grpc-health-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { grpcHealth, health } from '../src/index.js';

async function serve(service: HealthImplementation) {
  const server = new Server();
  service.addToServer(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const Client = makeGenericClientConstructor(definition, 'Health');
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
  });
  return (name: string): Promise<string> =>
    new Promise((resolve, reject) => {
      client.check?.({ service: name }, (error: ServiceError | null, answer: { status: string }) =>
        error === null ? resolve(answer.status) : reject(error),
      );
    });
}

describe('grpcHealth', () => {
  it('keeps grpc.health.v1 of a real server true', async () => {
    const clock = new VirtualClock();
    const breaker = circuitBreaker({ clock });
    const pipelines: Pipeline[] = [pipeline({ name: 'prices', clock }, breaker)];
    const own = health({ clock, pipelines: () => pipelines });
    const service = new HealthImplementation();
    const check = await serve(service);
    const end = grpcHealth(own, service, {
      clock,
      services: { 'shop.v1.Orders': ['prices'], 'shop.v1.Stock': ['stock'] },
    });
    onTestFinished(end);
    const all = () => Promise.all(['', 'shop.v1.Orders', 'shop.v1.Stock'].map(check));
    await clock.flush();
    expect(await all()).toEqual(['SERVING', 'SERVING', 'SERVING']);
    breaker.isolate();
    await clock.advance(1_000);
    expect(await all()).toEqual(['SERVING', 'NOT_SERVING', 'SERVING']);
    breaker.reset();
    await clock.advance(1_000);
    expect(await all()).toEqual(['SERVING', 'SERVING', 'SERVING']);
    own.drain({ readinessDelay: 5_000 });
    await clock.advance(1_000);
    expect(await all()).toEqual(['NOT_SERVING', 'NOT_SERVING', 'NOT_SERVING']);
  });

  it('looks no more when it is ended', async () => {
    const clock = new VirtualClock();
    const statuses: string[] = [];
    const service = { setStatus: (_name: string, status: string) => statuses.push(status) };
    const end = grpcHealth(health({ clock, pipelines: () => [] }), service, { clock });
    await clock.advance(2_500);
    end();
    await clock.advance(10_000);
    expect(statuses).toEqual(['SERVING', 'SERVING', 'SERVING']);
    expect(clock.pending).toBe(0);
  });

  it.each([
    [{}, { setStatus: () => {} }, {}, /^grpcHealth: health must be what health\(\) gives/],
    [health(), {}, {}, /^grpcHealth: service must have a setStatus\(\)/],
    [health(), { setStatus: () => {} }, { services: { a: 'b' } }, /^grpcHealth\.services must be/],
    [health(), { setStatus: () => {} }, { interval: 0 }, /^grpcHealth\.interval must be/],
  ])('refuses %o, %o, %o', (own, service, options, message) => {
    expect(() => grpcHealth(own as never, service as never, options as never)).toThrow(message);
  });
});
