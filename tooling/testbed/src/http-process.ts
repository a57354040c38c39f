/** The HTTP service as a process of its own. */
import { ChildService, startService } from './child-service.js';
import type { HttpFaults } from './http-faults.js';
import type { HttpCounters, HttpServiceOptions } from './http-server.js';

/** What goes over the channel. */
export type HttpCommand =
  | { readonly type: 'set'; readonly faults: HttpFaults }
  | { readonly type: 'service-time'; readonly serviceTime: number }
  | { readonly type: 'counters' }
  | { readonly type: 'reset-counters' };

/** Options that reach another process: no handlers, no chance of one's own. */
export type HttpProcessOptions = Omit<HttpServiceOptions, 'handlers' | 'random'>;

/** A running service in a process of its own. */
export class HttpProcess extends ChildService<HttpCommand> {
  /** Where it is reached: `http://127.0.0.1:<port>`. */
  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Replaces the faults; with nothing given there are none. */
  async set(faults: HttpFaults = {}): Promise<void> {
    await this.tell({ type: 'set', faults });
  }

  /** Changes how long a worker needs for a request. */
  async setServiceTime(serviceTime: number): Promise<void> {
    await this.tell({ type: 'service-time', serviceTime });
  }

  async counters(): Promise<HttpCounters> {
    return (await this.tell({ type: 'counters' })) as HttpCounters;
  }

  /** Counts from zero again. */
  async resetCounters(): Promise<void> {
    await this.tell({ type: 'reset-counters' });
  }
}

/** Starts the service in a process of its own. Needs the package to be built. */
export async function startHttpProcess(options: HttpProcessOptions = {}): Promise<HttpProcess> {
  return new HttpProcess(await startService('HTTP service', 'http-main.js', options));
}
