/** The contract of every adapter, over a given axios. */
import { type HttpService, startHttpService } from '@resil/testbed';
import { describeAdapterContract } from '@resil/testing';
import type { AxiosInstance, AxiosStatic } from 'axios';
import { afterAll, describe, it } from 'vitest';
import { type RequestResilience, type ResilientOptions, resilient } from '../src/index.js';

export function describeContract(axios: AxiosStatic, adapter: string): void {
  describeAdapterContract<HttpService, AxiosInstance>({
    runner: { describe, it, afterAll },
    name: `@resil/axios over ${adapter} of axios ${axios.VERSION}`,
    start: () => startHttpService(),
    stop: (service) => service.stop(),
    target: (service) => axios.create({ baseURL: service.origin, adapter }),
    resilient: (target, options) => resilient(target, options as ResilientOptions),
    call: async (target, options) => {
      const { data } = await target.get('/price', { resilience: options as RequestResilience });
      return data;
    },
    failWith: (service, fault) =>
      service.set(
        fault === 'failure' ? { statusRatio: 1 } : fault === 'hang' ? { hangRatio: 1 } : {},
      ),
    received: (service) => service.counters().hits,
    badOptions: [
      [{ sendContext: 'yes' }, /resilient\.sendContext must be true or false.*yes/],
      [{ deadlineHeader: 'two words' }, /resilient\.deadlineHeader .* header.*two words/],
      [{ key: 'orders' }, /resilient\.key must be a function/],
      [{ pipeline: 1 }, /resilient\.pipeline must be a function/],
      [{ pipeline: () => undefined, retry: false }, /resilient\.retry must be left out/],
      [{ maxKeys: 0 }, /resilient\.maxKeys .*at least 1/],
      [{ idleTimeout: -1 }, /resilient\.idleTimeout .*above 0/],
      [{ wallClock: 5 }, /resilient\.wallClock must be a function/],
      [{ retries: 3 }, /resilient\.retries is not an option/],
    ],
    badTargets: [undefined, null, 42, {}, () => {}, { request: () => {} }, axios.interceptors],
  });
}
