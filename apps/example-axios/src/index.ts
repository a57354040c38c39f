/**
 * A shop asks a service for prices. The service goes through a bad minute; the shop asks it by plain
 * axios and by a protected view of the same client, side by side, and prints what its customers saw.
 */

import { observe } from '@resil/core';
import { type HttpFaults, startHttpService } from '@resil/testbed';
import axios, { type AxiosInstance } from 'axios';
import { pricesClient } from './clients.js';

const CUSTOMERS = 100;
/** Milliseconds between two customers; they come whether the others were served or not. */
const INTERVAL = 5;
/** Milliseconds that a customer waits for a price. */
const PATIENCE = 1_000;

let requests = 0;
const service = await startHttpService({
  handlers: { 'GET /price': () => ({ price: 42 }) },
  // Not chance but a turn: 0, 1/3, 2/3, so that a third of the requests meets a fault of ratio 1/3.
  random: () => (requests++ % 3) / 3,
});

const plain = axios.create({ baseURL: service.origin });

const prices = pricesClient(service.origin, () => lastKnown);

let lastKnown = { price: 0, fresh: false };
prices.interceptors.response.use((response) => {
  if (response.data.fresh !== false) lastKnown = { ...response.data, fresh: false };
  return response;
});

interface Result {
  fresh: number;
  lastKnown: number;
  failed: number;
  waiting: number;
  slowest: number;
}

async function serve(client: AxiosInstance): Promise<Result> {
  const result: Result = { fresh: 0, lastKnown: 0, failed: 0, waiting: 0, slowest: 0 };
  const customer = async (): Promise<void> => {
    const since = performance.now();
    let gone = false;
    const outcome = await Promise.race([
      client.get('/price').then(
        ({ data }) => (data.fresh === false ? 'lastKnown' : 'fresh'),
        () => 'failed' as const,
      ),
      pause(PATIENCE).then(() => {
        gone = true;
        return 'waiting' as const;
      }),
    ]);
    result[outcome]++;
    if (!gone) result.slowest = Math.max(result.slowest, performance.now() - since);
  };
  const customers: Promise<void>[] = [];
  for (let count = 0; count < CUSTOMERS; count++) {
    customers.push(customer());
    await pause(INTERVAL);
  }
  await Promise.all(customers);
  return result;
}

const phases: ReadonlyArray<readonly [name: string, faults: HttpFaults]> = [
  ['all is well', {}],
  ['every third answer is a 503', { statusRatio: 1 / 3 }],
  ['the service hangs', { hangRatio: 1 }],
  ['all is well again', {}],
];

const circuit: string[] = [];
observe((event) => {
  if (event.type === 'circuit.opened' || event.type === 'circuit.closed') {
    circuit.push(event.type.replace('circuit.', ''));
  }
});

console.log(row('', 'plain axios', 'resilient(axios)'));
let served = true;
for (const [name, faults] of phases) {
  // One after the other, so that neither takes the other's turn.
  const shown: string[] = [];
  for (const client of [plain, prices]) {
    service.set(faults);
    requests = 0;
    const result = await serve(client);
    shown.push(describe(result));
    if (client === prices) served &&= result.failed + result.waiting === 0;
  }
  console.log(row(name, ...shown));
}
console.log(`\nThe circuit of ${service.origin.replace(/\d+$/, '<port>')}: ${summary(circuit)}.`);
console.log(served ? 'Every customer of the protected shop got a price.' : 'Customers were lost.');
// Plain axios has no timeout: what hung still hangs.
await service.stop();
process.exitCode = served ? 0 : 1;

function describe({ fresh, lastKnown: old, failed, waiting, slowest }: Result): string {
  const parts = [`${fresh} served`];
  if (old > 0) parts.push(`${old} by the last known price`);
  if (failed > 0) parts.push(`${failed} failed`);
  if (waiting > 0) parts.push(`${waiting} left waiting`);
  return `${parts.join(', ')}${fresh + old > 0 ? ` (${Math.ceil(slowest / 100) * 100} ms at most)` : ''}`;
}

function row(...cells: readonly string[]): string {
  const [name = '', left = '', right = ''] = cells;
  return `${name.padEnd(29)}${left.padEnd(42)}${right}`.trimEnd();
}

function summary(changes: readonly string[]): string {
  const opened = changes.filter((change) => change === 'opened').length;
  return opened === 0
    ? 'stayed closed'
    : `opened, probed every 200 ms, and is ${changes.at(-1)} now`;
}

function pause(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}
