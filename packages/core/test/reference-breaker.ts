/**
 * The circuit breaker's documented rules, written down as plainly as possible: every outcome is kept
 * in a list and counted anew each time. Slow, and easy to believe.
 */

/** What the breaker is made from, with everything said. */
export interface Rules {
  readonly failureThreshold: number | undefined;
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly window: { readonly calls: number } | { readonly duration: number };
  readonly slowCallDuration: number;
  readonly slowCallRatio: number;
  readonly resetTimeout: (openings: number) => number;
  readonly halfOpenCalls: number;
  readonly probeTimeout: number;
}

/** Whose outcome it was. */
export type Kind = 'success' | 'failure' | 'ignored';

/** A call that was let in. */
export interface Admitted {
  /** The stretch of time between two changes of state in which it was let in. */
  readonly era: number;
  readonly enteredAt: number;
  readonly isProbe: boolean;
  over: boolean;
}

/** An answer to somebody who wants to enter. */
export type Answer =
  | Admitted
  | {
      readonly refused: 'open' | 'half-open' | 'isolated';
      readonly retryAfter: number | undefined;
    };

interface Ended {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

/** A circuit breaker by the book. */
export class ReferenceBreaker {
  readonly rules: Rules;
  now: number;
  condition: 'closed' | 'open' | 'half-open' | 'isolated' = 'closed';
  openUntil = 0;
  openings = 0;
  /** Changes of state in words, as the events tell them. */
  readonly story: string[] = [];
  #era = 0;
  #ended: Ended[] = [];
  #probesOut: Admitted[] = [];

  constructor(rules: Rules, now: number) {
    this.rules = rules;
    this.now = now;
  }

  get state(): string {
    const due = this.condition === 'open' && this.now >= this.openUntil;
    return due ? 'half-open' : this.condition;
  }

  enter(): Answer {
    if (this.condition === 'isolated') return { refused: 'isolated', retryAfter: undefined };
    if (this.condition === 'open') {
      if (this.now < this.openUntil)
        return { refused: 'open', retryAfter: this.openUntil - this.now };
      this.#become('half-open', 'half-opened: reset-timeout');
    }
    if (this.condition === 'closed') return this.#admit(false);
    if (this.#probesOut.length + this.#ended.length >= this.rules.halfOpenCalls) {
      const [oldest] = this.#probesOut;
      if (oldest === undefined || this.now - oldest.enteredAt < this.rules.probeTimeout)
        return { refused: 'half-open', retryAfter: undefined };
      this.#probesOut.shift();
      oldest.over = true;
    }
    const probe = this.#admit(true);
    this.#probesOut.push(probe);
    return probe;
  }

  leave(call: Admitted, kind: Kind, duration: number): void {
    if (call.over) return;
    call.over = true;
    if (call.era !== this.#era) return;
    this.#probesOut = this.#probesOut.filter((probe) => probe !== call);
    if (kind === 'ignored') return;
    const ended = {
      at: this.now,
      failed: kind === 'failure',
      slow: duration >= this.rules.slowCallDuration,
    };
    this.#ended.push(ended);
    if (this.condition === 'closed') this.#judgeClosed(ended);
    else this.#judgeProbes();
  }

  isolate(): void {
    if (this.condition !== 'isolated') this.#become('isolated', 'isolated: manual');
  }

  reset(): void {
    if (this.condition !== 'closed') this.#close('manual');
    else this.#newEra();
  }

  /** The same breaker in another process, `elapsed` ms later on a clock that shows `now`. */
  restored(now: number, elapsed: number): ReferenceBreaker {
    const next = new ReferenceBreaker(this.rules, now);
    next.openings = this.openings;
    // Probes don't live on in another process, so the next one begins anew.
    next.condition = this.condition === 'half-open' ? 'open' : this.condition;
    const remaining = this.condition === 'open' ? Math.max(0, this.openUntil - this.now) : 0;
    next.openUntil = now + remaining - elapsed;
    if (this.condition === 'closed') {
      const shift = now - this.now - elapsed;
      next.#ended = this.#remembered().map((one) => ({ ...one, at: this.#partOf(one.at) + shift }));
    }
    return next;
  }

  /** A time window works in ten parts: what is stored is when the part began. */
  #partOf(at: number): number {
    const { window } = this.rules;
    if (!('duration' in window)) return at;
    const width = window.duration / 10;
    return Math.floor(at / width) * width;
  }

  /** The outcomes that the window still holds. */
  #remembered(): Ended[] {
    const { window, failureThreshold } = this.rules;
    if (failureThreshold !== undefined) return this.#ended;
    if ('calls' in window) return this.#ended.slice(-window.calls);
    const width = window.duration / 10;
    const present = Math.floor(this.now / width);
    return this.#ended.filter(({ at }) => present - Math.floor(at / width) < 10);
  }

  #judgeClosed(last: Ended): void {
    const { failureThreshold, failureRatio, slowCallRatio, minimumCalls } = this.rules;
    const outcomes = this.#remembered();
    if (failureThreshold !== undefined) {
      const latest = outcomes.slice(-failureThreshold);
      if (latest.length === failureThreshold && latest.every(({ failed }) => failed))
        this.#open('failures');
      return;
    }
    if (outcomes.length < minimumCalls) return;
    const share = (which: 'failed' | 'slow'): number =>
      outcomes.filter((one) => one[which]).length / outcomes.length;
    if (last.failed && share('failed') >= failureRatio) this.#open('failures');
    else if (last.slow && share('slow') >= slowCallRatio) this.#open('slow-calls');
  }

  #judgeProbes(): void {
    const { failureThreshold, failureRatio, slowCallRatio, halfOpenCalls } = this.rules;
    const failed = this.#ended.filter((one) => one.failed).length;
    const slow = this.#ended.filter((one) => one.slow).length;
    const tooManyFailed =
      failureThreshold === undefined ? failed / halfOpenCalls >= failureRatio : failed > 0;
    if (tooManyFailed || slow / halfOpenCalls >= slowCallRatio) this.#open('probe-failed');
    else if (this.#ended.length === halfOpenCalls) this.#close('probe-succeeded');
  }

  #open(reason: string): void {
    this.openings += 1;
    const delay = this.rules.resetTimeout(this.openings);
    this.openUntil = this.now + delay;
    this.#become('open', `opened: ${reason}, ${this.openings}, ${delay}`);
  }

  #close(reason: string): void {
    this.openings = 0;
    this.#become('closed', `closed: ${reason}`);
  }

  #become(condition: 'closed' | 'open' | 'half-open' | 'isolated', what: string): void {
    this.condition = condition;
    this.story.push(what);
    this.#newEra();
  }

  #newEra(): void {
    this.#era += 1;
    this.#ended = [];
    this.#probesOut = [];
  }

  #admit(isProbe: boolean): Admitted {
    return { era: this.#era, enteredAt: this.now, isProbe, over: false };
  }
}
