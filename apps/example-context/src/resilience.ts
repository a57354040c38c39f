/** The clients of the first two services, for `resil lint`, `ops` and `assess` to look at. */
import { type ResilientOptions, resilient } from '@resil/axios';
import { installContext } from '@resil/context';
import axios, { type AxiosInstance } from 'axios';
import { rows } from './rows.js';

installContext();

const options: ResilientOptions | undefined = rows.at(-1)?.client();
const clientOf = (name: string): AxiosInstance =>
  resilient(axios.create({ baseURL: `http://${name}.example` }), { ...options, name });

/** What the first service calls. */
export const second: AxiosInstance = clientOf('second');
/** What the second service calls. */
export const third: AxiosInstance = clientOf('third');
