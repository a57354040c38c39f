import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from './cache-store.js';

/** The same in the plainest words: a list, the least recently used first. */
class Reference {
  entries: { key: string; value: number; storedAt: number; until: number }[] = [];

  readonly maxEntries: number;
  readonly maxBytes: number;

  constructor(maxEntries: number, maxBytes: number) {
    this.maxEntries = maxEntries;
    this.maxBytes = maxBytes;
  }

  get(key: string, now: number): { value: number; age: number } | undefined {
    const entry = this.entries.find((each) => each.key === key);
    this.entries = this.entries.filter((each) => each !== entry);
    if (entry === undefined || now >= entry.until) return undefined;
    this.entries.push(entry);
    return { value: entry.value, age: now - entry.storedAt };
  }

  set(key: string, value: number, duration: number, now: number): void {
    this.entries = this.entries.filter((each) => each.key !== key);
    if (value > this.maxBytes) return;
    this.entries.push({ key, value, storedAt: now, until: now + duration });
    while (this.entries.length > this.maxEntries || this.bytes > this.maxBytes)
      this.entries.shift();
  }

  get bytes(): number {
    return this.entries.reduce((sum, { value }) => sum + value, 0);
  }
}

describe('memoryStore', () => {
  it('is the same as a list that is searched, by entries, bytes and age', async () => {
    const step = fc.record({
      act: fc.constantFrom('get', 'set', 'set', 'delete', 'wait'),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      size: fc.nat(7),
      duration: fc.integer({ min: 1, max: 50 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 80 }),
        async (maxEntries, maxBytes, steps) => {
          const clock = new VirtualClock();
          const store = memoryStore({
            clock,
            maxEntries,
            maxBytes,
            sizeOf: (value) => value as number,
          });
          const model = new Reference(maxEntries, maxBytes);
          for (const { act, key, size, duration } of steps) {
            if (act === 'get') expect(store.get(key)).toEqual(model.get(key, clock.now()));
            else if (act === 'set') {
              store.set(key, size, duration);
              model.set(key, size, duration, clock.now());
            } else if (act === 'delete') {
              store.delete(key);
              model.entries = model.entries.filter((each) => each.key !== key);
            } else await clock.advance(duration);
            expect([store.size, store.bytes]).toEqual([model.entries.length, model.bytes]);
          }
        },
      ),
    );
  });

  it('refuses maxBytes without sizeOf, and a size that is none', () => {
    expect(() => memoryStore({ maxBytes: 10 })).toThrow(/sizeOf.*maxBytes/);
    const store = memoryStore({ sizeOf: () => Number.NaN });
    expect(() => store.set('a', 1, 10)).toThrow(/NaN/);
    expect(store.size).toBe(0);
  });
});
