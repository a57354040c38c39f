/**
 * A token, compared in constant time, and how often a wrong one may be tried: so many times a minute
 * from one address, and from all of them together. Whoever has used up theirs is refused even with the
 * right one.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@resil/core';

/** Milliseconds after which wrong tries are forgotten. */
const WINDOW = 60_000;
const MAX_TRIES = 1_000;

/** Whether a token was right, and if not, how long nobody is believed. */
export type Verdict =
  | { readonly kind: 'right' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'too-many'; readonly delay: number };

/** A token that is asked for. */
export class TokenGate {
  readonly #digest: Buffer;
  readonly #clock: Clock;
  readonly #maxTries: number;
  /** Wrong tries in this window, by address: no more addresses than tries. */
  readonly #tries = new Map<string, number>();
  #total = 0;
  #until = -Infinity;

  /** `maxTries` is how many wrong ones one address has in a minute. */
  constructor(token: string, clock: Clock, maxTries: number) {
    this.#digest = digestOf(token);
    this.#clock = clock;
    this.#maxTries = maxTries;
  }

  /** Looks at the header `authorization` of a request from `address`. */
  check(header: string | undefined, address: string): Verdict {
    const now = this.#clock.now();
    if (now >= this.#until) {
      this.#tries.clear();
      this.#total = 0;
      this.#until = now + WINDOW;
    }
    const tries = this.#tries.get(address) ?? 0;
    if (tries >= this.#maxTries || this.#total >= MAX_TRIES)
      return { kind: 'too-many', delay: this.#until - now };
    const token = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '';
    // Digests are of one length, and tell nothing of how much of a token was right.
    if (timingSafeEqual(digestOf(token), this.#digest)) return { kind: 'right' };
    this.#tries.set(address, tries + 1);
    this.#total++;
    return { kind: 'wrong' };
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
