/** The gRPC service as a process of its own. */
import { ChildService, startService } from './child-service.js';
import type { GrpcFaults } from './grpc-faults.js';
import type { GrpcCounters, GrpcServiceOptions, ServingStatus } from './grpc-server.js';

/** What goes over the channel. */
export type GrpcCommand =
  | { readonly type: 'set'; readonly faults: GrpcFaults }
  | { readonly type: 'health'; readonly status: ServingStatus }
  | { readonly type: 'counters' };

/** Options that reach another process: no handlers, no chance of one's own. */
export type GrpcProcessOptions = Omit<GrpcServiceOptions, 'getStock' | 'random'>;

/** A running service in a process of its own. */
export class GrpcProcess extends ChildService<GrpcCommand> {
  /** Where it is reached: `127.0.0.1:<port>`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Replaces the faults; with nothing given there are none. */
  async set(faults: GrpcFaults = {}): Promise<void> {
    await this.tell({ type: 'set', faults });
  }

  /** Changes what `grpc.health.v1` says. */
  async setHealth(status: ServingStatus): Promise<void> {
    await this.tell({ type: 'health', status });
  }

  async counters(): Promise<GrpcCounters> {
    return (await this.tell({ type: 'counters' })) as GrpcCounters;
  }
}

/** Starts the service in a process of its own. Needs the package to be built. */
export async function startGrpcProcess(options: GrpcProcessOptions = {}): Promise<GrpcProcess> {
  return new GrpcProcess(await startService('gRPC service', 'grpc-main.js', options));
}
