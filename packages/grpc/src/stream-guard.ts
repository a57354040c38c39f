/**
 * A guard of a pipeline as it stands around a stream, which begins as one call and then goes on.
 *
 * The rest of the pipeline is through with a server stream when its first message is there; a guard is
 * not: its permit goes back, and the breaker learns of the outcome, when the stream ends. A probe of a
 * half-open circuit is the exception: it has its answer with the first sign of life, and a stream that
 * lives for hours would keep the circuit half-open for as long.
 */
import type { Call, Guard, LayerDescription, Outcome } from '@resil/core';

/** What a guard around a stream has to know of it. */
export interface StreamProgress {
  /** Whether it has begun and not yet ended. */
  readonly live: boolean;
  /** Calls `listener` with the outcome when the stream ends. */
  atEnd(listener: (outcome: Outcome) => void): void;
  /** Calls `listener` at the first sign of life. */
  atAnswer(listener: () => void): void;
}

/** The stream of a call; the calls of a stream's pipeline all have one. */
type ProgressOf = (call: Call) => StreamProgress;

interface Held {
  readonly permit: unknown;
  left: boolean;
}

/** Parts of a layer that a pipeline looks at, beside those of a guard. */
interface LayerParts {
  readonly clock?: unknown;
  readonly emitter?: unknown;
  /** Of a circuit breaker. */
  readonly state?: unknown;
}

/** Stands for `guard` around a stream; the state is that of `guard`. Shared by all streams. */
export class StreamGuard implements Guard<Held> {
  readonly name: string;
  readonly clock: unknown;
  readonly emitter: unknown;
  readonly describe?: () => LayerDescription;
  readonly #guard: Guard;
  readonly #progressOf: ProgressOf;

  constructor(guard: Guard, progressOf: ProgressOf) {
    this.name = guard.name;
    const { clock, emitter } = guard as LayerParts;
    this.clock = clock;
    this.emitter = emitter;
    const describe = guard.describe?.bind(guard);
    if (describe !== undefined) this.describe = describe;
    this.#guard = guard;
    this.#progressOf = progressOf;
  }

  enter(call: Call): Held | Promise<Held> {
    const permit = this.#guard.enter(call);
    return permit instanceof Promise
      ? permit.then((granted) => this.#hold(granted, call))
      : this.#hold(permit, call);
  }

  leave(held: Held, call: Call, outcome: Outcome): void {
    const progress = this.#progressOf(call);
    if (!outcome.ok || !progress.live) this.#leave(held, call, outcome);
    else {
      // A stream's duration is that of its beginning: how long it lives is not the server's slowness.
      const { duration } = outcome;
      progress.atEnd((end) => this.#leave(held, call, { ...end, duration }));
    }
  }

  #hold(permit: unknown, call: Call): Held {
    const held = { permit, left: false };
    if ((this.#guard as LayerParts).state === 'half-open') {
      const enteredAt = call.now();
      this.#progressOf(call).atAnswer(() => {
        const duration = call.clock.now() - enteredAt;
        this.#leave(held, call, { ok: true, value: undefined, duration });
      });
    }
    return held;
  }

  #leave(held: Held, call: Call, outcome: Outcome): void {
    if (held.left) return;
    held.left = true;
    this.#guard.leave(held.permit, call, outcome);
  }
}
