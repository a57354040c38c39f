/**
 * How long circuits are in each state, and how long they take to recover. Events tell the changes;
 * descriptions tell what went before the first of them, and that a circuit still is where it was.
 *
 * Only circuits that are not closed are remembered, and not more than {@link MAX_CIRCUITS} of them. Time
 * closed comes from descriptions: as many circuits as are described count.
 */
import type { Clock } from '@resil/core';
import type { Place, Recorder } from './recorder.js';

/** State of a circuit. */
export type CircuitStateName = 'closed' | 'open' | 'half-open' | 'isolated';

/** Circuits remembered at most; the time of those beyond is not counted. */
export const MAX_CIRCUITS = 1_000;
/** A circuit that nobody spoke of for so long, in ms, may be gone with its pipeline. */
export const FORGET_AFTER = 600_000;

interface Circuit {
  readonly place: Place;
  readonly strategy: string;
  state: CircuitStateName;
  /** From when on the time in this state has not been counted yet. */
  since: number;
  /** When it left the closed state; `undefined` if it was isolated by hand since. */
  openedAt: number | undefined;
  seenAt: number;
}

/** Follows the circuits. */
export class CircuitTimes {
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  readonly #circuits = new Map<string, Circuit>();
  /** When the time of all circuits was counted last. */
  #countedAt: number;

  constructor(recorder: Recorder, clock: Clock) {
    this.#recorder = recorder;
    this.#clock = clock;
    this.#countedAt = clock.now();
  }

  /** A circuit that is spoken of is still there. */
  seen(place: Place, strategy: string): void {
    const circuit = this.#circuits.get(idOf(place, strategy));
    if (circuit !== undefined) circuit.seenAt = this.#clock.now();
  }

  /** A circuit came into a state. */
  changed(place: Place, strategy: string, state: CircuitStateName): void {
    const now = this.#clock.now();
    const circuit = this.#circuits.get(idOf(place, strategy));
    if (circuit !== undefined) this.#move(circuit, state, now);
    else if (state !== 'closed') {
      // Until now it was closed, which was counted up to the last reading.
      this.#count(place, strategy, 'closed', now - this.#countedAt);
      this.#remember(place, strategy, state, now, now);
    }
  }

  /** What a description says of a circuit; asked of each that is described, before {@link count}. */
  described(place: Place, strategy: string, state: CircuitStateName, duration: number): void {
    const now = this.#clock.now();
    const since = Math.max(this.#countedAt, now - duration);
    const circuit = this.#circuits.get(idOf(place, strategy));
    if (circuit === undefined) {
      if (state === 'closed') this.#count(place, strategy, 'closed', now - since);
      else this.#remember(place, strategy, state, since, now - duration);
      return;
    }
    circuit.seenAt = now;
    // An open circuit is described as half-open from when a probe would be let in, without an event.
    if (circuit.state !== state)
      this.#move(circuit, state, Math.max(circuit.since, now - duration));
  }

  /** Counts the time of all circuits up to now. */
  count(): void {
    const now = this.#clock.now();
    for (const [id, circuit] of this.#circuits) {
      this.#count(circuit.place, circuit.strategy, circuit.state, now - circuit.since);
      circuit.since = now;
      const forgotten = now - circuit.seenAt > FORGET_AFTER;
      if (circuit.state === 'closed' || forgotten) this.#circuits.delete(id);
    }
    this.#countedAt = now;
  }

  #move(circuit: Circuit, state: CircuitStateName, at: number): void {
    const { place, strategy, openedAt } = circuit;
    this.#count(place, strategy, circuit.state, at - circuit.since);
    if (state === 'closed' && openedAt !== undefined && circuit.state !== 'closed') {
      this.#recorder.record('circuitRecovery', place, [strategy], (at - openedAt) / 1_000);
    }
    if (circuit.state === 'closed') circuit.openedAt = at;
    if (state === 'isolated') circuit.openedAt = undefined;
    circuit.state = state;
    circuit.since = at;
    circuit.seenAt = at;
  }

  #remember(
    { pipeline, key }: Place,
    strategy: string,
    state: CircuitStateName,
    since: number,
    openedAt: number,
  ): void {
    if (this.#circuits.size >= MAX_CIRCUITS) return;
    const place = { pipeline, key };
    this.#circuits.set(idOf(place, strategy), {
      place,
      strategy,
      state,
      since,
      openedAt: state === 'isolated' ? undefined : openedAt,
      seenAt: this.#clock.now(),
    });
  }

  #count(place: Place, strategy: string, state: CircuitStateName, duration: number): void {
    this.#recorder.count('circuitTime', place, [strategy, state], Math.max(0, duration) / 1_000);
  }
}

function idOf({ pipeline, key }: Place, strategy: string): string {
  // Names that hold a line break may be mistaken for one another, and measured as one.
  return `${pipeline ?? ''}\n${key ?? ''}\n${strategy}`;
}
