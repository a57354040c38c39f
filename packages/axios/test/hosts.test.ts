import { createRequire } from 'node:module';
import axios, { type AxiosStatic } from 'axios';
import axiosRetry from 'axios-retry';
import { describe, expect, it, vi } from 'vitest';
import { hostOf } from '../src/host.js';
import { resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

const required = createRequire(import.meta.url)('axios') as AxiosStatic;

describe('an instance of the axios that was required', () => {
  it('rejects with errors of that axios', async () => {
    expect(required.AxiosError).not.toBe(axios.AxiosError);
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(required.create({ baseURL: http.origin }), quick);
    const error = await failureOf(api.get('/x'));
    expect(error).toBeInstanceOf(required.AxiosError);
    expect(http.counters().hits).toBe(3);
    const canceled = await failureOf(api.get('/x', { signal: AbortSignal.abort() }));
    expect(canceled).toBeInstanceOf(required.CanceledError);
  });
});

describe('hostOf', () => {
  it('finds the axios that made an instance, and takes its own where it can not', () => {
    expect(hostOf(axios)).toBe(axios);
    expect(hostOf(axios.create())).toBe(axios);
    expect(hostOf(required.create())).toBe(required);
    expect(hostOf(required)).toBe(required);
    const foreign = { interceptors: { request: {}, response: {} } };
    expect(hostOf(foreign as unknown as AxiosStatic)).toBe(axios);
  });
});

describe('axios-retry on the same instance', () => {
  it('does not multiply attempts, and is warned about once', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const warnings: string[] = [];
    const emit = vi.spyOn(process, 'emitWarning').mockImplementation((warning) => {
      warnings.push(String(warning));
    });
    const bare = axios.create({ baseURL: http.origin });
    axiosRetry(bare, { retries: 3 });
    const api = resilient(bare, quick);
    await failureOf(api.get('/x'));
    expect(http.counters().hits).toBe(3);
    await failureOf(api.get('/x'));
    expect(http.counters().hits).toBe(6);
    expect(warnings.filter((warning) => warning.includes('axios-retry'))).toHaveLength(1);
    emit.mockRestore();
    // The bare instance keeps its own retries: four attempts.
    await failureOf(bare.get('/x'));
    expect(http.counters().hits).toBe(10);
  });

  it('does not multiply attempts where it is installed on the view', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    axiosRetry(api, { retries: 3 });
    await failureOf(api.get('/x'));
    expect(http.counters().hits).toBe(3);
  });
});
