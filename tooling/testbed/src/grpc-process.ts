/**
 * The gRPC service as a process of its own, which can be killed and stopped for real and doesn't share
 * the client's event loop. It is told what to do over the channel that `fork` gives.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
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
export class GrpcProcess {
  readonly #child: ChildProcess;
  readonly port: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Where it is reached: `127.0.0.1:<port>`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Replaces the faults; with nothing given there are none. */
  async set(faults: GrpcFaults = {}): Promise<void> {
    await this.#tell({ type: 'set', faults });
  }

  /** Changes what `grpc.health.v1` says. */
  async setHealth(status: ServingStatus): Promise<void> {
    await this.#tell({ type: 'health', status });
  }

  async counters(): Promise<GrpcCounters> {
    return (await this.#tell({ type: 'counters' })) as GrpcCounters;
  }

  /** Stops the process where it is: connections stay open, nothing is answered. */
  suspend(): void {
    this.#child.kill('SIGSTOP');
  }

  /** Lets a suspended process go on. */
  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Ends the process at once, without a word to its clients. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** One command at a time, so that each answer is that of its command. */
  #tell(command: GrpcCommand): Promise<unknown> {
    const turn = this.#turn.then(async () => {
      if (!this.#child.connected) throw new Error('the gRPC service process is gone');
      const answered = new Promise((resolve, reject) => {
        const gone = (): void => reject(new Error('the gRPC service process is gone'));
        this.#child.once('exit', gone);
        this.#child.once('message', (message) => {
          this.#child.off('exit', gone);
          resolve(message);
        });
      });
      this.#child.send(command);
      return answered;
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/** Starts the service in a process of its own. Needs the package to be built. */
export async function startGrpcProcess(options: GrpcProcessOptions = {}): Promise<GrpcProcess> {
  // The same file from `src` and from `dist`: a process of its own has no loader for sources.
  const main = fileURLToPath(new URL('../dist/grpc-main.js', import.meta.url));
  const child = fork(main, [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`the gRPC service process ended (${signal ?? code})`)),
    );
  });
  child.removeAllListeners('exit');
  return new GrpcProcess(child, port);
}
