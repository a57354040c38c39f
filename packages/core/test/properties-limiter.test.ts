/** Random histories of an adaptive limiter with partitions and a queue, against plain lists. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adaptiveLimiter } from '../src/adaptive-limiter.js';
import { aimd } from '../src/limit-algorithms.js';
import { pipeline } from '../src/pipeline.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

interface Rules {
  readonly initial: number;
  readonly most: number;
  readonly maxQueueSize: number;
  readonly shares: readonly [number, number];
}

const rules: fc.Arbitrary<Rules> = fc.record({
  initial: fc.constantFrom(1, 2, 3, 5),
  most: fc.constantFrom(5, 8),
  maxQueueSize: fc.constantFrom(0, 1, 3, 8),
  shares: fc.constantFrom([0, 0] as const, [0.5, 0.2] as const, [0.9, 0.1] as const),
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant('enter' as const), partition: fc.nat(2) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('succeed' as const, 'succeed' as const, 'fail' as const),
        which: fc.nat(1_000),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat(1_000) }),
    },
  ),
  { minLength: 5, maxLength: 60, size: 'max' },
);

interface Guest {
  readonly id: number;
  readonly partition: number;
  /** Calls in flight when it began. */
  began: number;
}

/** The limiter by the book: AIMD, and three partitions as lists. */
class Reference {
  limit: number;
  readonly running: Guest[] = [];
  readonly waiting: Guest[] = [];
  readonly started: number[] = [];
  readonly refused: number[] = [];
  readonly #rules: Rules;

  constructor(chosen: Rules) {
    this.#rules = chosen;
    this.limit = chosen.initial;
  }

  enter(guest: Guest): void {
    if (this.#hasRoom(guest.partition)) {
      this.#start(guest);
      return;
    }
    if (this.waiting.length >= this.#rules.maxQueueSize) {
      const least = Math.max(-1, ...this.waiting.map(({ partition }) => partition));
      if (least <= guest.partition) {
        this.refused.push(guest.id);
        return;
      }
      this.#remove(this.waiting, this.waiting.findLast(({ partition }) => partition === least)!);
    }
    this.waiting.push(guest);
  }

  end(guest: Guest, ok: boolean): void {
    this.running.splice(this.running.indexOf(guest), 1);
    if (!ok) this.limit = Math.max(1, Math.floor(this.limit * 0.9));
    else if (guest.began * 2 >= this.limit) this.limit = Math.min(this.#rules.most, this.limit + 1);
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.waiting.splice(this.waiting.indexOf(next), 1);
      this.#start(next);
    }
  }

  cancel(guest: Guest): void {
    this.#remove(this.waiting, guest);
  }

  #remove(list: Guest[], guest: Guest): void {
    list.splice(list.indexOf(guest), 1);
    this.refused.push(guest.id);
  }

  #next(): Guest | undefined {
    for (const own of [true, false]) {
      for (const partition of [0, 1, 2]) {
        const first = this.waiting.find((guest) => guest.partition === partition);
        if (first === undefined) continue;
        if (own ? this.#hasShare(partition) : this.running.length < this.limit) return first;
      }
    }
    return undefined;
  }

  #hasRoom(partition: number): boolean {
    return this.running.length < this.limit || this.#hasShare(partition);
  }

  #hasShare(partition: number): boolean {
    const ratio = this.#rules.shares[partition] ?? 0;
    const share = ratio === 0 ? 0 : Math.max(1, Math.ceil(this.limit * ratio - 1e-9));
    return this.running.filter((guest) => guest.partition === partition).length < share;
  }

  #start(guest: Guest): void {
    this.running.push(guest);
    guest.began = this.running.length;
    this.started.push(guest.id);
  }
}

describe('adaptiveLimiter', () => {
  const seen = { shed: 0, waited: 0, above: 0, refused: 0 };

  it(
    'lets in whom plain lists let in, in the same order, and keeps every count',
    async () => {
      await fc.assert(
        fc.asyncProperty(rules, steps, async (chosen, history) => {
          const clock = new VirtualClock();
          const model = new Reference(chosen);
          const [first, second] = chosen.shares;
          const guard = adaptiveLimiter({
            clock,
            algorithm: aimd({ initialLimit: chosen.initial, minLimit: 1, maxLimit: chosen.most }),
            maxQueueSize: chosen.maxQueueSize,
            queueTimeout: Infinity,
            stallDuration: Infinity,
            partitions: [
              { name: 'first', guaranteedRatio: first, minPriority: 2 },
              { name: 'second', guaranteedRatio: second, minPriority: 1 },
            ],
          });
          const calls = pipeline({ clock }, guard);
          const started: number[] = [];
          const refused: number[] = [];
          const guests: { guest: Guest; end: (ok: boolean) => void; caller: AbortController }[] =
            [];
          for (const step of history) {
            if (step.do === 'enter') {
              const guest: Guest = { id: guests.length, partition: step.partition, began: 0 };
              const caller = new AbortController();
              let end: (ok: boolean) => void = () => {};
              const work = new Promise<void>((resolve, reject) => {
                end = (ok) => (ok ? resolve() : reject(new Error('busy')));
              });
              guests.push({ guest, end, caller });
              calls
                .execute(
                  () => {
                    started.push(guest.id);
                    return work;
                  },
                  { priority: 2 - step.partition, signal: caller.signal },
                )
                .catch(() => {
                  if (!started.includes(guest.id)) refused.push(guest.id);
                });
              const before = model.waiting.length;
              const refusedBefore = model.refused.length;
              model.enter(guest);
              if (model.waiting.length > before) seen.waited++;
              if (model.refused.length > refusedBefore)
                if (model.refused.at(-1) === guest.id) seen.refused++;
                else seen.shed++;
            } else {
              const list = step.do === 'cancel' ? model.waiting : model.running;
              const guest = list[step.which % list.length];
              if (guest === undefined) continue;
              const entry = guests[guest.id]!;
              if (step.do === 'cancel') {
                entry.caller.abort('gone');
                model.cancel(guest);
              } else {
                entry.end(step.do === 'succeed');
                model.end(guest, step.do === 'succeed');
              }
            }
            await clock.flush();
            same(guard.limit, model.limit, 'limit');
            same(guard.inFlight, model.running.length, 'in flight');
            same(guard.waiting, model.waiting.length, 'waiting');
            expect(started).toEqual(model.started);
            expect(refused.toSorted()).toEqual(model.refused.toSorted());
            if (guard.inFlight > guard.limit) seen.above++;
          }
        }),
        runs(1_500),
      );
    },
    PATIENCE,
  );

  it('was driven into every corner by these histories', () => {
    for (const [corner, times] of Object.entries(seen)) expect(times, corner).toBeGreaterThan(200);
  });
});
