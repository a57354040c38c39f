import { VirtualClock } from '@resil/testing';
import type { TopicMessages } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { type Outbox, outbox } from './outbox.js';
import type { KeepLimits, Ticket } from './outbox-intake.js';
import type {
  Appended,
  OutboxOptions,
  OutboxStore,
  StoredEntry,
  StoredMessage,
} from './outbox-options.js';

/** A store in memory whose steps take a turn of the event loop, as those of a disk or a database do. */
class MemoryStore implements OutboxStore {
  shared = false;
  entries: StoredEntry[] = [];
  /** How many messages each append was given. */
  appends: number[] = [];
  /** What appends wait for. */
  gate: Promise<void> = Promise.resolve();
  /** A message that can not be kept. */
  poison: string | undefined;
  #next = 0;

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  async size(): Promise<number> {
    const { length } = this.entries;
    await turn();
    return length;
  }

  async append(messages: readonly StoredMessage[], max: number): Promise<Appended> {
    this.appends.push(messages.length);
    await this.gate;
    await turn();
    if (messages.some(({ message }) => message.value === this.poison)) throw new Error('poison');
    const kept = !this.shared || this.entries.length + messages.length <= max;
    for (const message of kept ? messages : []) {
      this.entries.push({ id: String(this.#next++), ...message });
    }
    const size = this.entries.length;
    await turn();
    return { kept, size };
  }

  /** Lets no append through until the result is called. */
  hang(): () => void {
    let resume = (): void => {};
    this.gate = new Promise((resolve) => {
      resume = resolve;
    });
    return resume;
  }

  async oldest(max: number): Promise<readonly StoredEntry[]> {
    await turn();
    return this.entries.slice(0, max);
  }

  async remove(entries: readonly StoredEntry[]): Promise<number> {
    await turn();
    const before = this.entries.length;
    this.entries = this.entries.filter(({ id }) => !entries.some((one) => one.id === id));
    await turn();
    return before - this.entries.length;
  }

  async drop(count: number): Promise<number> {
    await turn();
    return this.entries.splice(0, count).length;
  }
}

/** What a producer uses of its outbox; not in the published types. */
interface Inner {
  enter(): Ticket;
  attach(send: (parts: readonly TopicMessages[]) => Promise<[]>, clock: VirtualClock): void;
}

const turn = () => new Promise((done) => setImmediate(done));
const turns = async (count = 30) => {
  for (let i = 0; i < count; i += 1) await turn();
};
const record = (value: string): TopicMessages[] => [{ topic: 't', messages: [{ value }] }];
const valuesOf = (store: MemoryStore) => store.entries.map(({ message }) => message.value);
const valuesIn = (parts: readonly TopicMessages[]) =>
  parts.flatMap(({ messages }) => messages.map(({ value }) => String(value)));

type BenchOptions = Partial<OutboxOptions> & { readonly shared?: boolean };

/** An outbox whose broker is up, down, or answers by hand. */
async function bench({ shared = false, ...options }: BenchOptions = {}) {
  const store = new MemoryStore();
  store.shared = shared;
  const clock = new VirtualClock();
  const sent: string[] = [];
  const state = { up: false, silent: false };
  const dropped: unknown[] = [];
  const onDropped = (count: number, error: unknown) => dropped.push([count, error]);
  const box = outbox({ store, retryDelay: 1_000, onDropped, ...options }) as Outbox & Inner;
  box.attach(async (parts) => {
    if (state.silent) await new Promise(() => {});
    await turn();
    // As kafkajs' encoder does.
    for (const { messages } of parts) for (const m of messages) BigInt(m.timestamp ?? 0);
    if (!state.up) throw Object.assign(new Error('away'), { name: 'KafkaJSConnectionError' });
    sent.push(...valuesIn(parts));
    return [];
  }, clock);
  await box.start();
  const keep = (value: string, limits: KeepLimits = {}) => {
    const ticket = box.enter();
    const kept = ticket.keep(record(value), limits).finally(() => ticket.leave());
    kept.catch(() => {});
    return kept;
  };
  return { store, clock, sent, state, box, keep, dropped };
}

describe('Outbox', () => {
  it('counts what is appended while what was sent is removed', async () => {
    const { box, keep, sent, state, store, clock } = await bench({ batchSize: 1 });
    for (let i = 0; i < 3; i += 1) await keep(String(i));
    await turns();
    state.up = true;
    clock.advance(1_000);
    // Appends and removals meet in every turn of the loop.
    for (let i = 3; i < 40; i += 1) {
      void keep(String(i));
      await turn();
      await turn();
      const ticket = box.enter();
      expect(ticket.behind, `after ${i}`).toBe(store.entries.length > 0);
      ticket.leave();
    }
    await box.drained();
    expect(sent).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    expect(box.size).toBe(0);
    expect(store.entries).toEqual([]);
  });

  it('keeps in the order of the calls, whichever of them ends first', async () => {
    const { box, store } = await bench();
    const [first, second, third] = [box.enter(), box.enter(), box.enter()];
    const kept = [third?.keep(record('c'), {}), second?.keep(record('b'), {})];
    await turns();
    // The first one's end is open.
    expect(store.entries).toEqual([]);
    first?.leave();
    await Promise.all(kept);
    expect(store.entries.map(({ message }) => message.value)).toEqual(['b', 'c']);
  });

  it('tells a send that waited for its turn that one before it was kept meanwhile', async () => {
    const { box, keep } = await bench();
    const waiting = box.enter();
    expect(waiting.behind).toBe(false);
    const kept = keep('a');
    expect(waiting.behind).toBe(true);
    waiting.leave();
    await kept;
    expect(box.size).toBe(1);
  });

  it('does not take a count for that of now which was asked for before an append', async () => {
    const { box, keep, clock, store } = await bench({ shared: true });
    store.entries.push({ id: 'theirs', topic: 't', message: { value: 'theirs' } });
    clock.advance(1_000);
    // The count is being asked for while this is appended.
    await keep('ours');
    await turns();
    expect(box.size).toBe(2);
    await box.stop();
  });

  it('tells what was kept and can not be made bytes of, and goes on', async () => {
    const { box, keep, state, sent, store, dropped, clock } = await bench();
    // No send comes this far with it; another version may have kept it, or another writer to the table.
    const bad = { topic: 't', messages: [{ value: 'bad', timestamp: 'abc' }] };
    await box.enter().keep([bad], {});
    await keep('good');
    await turns();
    state.up = true;
    clock.advance(1_000);
    await box.drained();
    expect(sent).toEqual(['good']);
    expect(dropped).toEqual([[1, expect.any(SyntaxError)]]);
    expect(store.entries).toEqual([]);
  });

  it('stops within 5 s though the broker never answers, and keeps what was on its way', async () => {
    const { box, keep, clock, state, store } = await bench();
    state.silent = true;
    await keep('a');
    await turns();
    let stopped = false;
    const stop = box.stop().then(() => {
      stopped = true;
    });
    await turns();
    clock.advance(4_999);
    await turns();
    expect(stopped).toBe(false);
    clock.advance(1);
    await stop;
    expect(store.entries).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('tries again after retryDelay', async () => {
    const { keep, clock, state, sent } = await bench();
    await keep('a');
    await turns();
    state.up = true;
    clock.advance(999);
    await turns();
    expect(sent).toEqual([]);
    clock.advance(1);
    await turns();
    expect(sent).toEqual(['a']);
  });

  describe('writing in groups', () => {
    it('writes together what came during a write, in the order of the calls', async () => {
      const { store, keep } = await bench();
      const resume = store.hang();
      const first = keep('0');
      await turns();
      const rest = Array.from({ length: 50 }, (_, i) => keep(String(i + 1)));
      resume();
      await Promise.all([first, ...rest]);
      expect(store.appends).toEqual([1, 50]);
      expect(valuesOf(store)).toEqual(Array.from({ length: 51 }, (_, i) => String(i)));
    });

    it('writes no more than 1,000 messages or 1 MiB at once, and splits no send', async () => {
      const { store, box, keep } = await bench();
      const resume = store.hang();
      const all = [keep('first')];
      await turns();
      for (let i = 0; i < 1_001; i += 1) all.push(keep(''));
      const three = [{ topic: 't', messages: Array(3).fill({ value: 'x'.repeat(500_000) }) }];
      const large = box.enter();
      all.push(large.keep(three, {}), keep('last'));
      resume();
      await Promise.all(all);
      expect(store.appends).toEqual([1, 1_000, 1, 3, 1]);
    });

    it('removes what was sent and becomes empty while sends keep coming', async () => {
      const { box, keep, state, sent, store, clock } = await bench();
      await keep('0');
      await turns();
      state.up = true;
      clock.advance(1_000);
      let largest = 0;
      // Three a turn: one append for each would take six.
      for (let i = 1; i < 1_500; i += 1) {
        void keep(String(i));
        if (i % 3 === 0) await turn();
        largest = Math.max(largest, store.entries.length);
      }
      expect(sent.length).toBeGreaterThan(1_000);
      expect(largest).toBeLessThan(200);
      await box.drained();
      expect(sent).toEqual(Array.from({ length: 1_500 }, (_, i) => String(i)));
    });

    it('fails none for the sake of another that can not be kept', async () => {
      const { store, keep } = await bench();
      store.poison = 'b';
      const resume = store.hang();
      const all = ['first', 'a', 'b', 'c'].map((value) => keep(value));
      resume();
      const outcomes = await Promise.allSettled(all);
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(valuesOf(store)).toEqual(['first', 'a', 'c']);
    });
  });

  describe('at its bound', () => {
    it('counts what waits for a store that hangs', async () => {
      const { store, keep, box } = await bench({ maxMessages: 3 });
      const resume = store.hang();
      const all = ['a', 'b', 'c', 'd'].map((value) => keep(value));
      await turns();
      // The first three are being written.
      all.push(keep('e'));
      // At once, and not when the store is back.
      await expect(all[3]).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      await expect(all[4]).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      resume();
      await Promise.all(all.slice(0, 3));
      expect(valuesOf(store)).toEqual(['a', 'b', 'c']);
      expect(box.size).toBe(3);
    });

    it('counts what is kept and what waits together', async () => {
      const { store, keep } = await bench({ maxMessages: 3 });
      await keep('a');
      await keep('b');
      const resume = store.hang();
      const third = keep('c');
      await expect(keep('d')).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      resume();
      await third;
      expect(valuesOf(store)).toEqual(['a', 'b', 'c']);
    });

    it('refuses what came before the store had told how full it is', async () => {
      const store = new MemoryStore();
      for (const id of ['x', 'y']) store.entries.push({ id, topic: 't', message: { value: id } });
      const box = outbox({ store, maxMessages: 3 }) as Outbox & Inner;
      const all = ['a', 'b'].map((value) => box.enter().keep(record(value), {}));
      await expect(all[1]).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      await all[0];
      expect(valuesOf(store)).toEqual(['x', 'y', 'a']);
    });

    it('drops the oldest that was kept, and tells', async () => {
      const { store, keep, dropped } = await bench({ maxMessages: 3, whenFull: 'drop-oldest' });
      for (const value of ['a', 'b', 'c', 'd', 'e']) await keep(value);
      expect(valuesOf(store)).toEqual(['c', 'd', 'e']);
      expect(dropped).toEqual([
        [1, expect.objectContaining({ code: 'RESIL_OUTBOX_FULL' })],
        [1, expect.objectContaining({ code: 'RESIL_OUTBOX_FULL' })],
      ]);
    });

    it('rejects the oldest that waits where the oldest make room and the store hangs', async () => {
      const { store, keep, dropped } = await bench({ maxMessages: 3, whenFull: 'drop-oldest' });
      const resume = store.hang();
      const first = keep('a');
      await turns();
      const rest = ['b', 'c', 'd', 'e', 'f'].map((value) => keep(value));
      await expect(rest[0]).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      await expect(rest[1]).rejects.toMatchObject({ code: 'RESIL_OUTBOX_FULL' });
      resume();
      await Promise.all([first, ...rest.slice(2)]);
      expect(valuesOf(store)).toEqual(['d', 'e', 'f']);
      expect(dropped).toEqual([[1, expect.anything()]]);
    });

    it.each(['refuse', 'drop-oldest'] as const)(
      'goes by what a shared store holds, not by what it held: %s',
      async (whenFull) => {
        const { store, keep, box } = await bench({ maxMessages: 3, whenFull, shared: true });
        for (const id of ['x', 'y', 'z']) {
          store.entries.push({ id, topic: 't', message: { value: id } });
        }
        const outcome = await keep('a').catch(({ code }: { code: string }) => code);
        expect(outcome).toEqual(whenFull === 'refuse' ? 'RESIL_OUTBOX_FULL' : []);
        expect(valuesOf(store)).toEqual(whenFull === 'refuse' ? ['x', 'y', 'z'] : ['y', 'z', 'a']);
        store.entries.splice(0);
        await keep('b');
        expect(valuesOf(store)).toEqual(['b']);
        expect(box.size).toBe(1);
        await box.stop();
      },
    );
  });

  describe('while its store hangs', () => {
    it('lets a caller go at once when it aborts, and takes back what was not begun', async () => {
      const { store, keep, box } = await bench();
      const resume = store.hang();
      const first = keep('a');
      await turns();
      const controller = new AbortController();
      const second = keep('b', { signal: controller.signal });
      const third = keep('c');
      controller.abort(new Error('gone'));
      await expect(second).rejects.toThrow('gone');
      await expect(keep('d', { signal: controller.signal })).rejects.toThrow('gone');
      resume();
      await Promise.all([first, third]);
      expect(valuesOf(store)).toEqual(['a', 'c']);
      expect(box.size).toBe(2);
    });

    it('keeps and sends what was begun though its caller has gone', async () => {
      const { store, box, state, sent, clock } = await bench();
      const resume = store.hang();
      const controller = new AbortController();
      const ticket = box.enter();
      const kept = ticket.keep(record('a'), { signal: controller.signal });
      expect(ticket.begun).toBe(false);
      await turns();
      expect(ticket.begun).toBe(true);
      controller.abort(new Error('gone'));
      await expect(kept).rejects.toThrow('gone');
      ticket.leave();
      const later = box.enter();
      // It is not known yet whether it will be kept: what comes now must not overtake it.
      expect(later.behind).toBe(true);
      later.leave();
      state.up = true;
      resume();
      await box.drained();
      expect(sent).toEqual(['a']);
      expect(clock.pending).toBe(0);
    });

    it('tries none again whose caller has gone', async () => {
      const { store, keep, box } = await bench();
      store.poison = 'b';
      const resume = store.hang();
      const controller = new AbortController();
      const first = keep('first');
      await turns();
      const [a, b] = [keep('a', { signal: controller.signal }), keep('b')];
      resume();
      await first;
      const resumeAgain = store.hang();
      await turns();
      controller.abort();
      resumeAgain();
      await expect(a).rejects.toThrow();
      await expect(b).rejects.toThrow('poison');
      expect(valuesOf(store)).not.toContain('a');
      expect(box.size).toBe(1);
    });

    it.each([
      ['deadline', { deadline: 700 }, {}],
      ['keepTimeout', {}, { keepTimeout: 700 }],
      ['keepTimeout, before a later deadline', { deadline: 9_000 }, { keepTimeout: 700 }],
    ])('waits until the %s and no longer', async (_, limits, options) => {
      const { store, keep, clock, box } = await bench(options);
      const resume = store.hang();
      const all = [keep('a', limits), keep('b', limits)];
      const outcomes = Promise.allSettled(all);
      let settled = false;
      void outcomes.then(() => {
        settled = true;
      });
      await turns();
      clock.advance(699);
      await turns();
      expect(settled).toBe(false);
      clock.advance(1);
      for (const outcome of await outcomes) {
        expect(outcome).toMatchObject({ reason: { code: 'RESIL_TIMEOUT', timeout: 700 } });
      }
      resume();
      await turns();
      expect(box.size).toBe(store.entries.length);
    });

    it('refuses at once what comes after its deadline, or after its send has ended', async () => {
      const { store, keep, box } = await bench();
      await expect(keep('a', { deadline: 0 })).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      const ticket = box.enter();
      ticket.leave();
      await expect(ticket.keep(record('b'), {})).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      await box.drained();
      expect(store.appends).toEqual([]);
    });

    it('stops within 5 s, and closes the store when it is back', async () => {
      const { store, keep, clock, box } = await bench({ keepTimeout: Infinity });
      let closed = false;
      store.close = async () => {
        closed = true;
      };
      const resume = store.hang();
      const kept = keep('a');
      await turns();
      let stopped = false;
      const stop = box.stop().then(() => {
        stopped = true;
      });
      clock.advance(4_999);
      await turns();
      expect(stopped).toBe(false);
      clock.advance(1);
      await stop;
      expect(closed).toBe(false);
      resume();
      await kept;
      await turns();
      expect(closed).toBe(true);
      expect(valuesOf(store)).toEqual(['a']);
    });
  });
});
