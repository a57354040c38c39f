/** The inventory service as the demo holds it: killed and started again, on the same port, with the same reservations. */

import type { FileHandle } from 'node:fs/promises';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '@resil/testbed/child';
import type { ReserveRequest } from './inventory.js';
import type { InventoryServiceOptions, InventoryServiceQuestion } from './inventory-service.js';
import { mainFile } from './main-file.js';
import { initialStock } from './scenario.js';

/** A running inventory service. `close()` it at the end. */
export class InventoryServer {
  readonly #file: FileHandle;
  #process: Child<InventoryServiceQuestion> | undefined;
  #port = 0;
  /** Requests that reached the processes that are gone. */
  #hitsBefore = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async start(): Promise<InventoryServer> {
    const server = new InventoryServer(await namelessFile());
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Starts its process (again). Resolves when it serves. */
  async start(): Promise<void> {
    const options: InventoryServiceOptions = { port: this.#port, stock: initialStock };
    const child = new Child<InventoryServiceQuestion>({
      name: 'inventory service',
      main: mainFile('inventory-service.js'),
      options,
      inherited: this.#file.fd,
    });
    this.#process = child;
    this.#port = await child.ask<number>('port');
  }

  /** SIGKILLs it. */
  async kill(): Promise<void> {
    this.#hitsBefore = await this.hits();
    const child = this.#process;
    this.#process = undefined;
    await child?.kill();
  }

  /** Requests that have reached it. */
  async hits(): Promise<number> {
    const child = this.#process;
    if (child === undefined) return this.#hitsBefore;
    try {
      return this.#hitsBefore + (await child.ask<number>('hits'));
    } catch (error) {
      // Killed meanwhile.
      if (this.#process !== child) return this.#hitsBefore;
      throw error;
    }
  }

  /** Every reservation as it is written down. */
  async reservations(): Promise<ReserveRequest[]> {
    if (this.#process === undefined) throw new Error('the inventory service is down');
    return this.#process.ask('reservations');
  }

  async close(): Promise<void> {
    await this.#process?.kill();
    await this.#file.close();
  }
}

/** A file that is open, and has no name: however the demo ends, nothing is left of it. */
async function namelessFile(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'resil-demo-'));
  try {
    return await open(join(folder, 'reservations'), 'a+');
  } finally {
    await rm(folder, { recursive: true });
  }
}
