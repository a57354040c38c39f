/** The client of the shop: all that it does for its protection. */
import { resilient } from '@resil/axios';
import axios, { type AxiosInstance } from 'axios';

/** A price, and whether it is that of this moment. */
export interface Price {
  readonly price: number;
  readonly fresh: boolean;
}

/** Asks for prices; the last known one answers where there is none. The numbers are small to keep the story short. */
export function pricesClient(baseURL: string, lastKnown: () => Price): AxiosInstance {
  return resilient(axios.create({ baseURL }), {
    name: 'prices',
    totalTimeout: 800,
    attemptTimeout: 200,
    retry: { baseDelay: 20 },
    circuitBreaker: { window: { duration: 1_000 }, resetTimeout: 200 },
    fallback: lastKnown,
  });
}
