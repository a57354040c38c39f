/**
 * Coalesce: calls for the same thing at the same time share one flight.
 *
 *   first call  --- flight --------------------.--> answer
 *   second call        joined -----------------'--> the same answer
 *   third call              joined -x  (leaves alone)
 *
 * Go's singleflight, with callers that can leave: the flight belongs to none of them. It has no deadline
 * of its own, is aborted when the last of them has left, and then takes nobody in. Who comes later begins
 * a new one, as does who comes when it has ended: nothing is remembered (that is what `cache` is for).
 */
import type { Call } from './call.js';
import { givenKey, type KeyFunction, keyOf } from './call-key.js';
import type { CallState } from './call-state.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { type DetachedCall, detach } from './detached-call.js';
import type { Strategy } from './layer.js';
import { rejectionOf } from './rejection.js';
import { SingleLayer } from './single-layer.js';
import { checkOptions, functionRule, nameRule, type OptionRules } from './validate.js';

/** Options of {@link coalesce}. */
export interface CoalesceOptions {
  /**
   * What a call asks for; calls with the same key share a flight, and one without (`undefined`) goes
   * alone. Everything that makes the answer another one has to be in it: arguments, and who asks.
   * There is no default: `call.key` may stand for a host, or for the whole pipeline.
   */
  readonly key: KeyFunction;
  /** Name in events. @defaultValue `'coalesce'` */
  readonly name?: string | undefined;
}

/** Defaults of {@link coalesce}. */
export const coalesceDefaults: { readonly name: string } = Object.freeze({ name: 'coalesce' });

const rules: OptionRules<CoalesceOptions> = { key: functionRule, name: nameRule };

/** One flight per key. Shared by the calls that may share answers. */
export class Coalesce extends SingleLayer implements Strategy {
  readonly name: string;
  readonly #key: KeyFunction;
  readonly #flights = new Map<string, Flight>();
  readonly #counters = { alone: 0, flights: 0, joined: 0, left: 0, aborted: 0 };

  /** @throws {@link InvalidOptionError} */
  constructor(options: CoalesceOptions) {
    super();
    checkOptions('coalesce', options, rules);
    this.name = options.name ?? coalesceDefaults.name;
    this.#key = givenKey('coalesce', options.key);
  }

  /** Flights at this moment. */
  get flights(): number {
    return this.#flights.size;
  }

  describe(): LayerDescription {
    let calls = 0;
    for (const { waiting } of this.#flights.values()) calls += waiting;
    return {
      type: 'coalesce',
      name: this.name,
      options: jsonRecord({ key: this.#key }),
      state: { flights: this.flights, calls },
      counters: { ...this.#counters },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    if (call.aborted) return rejectionOf(call.reason);
    const key = keyOf(call, this.#key);
    if (key === undefined) {
      this.#counters.alone++;
      return next(call);
    }
    const state = call as CallState;
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      flight = new Flight(state, (ended) => {
        if (this.#flights.get(key) === ended) this.#flights.delete(key);
      });
      this.#flights.set(key, flight);
      this.#counters.flights++;
      flight.start(next);
    } else {
      this.#counters.joined++;
      if (call.observed)
        call.emit({ type: 'coalesce.joined', strategy: this.name, waiting: flight.waiting + 1 });
    }
    return flight.join(state, (last) => {
      this.#counters.left++;
      if (last) this.#counters.aborted++;
    }) as Promise<T>;
  }
}

/** One run of what lies further in, for all who wait for it. */
class Flight {
  readonly #detached: DetachedCall;
  readonly #over: (flight: Flight) => void;
  /** Those who wait. */
  readonly #calls = new Set<CallState>();
  #started = false;
  readonly #result: Promise<unknown>;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;

  constructor(first: CallState, over: (flight: Flight) => void) {
    this.#over = over;
    this.#calls.add(first);
    this.#detached = detach(first, () => this.#begin());
    // There before it starts: what runs may call for the same key at once.
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Calls that wait for it. */
  get waiting(): number {
    return this.#calls.size;
  }

  start(next: (call: Call) => Promise<unknown>): void {
    const { call } = this.#detached;
    const ended = (): void => {
      call.close();
      this.#over(this);
    };
    next(call).then(
      (value) => {
        ended();
        this.#resolve(value);
      },
      (error) => {
        ended();
        this.#reject(error);
      },
    );
  }

  /** The flight's end for one call, which can leave alone; `left` hears whether it was the last one. */
  join(call: CallState, left: (last: boolean) => void): Promise<unknown> {
    this.#calls.add(call);
    if (this.#started) call.begin();
    return new Promise((resolve, reject) => {
      const forget = call.onAbort((reason) => {
        const last = this.#calls.size === 1;
        left(last);
        // The answer of what runs to the abort stands, and somebody has to take it.
        if (last) return this.#abort(call, reason);
        this.#calls.delete(call);
        return reject(reason);
      });
      const end = (): void => {
        this.#calls.delete(call);
        forget();
      };
      this.#result.then(
        (value) => {
          end();
          resolve(value);
        },
        (error) => {
          end();
          reject(error);
        },
      );
    });
  }

  #begin(): void {
    this.#started = true;
    for (const call of this.#calls) call.begin();
  }

  #abort(last: CallState, reason: unknown): void {
    this.#over(this);
    const { call, cancel } = this.#detached;
    call.root.raced = last.root.raced;
    if (last.cancelled) cancel(reason);
    else call.abort(reason);
  }
}

/**
 * One flight per key.
 *
 * @returns A layer; each caller gets the very value, or error, of the flight that it shared.
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { coalesce } from '@resil/core';
 *
 * const prices = coalesce({ key: (call) => call.key });
 * const ask = () => prices.execute(async () => ({ price: 42 }), { key: 'ACME' });
 * const [one, other] = await Promise.all([ask(), ask()]);
 * console.log(one === other); // true
 * ```
 */
export function coalesce(options: CoalesceOptions): Coalesce {
  return new Coalesce(options);
}
