/** One run: fresh servers, a fresh order service, the whole scenario, and the record of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaCluster } from '@resil/testbed';
import { Child } from '@resil/testbed/child';
import { Environment, wait } from './environment.js';
import { ledgerOf } from './ledger.js';
import { mainFile } from './main-file.js';
import type { OrderServiceOptions, OrderServiceQuestion, ReportTarget } from './order-service.js';
import type {
  AlertSpan,
  CircuitChange,
  ObservedPhase,
  OrderOutcome,
  OutsideSample,
  RunRecord,
  ServiceReport,
  ServiceSample,
} from './record.js';
import { RunClock } from './run-clock.js';
import { type Fault, plannedOrders, type Scenario, type ScheduledPhase } from './scenario.js';

/** Told how a run goes on. */
export interface RunWatcher {
  /** Something takes a while before the run begins or after it ended. */
  onStep(message: string): void;
  /** New figures are in. */
  onProgress(progress: RunProgress): void;
  /** A phase is over. */
  onPhase(phase: ObservedPhase, progress: RunProgress): void;
}

/** A run so far. */
export interface RunProgress {
  readonly now: number;
  readonly phase: ScheduledPhase;
  /** Whether the fault of the phase is over. */
  readonly lifted: boolean;
  readonly outcomes: ReadonlyArray<OrderOutcome | undefined>;
  readonly service: ServiceSample | undefined;
  readonly outside: OutsideSample | undefined;
  readonly circuits: ReadonlyMap<string, CircuitChange['state']>;
}

/** Those who run the service under test, and see it from outside. */
export interface RunOperations {
  /** Where the service reports to. */
  readonly reports: ReportTarget;
  /** File that it writes its events to. */
  readonly eventLog: string;
  /** Told where it has its metrics, `host:port`, before the run's time begins. */
  watch(address: string, kafka: boolean, onStep: (message: string) => void): Promise<void>;
  /** The alerts that there were since a moment, in ms since 1970; `undefined` if nobody would know. */
  alerts(since: number): Promise<readonly AlertSpan[] | undefined>;
}

/** Options of {@link run}. */
export interface RunOptions {
  readonly protected: boolean;
  readonly scenario: Scenario;
  /** Three fresh brokers, which stay their owner's; must be given if the scenario has a Kafka. */
  readonly cluster: KafkaCluster | undefined;
  readonly watcher: RunWatcher;
  /** Default: nobody. */
  readonly operations?: RunOperations | undefined;
  /** Ends the run at once; everything is cleaned up. */
  readonly signal: AbortSignal;
}

const SAMPLE_INTERVAL = 250;
/** Share of a phase's calm that a server may take to come back. */
const LIFT_SHARE = 0.4;
/** Longest wait for the outbox to be empty at the end, in ms. */
const OUTBOX_PATIENCE = 30_000;

/** Runs the scenario once. */
export async function run(options: RunOptions): Promise<RunRecord> {
  const { watcher, signal, scenario, cluster } = options;
  signal.throwIfAborted();
  if (scenario.kafka !== (cluster !== undefined)) {
    throw new Error('a cluster must be given if, and only if, the scenario has a Kafka');
  }
  const environment = new Environment(scenario.seed, cluster);
  const folder = await mkdtemp(join(tmpdir(), 'resil-demo-'));
  let observation: Observation | undefined;
  try {
    await environment.start((message) => watcher.onStep(message));
    signal.throwIfAborted();
    observation = new Observation(options, environment, folder);
    return await observation.whole();
  } finally {
    await observation?.close();
    await environment.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A run while it lasts. */
class Observation implements RunProgress {
  readonly #options: RunOptions;
  readonly #environment: Environment;
  readonly #orderService: Child<OrderServiceQuestion, ServiceReport>;
  readonly outcomes: Array<OrderOutcome | undefined>;
  readonly circuits = new Map<string, CircuitChange['state']>();
  readonly #changes: CircuitChange[] = [];
  readonly #events: Record<string, number> = {};
  readonly #service: ServiceSample[] = [];
  readonly #outside: OutsideSample[] = [];
  readonly #phases: ObservedPhase[] = [];
  readonly #stopped = new AbortController();
  phase: ScheduledPhase;
  lifted = false;
  readonly #clock = new RunClock();

  constructor(options: RunOptions, environment: Environment, folder: string) {
    const { scenario } = options;
    this.#options = options;
    this.#environment = environment;
    this.phase = scenario.phases[0] as ScheduledPhase;
    this.outcomes = new Array(plannedOrders(scenario).length).fill(undefined);
    const { short, seed, kafka } = scenario;
    const service: OrderServiceOptions = {
      protected: options.protected,
      short,
      seed,
      kafka,
      targets: environment.targets,
      folder,
    };
    this.#orderService = new Child({
      name: 'order service',
      main: mainFile('order-service.js'),
      options: service,
      onEvent: (report) => this.#take(report),
    });
  }

  get now(): number {
    return this.#clock.now;
  }

  get service(): ServiceSample | undefined {
    return this.#service.at(-1);
  }

  get outside(): OutsideSample | undefined {
    return this.#outside.at(-1);
  }

  async whole(): Promise<RunRecord> {
    const { scenario, watcher, signal } = this.#options;
    watcher.onStep('starting the order service');
    await this.#operate();
    await this.#orderService.ask('ready');
    await this.#environment.query('truncate orders');
    const began = Date.now();
    this.#clock.start();
    await this.#orderService.ask('start');
    const sampling = this.#sample();
    // What goes wrong while sampling shows below, where it is waited for.
    sampling.catch(() => {});
    for (const phase of scenario.phases) await this.#pass(phase);
    await this.#drain(signal);
    this.#stopped.abort();
    await sampling;
    watcher.onStep('waiting for the outbox to be empty');
    await this.#outboxEmpty(signal);
    this.#take(await this.#orderService.ask<ServiceReport>('report'));
    // Before its metrics are gone.
    const alerts = await this.#options.operations?.alerts(began);
    await this.#orderService.kill();
    watcher.onStep('reading the books: PostgreSQL, reservations, both topics to their end');
    const written = await this.#environment.written();
    return {
      protected: this.#options.protected,
      scenario,
      phases: this.#phases,
      outcomes: this.outcomes,
      circuits: this.#changes,
      events: this.#events,
      service: this.#service,
      outside: this.#outside,
      ledger: ledgerOf(plannedOrders(scenario), this.outcomes, written, this.service?.kept ?? 0),
      alerts,
    };
  }

  /** Lets those who run the service see it. */
  async #operate(): Promise<void> {
    const { operations, watcher, scenario } = this.#options;
    if (operations === undefined) return;
    const { reports, eventLog } = operations;
    const port = await this.#orderService.ask<number>({ type: 'operate', reports, eventLog });
    const address = `127.0.0.1:${port}`;
    watcher.onStep(`the order service has /metrics, /livez and /readyz at http://${address}`);
    await operations.watch(address, scenario.kafka, (message) => watcher.onStep(message));
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#orderService.kill();
  }

  async #pass(phase: ScheduledPhase): Promise<void> {
    const { signal, watcher } = this.#options;
    await wait(phase.start - this.now, signal);
    this.phase = phase;
    this.lifted = phase.fault === undefined;
    const start = this.now;
    const since = performance.now();
    const wallStart = Date.now();
    if (phase.fault !== undefined) await this.#environment.inflict(phase.fault);
    await wait(phase.lift - this.now, signal);
    if (phase.fault !== undefined) await this.#lift(phase, phase.fault);
    const lifted = this.now;
    const outage = performance.now() - since;
    const wall = { start: wallStart, lifted: Date.now() };
    this.lifted = true;
    await wait(phase.end - this.now, signal);
    const observed = { phase, start, lifted, outage, wall, end: this.now };
    this.#phases.push(observed);
    watcher.onPhase(observed, this);
  }

  /** Ends the fault. The run's time stands still where that takes so long that no calm would be left. */
  async #lift({ calm }: ScheduledPhase, fault: Fault): Promise<void> {
    const lifting = this.#environment.lift(fault);
    // What goes wrong is thrown where it is waited for.
    const done = lifting.then(
      () => true,
      () => true,
    );
    const patience = sleep(calm * LIFT_SHARE, false, { ref: false });
    if (await Promise.race([done, patience])) return lifting;
    await this.#orderService.ask('hold');
    this.#clock.hold();
    await lifting;
    await this.#orderService.ask('go');
    this.#clock.go();
  }

  /** Waits for the answers that are still missing, as long as a customer would. */
  async #drain(signal: AbortSignal): Promise<void> {
    const { scenario } = this.#options;
    const end = this.now + scenario.drain;
    while (this.now < end && this.outcomes.includes(undefined)) await wait(100, signal);
  }

  async #outboxEmpty(signal: AbortSignal): Promise<void> {
    const waited = new AbortController();
    const patience = sleep(OUTBOX_PATIENCE, undefined, {
      signal: AbortSignal.any([signal, waited.signal]),
    });
    patience.catch(() => {});
    await Promise.race([this.#orderService.ask('drained'), patience]);
    waited.abort();
  }

  async #sample(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const hits = await this.#environment.hits();
      this.#outside.push({
        at: this.now,
        sockets: this.#environment.sockets,
        priceHits: hits.prices,
        stockHits: hits.inventory,
      });
      this.#options.watcher.onProgress(this);
      await sleep(SAMPLE_INTERVAL, undefined, { signal }).catch(() => {});
    }
  }

  #take({ outcomes, circuits, events, sample }: ServiceReport): void {
    for (const outcome of outcomes) this.outcomes[outcome.index] = outcome;
    for (const change of circuits) {
      this.#changes.push(change);
      this.circuits.set(change.circuit, change.state);
    }
    for (const [type, count] of Object.entries(events)) {
      this.#events[type] = (this.#events[type] ?? 0) + count;
    }
    this.#service.push(sample);
  }
}
