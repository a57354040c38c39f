/** The shop's clients without the shop, for `resil lint`, `ops` and `assess` to look at. */
import type { AxiosInstance } from 'axios';
import { pricesClient } from './clients.js';

/** Asks for prices. */
export const prices: AxiosInstance = pricesClient('http://prices.example', () => ({
  price: 0,
  fresh: false,
}));
