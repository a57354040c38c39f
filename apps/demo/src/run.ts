/** One run: fresh servers, a fresh order service, the whole scenario, and the record of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.js';
import { Environment, wait } from './environment.js';
import { checkLedger } from './ledger.js';
import type { OrderServiceOptions, OrderServiceQuestion } from './order-service.js';
import type {
  CircuitChange,
  ObservedPhase,
  OrderOutcome,
  OutsideSample,
  RunRecord,
  ServiceReport,
  ServiceSample,
} from './record.js';
import { plannedOrders, type Scenario, type ScheduledPhase } from './scenario.js';

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

/** Options of {@link run}. */
export interface RunOptions {
  readonly protected: boolean;
  readonly scenario: Scenario;
  readonly watcher: RunWatcher;
  /** Ends the run at once; everything is cleaned up. */
  readonly signal: AbortSignal;
}

const SAMPLE_INTERVAL = 250;

/** Runs the scenario once. */
export async function run(options: RunOptions): Promise<RunRecord> {
  const { watcher, signal, scenario } = options;
  signal.throwIfAborted();
  const environment = new Environment(scenario.seed);
  let observation: Observation | undefined;
  try {
    await environment.start((message) => watcher.onStep(message));
    signal.throwIfAborted();
    observation = new Observation(options, environment);
    return await observation.whole();
  } finally {
    await observation?.close();
    await environment.close();
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
  #startedAt = 0;

  constructor(options: RunOptions, environment: Environment) {
    const { scenario } = options;
    this.#options = options;
    this.#environment = environment;
    this.phase = scenario.phases[0] as ScheduledPhase;
    this.outcomes = new Array(plannedOrders(scenario).length).fill(undefined);
    const { short, seed } = scenario;
    const service: OrderServiceOptions = {
      protected: options.protected,
      short,
      seed,
      targets: environment.targets,
    };
    this.#orderService = new Child('order service', 'order-service.js', service, (report) =>
      this.#take(report),
    );
  }

  get now(): number {
    return performance.now() - this.#startedAt;
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
    await this.#orderService.ask('ready');
    await this.#environment.query('truncate orders');
    this.#startedAt = performance.now();
    await this.#orderService.ask('start');
    const sampling = this.#sample();
    // What goes wrong while sampling shows below, where it is waited for.
    sampling.catch(() => {});
    for (const phase of scenario.phases) await this.#pass(phase);
    await this.#drain(signal);
    this.#stopped.abort();
    await sampling;
    watcher.onStep('looking into the database');
    this.#take(await this.#orderService.ask<ServiceReport>('report'));
    await this.#orderService.kill();
    return {
      protected: this.#options.protected,
      scenario,
      phases: this.#phases,
      outcomes: this.outcomes,
      circuits: this.#changes,
      events: this.#events,
      service: this.#service,
      outside: this.#outside,
      ledger: await checkLedger(this.#environment, this.outcomes),
    };
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
    if (phase.fault !== undefined) await this.#environment.inflict(phase.fault);
    await wait(phase.lift - this.now, signal);
    if (phase.fault !== undefined) await this.#environment.lift(phase.fault);
    const lifted = this.now;
    this.lifted = true;
    await wait(phase.end - this.now, signal);
    const observed = { phase, start, lifted, end: this.now };
    this.#phases.push(observed);
    watcher.onPhase(observed, this);
  }

  /** Waits for the answers that are still missing, as long as a customer would. */
  async #drain(signal: AbortSignal): Promise<void> {
    const { scenario } = this.#options;
    const end = this.now + scenario.drain;
    while (this.now < end && this.outcomes.includes(undefined)) await wait(100, signal);
  }

  async #sample(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const priceHits = await this.#environment.hits();
      this.#outside.push({ at: this.now, sockets: this.#environment.sockets, priceHits });
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
