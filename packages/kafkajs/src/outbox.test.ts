import { VirtualClock } from '@resil/testing';
import type { TopicMessages } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { type Outbox, outbox, type Ticket } from './outbox.js';
import type { OutboxStore, StoredEntry, StoredMessage } from './outbox-options.js';

/** A store in memory whose steps take a turn of the event loop, as those of a disk or a database do. */
class MemoryStore implements OutboxStore {
  shared = false;
  entries: StoredEntry[] = [];
  #next = 0;

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  async size(): Promise<number> {
    const { length } = this.entries;
    await turn();
    return length;
  }

  async append(messages: readonly StoredMessage[]): Promise<void> {
    await turn();
    for (const message of messages) this.entries.push({ id: String(this.#next++), ...message });
    await turn();
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
const valuesIn = (parts: readonly TopicMessages[]) =>
  parts.flatMap(({ messages }) => messages.map(({ value }) => String(value)));

/** An outbox whose broker is up, down, or answers by hand. */
async function bench(options: { batchSize?: number; shared?: boolean } = {}) {
  const store = new MemoryStore();
  store.shared = options.shared ?? false;
  const clock = new VirtualClock();
  const sent: string[] = [];
  const state = { up: false, silent: false };
  const { batchSize = 200 } = options;
  const dropped: unknown[] = [];
  const onDropped = (count: number, error: unknown) => dropped.push([count, error]);
  const box = outbox({ store, retryDelay: 1_000, batchSize, onDropped }) as Outbox & Inner;
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
  const keep = (value: string) => {
    const ticket = box.enter();
    const kept = ticket.keep(record(value)).finally(() => ticket.leave());
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
    const kept = [third?.keep(record('c')), second?.keep(record('b'))];
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
    await box.enter().keep([bad]);
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
});
