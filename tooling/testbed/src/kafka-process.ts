/** What a Kafka node is run by, wherever it runs. */

/** Version of Apache Kafka. */
export const kafkaVersion = '4.3.1';

/** No broker can be had on this machine. The message says why, and what to do. */
export class KafkaUnavailableError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(`Apache Kafka can't be started: ${reason}`, cause === undefined ? undefined : { cause });
    this.name = 'KafkaUnavailableError';
  }
}

/** Runs Kafka's programs. */
export interface KafkaRuntime {
  readonly kind: 'docker' | 'java';
  /** Starts one of them. Nothing of it outlives this process, however that ends. */
  start(program: KafkaProgram): Promise<KafkaProcess>;
}

/** A program of Kafka's. */
export interface KafkaProgram {
  /** Its main class, and its arguments. */
  readonly main: readonly [string, ...string[]];
  /** Options of the virtual machine. */
  readonly options: readonly string[];
  /** The folder that it reads and writes. */
  readonly folder: string;
  /** Told what it writes. */
  readonly onOutput: (text: string) => void;
  /** Told when it has ended. */
  readonly onExit: () => void;
}

/** A program that was started. */
export interface KafkaProcess {
  readonly pid: number | undefined;
  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Waits until it has ended; gives its exit code, `null` if it was killed. */
  exit(): Promise<number | null>;
}
