/**
 * Random faults, as a layer, in given shares of the calls and the same in every run with a seed:
 * for load tests, and for finding out in a staging system whether the layers outside hold. Its place
 * is innermost, where the dependency would be.
 *
 *   call --> fault? --> latency? --> outcome? --> behavior? --> next layer
 *             error      wait         value        run
 *
 * Each share is one of the calls that get so far, as in Polly's chaos strategies (docs/chaos): with
 * fault 2 %, latency 50 %, outcome 10 %, behavior 1 %, of all calls 2 % fail, 49 % are late, 9.8 %
 * get the value and 0.882 % the behavior.
 */
import {
  booleanRule,
  type Call,
  checkOptions,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  type Random,
  type Strategy,
  sleep,
  systemRandom,
} from '@resil/core';

/** A share of the calls. */
export interface InjectionShare {
  /** Share of the calls that get so far, in 0..1. */
  readonly ratio: number;
}

/** Calls that fail without the operation being run. */
export interface FaultShare extends InjectionShare {
  /**
   * What they reject with; a function is called with the call and gives it.
   *
   * @defaultValue an `Error` with the message `injected fault`
   */
  readonly error?: unknown;
}

/** Calls that wait before they go on. */
export interface LatencyShare extends InjectionShare {
  /** Milliseconds on the call's clock, 0 or more. An abort ends the wait at once. */
  readonly delay: number;
  /** With it, each call waits for a time drawn evenly from `delay` to `maxDelay`. At least `delay`. */
  readonly maxDelay?: number | undefined;
}

/** Calls that give a value without the operation being run. */
export interface OutcomeShare extends InjectionShare {
  /** The value; a function is called with the call and gives it. */
  readonly value: unknown;
}

/** Calls before which something is done. */
export interface BehaviorShare extends InjectionShare {
  /** What is done: kill a server, drop a table. The call goes on when it has ended, and fails if it throws. */
  readonly run: (call: Call) => unknown;
}

/** Options of {@link faultInjection}. */
export interface FaultInjectionOptions {
  /** Calls that fail. Default: none. */
  readonly fault?: FaultShare | undefined;
  /** Calls that are late. Default: none. */
  readonly latency?: LatencyShare | undefined;
  /** Calls that get a value. Default: none. */
  readonly outcome?: OutcomeShare | undefined;
  /** Calls before which something is done. Default: none. */
  readonly behavior?: BehaviorShare | undefined;
  /**
   * Whether anything is injected; asked for each call if it is a function. Calls that it lets be
   * don't draw.
   *
   * @defaultValue `faultInjectionDefaults.enabled` (true)
   */
  readonly enabled?: boolean | ((call: Call) => boolean) | undefined;
  /** Chance; `seededRandom(seed)` makes every run the same. Default: the system's. */
  readonly random?: Random | undefined;
  /** Name of the layer. Default: `faultInjectionDefaults.name` (`'fault-injection'`). */
  readonly name?: string | undefined;
}

/** What {@link faultInjection} uses where an option is left out. */
export const faultInjectionDefaults: { readonly enabled: boolean; readonly name: string } =
  Object.freeze({ enabled: true, name: 'fault-injection' });

/** How often what was injected. */
export interface InjectionCounts {
  /** Calls that reached the layer. */
  readonly calls: number;
  /** Calls that failed by it. */
  readonly faults: number;
  /** Calls that were late by it. */
  readonly latencies: number;
  /** Calls that got a value from it. */
  readonly outcomes: number;
  /** Calls before which something was done. */
  readonly behaviors: number;
}

/**
 * A layer that makes random calls fail, late or wrong.
 *
 * @throws {@link InvalidOptionError} when an option is not what it may be.
 *
 * @example
 * ```ts
 * const chaos = faultInjection({
 *   random: seededRandom(42),
 *   fault: { ratio: 0.02, error: () => new Error('injected') },
 *   latency: { ratio: 0.5, delay: 100, maxDelay: 300 },
 * });
 * const quotes = pipeline(retry({ maxAttempts: 3 }), chaos);
 * await quotes.execute(() => 42);
 * ```
 */
export function faultInjection(options: FaultInjectionOptions): FaultInjection {
  return new FaultInjection(options);
}

/** The layer behind {@link faultInjection}. All calls through it draw from one sequence. */
export class FaultInjection implements Strategy {
  readonly name: string;
  readonly #fault: FaultShare | undefined;
  readonly #latency: LatencyShare | undefined;
  readonly #outcome: OutcomeShare | undefined;
  readonly #behavior: BehaviorShare | undefined;
  readonly #enabled: boolean | ((call: Call) => boolean);
  readonly #random: Random;
  readonly #counts: { -readonly [Name in keyof InjectionCounts]: number } = {
    calls: 0,
    faults: 0,
    latencies: 0,
    outcomes: 0,
    behaviors: 0,
  };

  /** @throws {@link InvalidOptionError} when an option is not what it may be. */
  constructor(options: FaultInjectionOptions) {
    check(options);
    this.#fault = options.fault;
    this.#latency = options.latency;
    this.#outcome = options.outcome;
    this.#behavior = options.behavior;
    this.#enabled = options.enabled ?? faultInjectionDefaults.enabled;
    this.#random = options.random ?? systemRandom;
    this.name = options.name ?? faultInjectionDefaults.name;
  }

  /** What was injected so far. */
  get counts(): InjectionCounts {
    return { ...this.#counts };
  }

  async run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    this.#counts.calls += 1;
    const enabled = typeof this.#enabled === 'function' ? this.#enabled(call) : this.#enabled;
    if (!enabled) return next(call);
    call.begin();
    if (this.#hits(this.#fault)) {
      this.#counts.faults += 1;
      throw this.#fault.error === undefined
        ? new Error('injected fault')
        : made(this.#fault.error, call);
    }
    if (this.#hits(this.#latency)) {
      this.#counts.latencies += 1;
      await sleep(call, this.#delay(this.#latency));
    }
    if (this.#hits(this.#outcome)) {
      this.#counts.outcomes += 1;
      return made(this.#outcome.value, call) as T;
    }
    if (this.#hits(this.#behavior)) {
      this.#counts.behaviors += 1;
      await this.#behavior.run(call);
      if (call.aborted) throw call.reason;
    }
    return next(call);
  }

  #hits<Share extends InjectionShare>(share: Share | undefined): share is Share {
    return share !== undefined && this.#random() < share.ratio;
  }

  #delay({ delay, maxDelay }: LatencyShare): number {
    return maxDelay === undefined ? delay : delay + (maxDelay - delay) * this.#random();
  }
}

function made(what: unknown, call: Call): unknown {
  return typeof what === 'function' ? what(call) : what;
}

const shareRule = objectRule('an object with a ratio');
const rules: OptionRules<FaultInjectionOptions> = {
  fault: shareRule,
  latency: shareRule,
  outcome: shareRule,
  behavior: shareRule,
  enabled: eitherRule(booleanRule, functionRule),
  random: functionRule,
  name: nameRule,
};
/** A share may also be nothing or all. */
const ratioRule: OptionRule = {
  test: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  text: 'a ratio from 0 to 1',
};
const anyRule: OptionRule = { test: () => true, text: 'anything' };
const faultRules: OptionRules<FaultShare> = { ratio: ratioRule, error: anyRule };
const latencyRules: OptionRules<LatencyShare> = {
  ratio: ratioRule,
  delay: durationRule(),
  maxDelay: durationRule(),
};
const outcomeRules: OptionRules<OutcomeShare> = { ratio: ratioRule, value: anyRule };
const behaviorRules: OptionRules<BehaviorShare> = { ratio: ratioRule, run: functionRule };

function check(options: FaultInjectionOptions): void {
  checkOptions('faultInjection', options, rules);
  const { fault, latency, outcome, behavior } = options;
  checkShare('fault', fault, faultRules, ['ratio']);
  checkShare('latency', latency, latencyRules, ['ratio', 'delay']);
  checkShare('outcome', outcome, outcomeRules, ['ratio', 'value']);
  checkShare('behavior', behavior, behaviorRules, ['ratio', 'run']);
  const { delay = 0, maxDelay = delay } = latency ?? {};
  if (maxDelay < delay) {
    const rule = `must be at least delay (${delay})`;
    throw new InvalidOptionError('faultInjection.latency.maxDelay', maxDelay, rule);
  }
}

function checkShare<Share extends object>(
  name: string,
  share: Share | undefined,
  shareRules: OptionRules<Share>,
  required: readonly (keyof Share & string)[],
): void {
  if (share === undefined) return;
  checkOptions(`faultInjection.${name}`, share, shareRules);
  for (const option of required) {
    // A value may well be undefined, as long as somebody said so.
    if (option === 'value' ? !(option in share) : share[option] === undefined) {
      throw new InvalidOptionError(`faultInjection.${name}.${option}`, undefined, 'must be given');
    }
  }
}
