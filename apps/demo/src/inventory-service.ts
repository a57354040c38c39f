/**
 * Main file of the inventory service: a grpc-js server whose reservations survive it. Each is a line in
 * the file that it is given, written before it is answered.
 */
import { readSync, writeSync } from 'node:fs';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { answerParent, childOptions, INHERITED_FILE } from '@resil/testbed/child';
import { Inventory, type Reservation, type ReserveRequest } from './inventory.js';

/** Options of the process. */
export interface InventoryServiceOptions {
  /** Port to listen on; 0 lets the system choose. */
  readonly port: number;
  /** What there is of each item at the beginning. */
  readonly stock: number;
}

/** What the inventory service can be asked. */
export type InventoryServiceQuestion = 'port' | 'hits' | 'reservations';

const options = childOptions<InventoryServiceOptions>();
const reservations = new Map<string, ReserveRequest>();
const available = new Map<string, number>();
let hits = 0;

function left(item: string): number {
  return available.get(item) ?? options.stock;
}

function keep(reservation: ReserveRequest): void {
  reservations.set(reservation.order, reservation);
  available.set(reservation.item, left(reservation.item) - reservation.quantity);
}

function lines(): ReserveRequest[] {
  const chunks: Buffer[] = [];
  for (let position = 0; ; ) {
    const chunk = Buffer.alloc(64 * 1_024);
    const length = readSync(INHERITED_FILE, chunk, 0, chunk.length, position);
    if (length === 0) break;
    chunks.push(chunk.subarray(0, length));
    position += length;
  }
  const text = Buffer.concat(chunks).toString();
  // A last line that is not whole was never answered.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ReserveRequest);
}

function reserve(
  { request }: ServerUnaryCall<ReserveRequest, Reservation>,
  answer: sendUnaryData<Reservation>,
): void {
  hits += 1;
  const { order, item, quantity } = request;
  const repeated = reservations.has(order);
  if (!repeated) {
    if (left(item) < quantity) {
      answer({ code: status.FAILED_PRECONDITION, details: `${item}: ${left(item)} left` });
      return;
    }
    writeSync(INHERITED_FILE, `${JSON.stringify({ order, item, quantity })}\n`);
    keep({ order, item, quantity });
  }
  answer(null, { available: left(item), repeated });
}

for (const reservation of lines()) keep(reservation);

const server = new Server();
server.addService(Inventory.service, { Reserve: reserve });
const port = await new Promise<number>((resolve, reject) => {
  server.bindAsync(
    `127.0.0.1:${options.port}`,
    ServerCredentials.createInsecure(),
    (error, bound) => (error === null ? resolve(bound) : reject(error)),
  );
});

answerParent((question: InventoryServiceQuestion) => {
  switch (question) {
    case 'port':
      return port;
    case 'hits':
      return hits;
    case 'reservations':
      return lines();
  }
});
