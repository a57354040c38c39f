/** What must not happen to the types of axios; checked by the compiler. */
import { type Pipeline, pipeline } from '@resil/core';
import axios, {
  Axios,
  type AxiosInstance,
  type AxiosInterceptorManager,
  type AxiosResponse,
  type AxiosStatic,
  type InternalAxiosRequestConfig,
} from 'axios';
import { expectTypeOf } from 'vitest';
import { type ResilientOptions, resilient } from '../src/index.js';

interface User {
  readonly id: number;
}

class Shop extends Axios {
  price(): Promise<AxiosResponse<number>> {
    return this.get<number>('/price');
  }
}

export async function types(): Promise<void> {
  const api = resilient(axios.create());

  // The target's own type comes back.
  expectTypeOf(api).toEqualTypeOf<AxiosInstance>();
  expectTypeOf(resilient(axios)).toEqualTypeOf<AxiosStatic>();
  expectTypeOf(resilient(new Shop())).toEqualTypeOf<Shop>();

  // Generics of the methods are untouched.
  expectTypeOf((await api.get<User>('/users/1')).data).toEqualTypeOf<User>();
  expectTypeOf((await api<User>('/users/1')).data).toEqualTypeOf<User>();
  expectTypeOf((await api.request<User>({ url: '/' })).data).toEqualTypeOf<User>();
  expectTypeOf(
    (await api.post<User, AxiosResponse<User, number>>('/users', {})).data,
  ).toEqualTypeOf<User>();
  expectTypeOf(api.interceptors.request).toEqualTypeOf<
    AxiosInterceptorManager<InternalAxiosRequestConfig>
  >();
  expectTypeOf(api.create()).toEqualTypeOf<AxiosInstance>();
  expectTypeOf(api.defaults.baseURL).toEqualTypeOf<string | undefined>();

  // Options of one request are in the config of axios.
  await api.get('/x', {
    resilience: {
      idempotent: true,
      deadline: 1,
      signal: AbortSignal.timeout(1),
      priority: 1,
      key: 'k',
      name: 'n',
      pipeline: pipeline(),
      body: () => 'body',
    },
  });
  await api.post('/x', {}, { resilience: { idempotent: true } });
  axios.create({ resilience: { idempotent: true } });
  // @ts-expect-error an unknown option
  await api.get('/x', { resilience: { retries: 3 } });
  // @ts-expect-error a bad value
  await api.get('/x', { resilience: { idempotent: 'yes' } });

  // @ts-expect-error not an axios instance
  resilient({});
  // @ts-expect-error an unknown option
  resilient(axios.create(), { retries: 3 });
  // @ts-expect-error a key is made of the config
  resilient(axios.create(), { key: 'orders' });

  expectTypeOf<ResilientOptions['pipeline']>().toEqualTypeOf<
    ((key: string) => Pipeline) | undefined
  >();
}
