/** What the tests of this package share: a service that is stopped after each test, and short options. */
import { type HttpService, type HttpServiceOptions, startHttpService } from '@resil/testbed';
import type { AxiosError } from 'axios';
import { expect, onTestFinished } from 'vitest';
import type { ResilientOptions } from '../src/index.js';

/** A running service, stopped when the test ends. */
export async function service(options: HttpServiceOptions = {}): Promise<HttpService> {
  const started = await startHttpService(options);
  onTestFinished(() => started.stop());
  return started;
}

/** Three attempts with hardly any delay, and nothing else that could decide the outcome. */
export const quick: ResilientOptions = {
  totalTimeout: false,
  attemptTimeout: false,
  retry: { maxAttempts: 3, baseDelay: 1, maxDelay: 2, jitter: 'none', budget: false },
  circuitBreaker: false,
  bulkhead: false,
};

/** The error that a call rejects with; fails if it resolves. */
export async function failureOf(call: Promise<unknown>): Promise<AxiosError> {
  try {
    await call;
  } catch (error) {
    return error as AxiosError;
  }
  throw new Error('the call was expected to fail');
}

/** A port of loopback where nobody listens. */
export async function closedPort(): Promise<number> {
  const { startHttpService: start } = await import('@resil/testbed');
  const gone = await start();
  const { port } = gone;
  await gone.stop();
  return port;
}

export function delay(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** Waits until what `read` gives is as expected; long enough for a machine that is busy. */
export function eventually<T>(read: () => T): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout: 15_000, interval: 10 });
}
