import type { Batch, EachBatchHandler, EachBatchPayload } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { Bench, message, place } from '../test/handled.js';
import { handleBatch } from './batch-handling.js';

/** A batch with a control record behind its last message, and what becomes of it. */
class TestBatch {
  readonly resolved: string[] = [];
  readonly runs: string[][] = [];
  stale = false;
  running = true;
  readonly payload: EachBatchPayload;
  readonly bench: Bench;

  constructor(bench: Bench, messages: Batch['messages']) {
    this.bench = bench;
    const last = Number(messages.at(-1)?.offset ?? -1) + 1;
    const batch: Batch = {
      topic: 'orders',
      partition: 0,
      highWatermark: String(last + 1),
      messages,
      isEmpty: () => messages.length === 0,
      firstOffset: () => messages[0]?.offset ?? null,
      lastOffset: () => String(last),
      offsetLag: () => '0',
      offsetLagLow: () => '0',
    };
    this.payload = {
      batch,
      resolveOffset: (offset) => void this.resolved.push(offset),
      heartbeat: bench.heartbeat,
      pause: () => () => {},
      commitOffsetsIfNecessary: async () => {},
      uncommittedOffsets: () => ({ topics: [] }),
      isRunning: () => this.running,
      isStale: () => this.stale,
    };
  }

  handle(handler: EachBatchHandler, eachBatchAutoResolve = true) {
    const watched: EachBatchHandler = (payload) => {
      this.runs.push(payload.batch.messages.map(({ offset }) => offset));
      return handler(payload);
    };
    const work = { payload: this.payload, handler: watched, eachBatchAutoResolve };
    return this.bench.settle(handleBatch(this.bench.handling, work));
  }
}

const offsets = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
const batchOf = (bench: Bench, count: number) =>
  new TestBatch(
    bench,
    offsets(0, count - 1).map((offset) => message(Number(offset))),
  );
/** Fails on one message, after it has handled those in front of it or as a whole. */
const failsOn =
  (poison: string, done: string[], resolves: boolean): EachBatchHandler =>
  async ({ batch, resolveOffset }) => {
    if (!resolves && batch.messages.some(({ offset }) => offset === poison)) {
      throw new TypeError('poison');
    }
    for (const { offset } of batch.messages) {
      if (offset === poison) throw new TypeError('poison');
      done.push(offset);
      if (resolves) resolveOffset(offset);
    }
  };

describe('handling a batch', () => {
  it('resolves all of it, control records included, when its handler returns', async () => {
    const test = batchOf(new Bench(), 3);
    expect(await test.handle(async () => {})).toEqual({ kind: 'done' });
    expect(test.runs).toEqual([offsets(0, 2)]);
    expect(test.resolved.at(-1)).toBe('3');
  });

  it('resolves nothing for a handler that does so itself', async () => {
    const test = batchOf(new Bench(), 3);
    const handled = test.handle(async ({ resolveOffset }) => resolveOffset('1'), false);
    expect(await handled).toEqual({ kind: 'done' });
    expect(test.resolved).toEqual(['1']);
  });

  it('runs its handler again with what is not resolved', async () => {
    const test = batchOf(new Bench(), 4);
    let failures = 0;
    const handled = test.handle(async ({ batch, resolveOffset, resilience }) => {
      expect(resilience?.attempt).toBe(failures + 1);
      if (failures === 2) return;
      resolveOffset(batch.messages[0]?.offset ?? '');
      failures += 1;
      throw new Error('not yet');
    });
    expect(await handled).toEqual({ kind: 'done' });
    expect(test.runs).toEqual([offsets(0, 3), offsets(1, 3), offsets(2, 3)]);
    expect(test.bench.sent).toEqual([]);
  });

  it.each(Array.from({ length: 9 }, (_, index) => index))(
    'gives up message %i of 9 alone, and handles the others once, in order',
    async (poison) => {
      for (const resolves of [true, false]) {
        const test = batchOf(new Bench(), 9);
        const done: string[] = [];
        const handler = failsOn(String(poison), done, resolves);
        expect(await test.handle(handler)).toEqual({ kind: 'done' });
        expect(done).toEqual(offsets(0, 8).filter((offset) => offset !== String(poison)));
        expect(test.bench.sent.map(({ message: { value } }) => String(value))).toEqual([
          String(poison),
        ]);
        expect(test.resolved.at(-1)).toBe('9');
        expect(test.runs.length).toBeLessThanOrEqual(12);
      }
    },
  );

  it('finds one of a thousand in few runs', async () => {
    const test = batchOf(new Bench(), 1_000);
    const done: string[] = [];
    await test.handle(failsOn('617', done, false));
    expect(done).toHaveLength(999);
    expect(test.runs.length).toBeLessThanOrEqual(3 + 10 + 3 + 1);
  });

  it('finds several', async () => {
    const test = batchOf(new Bench(), 50);
    const done: string[] = [];
    const poison = ['0', '13', '14', '49'];
    const handler: EachBatchHandler = async ({ batch }) => {
      if (batch.messages.some(({ offset }) => poison.includes(offset))) throw new TypeError('bad');
      done.push(...batch.messages.map(({ offset }) => offset));
    };
    expect(await test.handle(handler)).toEqual({ kind: 'done' });
    expect(done).toEqual(offsets(0, 49).filter((offset) => !poison.includes(offset)));
    expect(test.bench.sent.map(({ message: { value } }) => String(value))).toEqual(poison);
  });

  it('gives no healthy message up that fails once it stands alone', async () => {
    const test = batchOf(new Bench(), 2);
    let alone = 0;
    const handler: EachBatchHandler = async ({ batch }) => {
      if (batch.messages.length > 1) throw new TypeError('too many');
      alone += 1;
      if (alone === 1) throw new TypeError('once');
    };
    expect(await test.handle(handler)).toEqual({ kind: 'done' });
    expect(test.bench.sent).toEqual([]);
  });

  it('is held while the circuit is open, and goes on with what is not resolved', async () => {
    const circuitBreaker = { failureThreshold: 2, resetTimeout: 1_000, halfOpenCalls: 1 };
    const bench = new Bench({ circuitBreaker });
    const test = batchOf(bench, 3);
    let down = true;
    const handler: EachBatchHandler = async ({ batch, resolveOffset }) => {
      for (const { offset } of batch.messages) {
        if (down && offset === '1') throw new Error('down');
        resolveOffset(offset);
      }
    };
    expect(await test.handle(handler)).toMatchObject({ kind: 'held', reason: 'refused' });
    expect(test.resolved).toEqual(['0']);
    down = false;
    await bench.clock.advance(1_000);
    const rest = new TestBatch(bench, [message(1), message(2)]);
    expect(await rest.handle(handler)).toEqual({ kind: 'done' });
    expect(bench.sent).toEqual([]);
  });

  it('keeps a poison message that can not be sent on, and does not run it again', async () => {
    const bench = new Bench();
    bench.broken = new Error('down');
    const { reportErrorsTo } = await import('@resil/core');
    const stop = reportErrorsTo(() => {});
    const first = batchOf(bench, 3);
    expect(await first.handle(failsOn('0', [], true))).toMatchObject({ reason: 'undelivered' });
    stop();
    expect(first.resolved).toEqual([]);
    bench.broken = undefined;
    const second = batchOf(bench, 3);
    const done: string[] = [];
    expect(await second.handle(failsOn('0', done, true))).toEqual({ kind: 'done' });
    expect(second.runs.some((run) => run.includes('0'))).toBe(false);
    expect(done).toEqual(['1', '2']);
  });

  it('leaves what is left when the consumer stops, or was told to read elsewhere', async () => {
    for (const reason of ['running', 'stale'] as const) {
      const test = batchOf(new Bench(), 4);
      const handler: EachBatchHandler = async ({ batch }) => {
        if (batch.messages.length > 2) throw new TypeError('too many');
        if (reason === 'running') test.running = false;
        else test.stale = true;
      };
      expect(await test.handle(handler)).toEqual({ kind: 'done' });
      expect(test.resolved).toEqual(['1']);
    }
  });

  it('handles the messages of a retry topic that are due, and holds the others', async () => {
    const bench = new Bench({}, 'billing');
    const delayed = (offset: number, due: number, group = 'billing') =>
      message(offset, {
        'x-resil-topic': 'orders',
        'x-resil-due': String(due),
        'x-resil-group': group,
      });
    const test = new TestBatch(bench, [
      delayed(0, 0),
      delayed(1, 0, 'shipping'),
      delayed(2, 0),
      delayed(3, 400),
    ]);
    Object.assign(test.payload.batch, { topic: 'orders.retry.1' });
    const topics: (string | undefined)[] = [];
    const handled = await test.handle(async ({ resilience }) => {
      topics.push(resilience?.topic);
    });
    expect(handled).toEqual({ kind: 'held', reason: 'not-due', delay: 400 });
    expect(test.runs).toEqual([['0', '2']]);
    expect(test.resolved).toEqual(['2']);
    expect(topics).toEqual(['orders']);
  });

  it('passes over a batch that is all of another group', async () => {
    const bench = new Bench({}, 'billing');
    const foreign = place(5, {
      headers: { 'x-resil-topic': 'orders', 'x-resil-group': 'shipping' },
    });
    const test = new TestBatch(bench, [foreign.message]);
    Object.assign(test.payload.batch, { topic: 'orders.retry.1' });
    expect(await test.handle(async () => {}, false)).toEqual({ kind: 'done' });
    expect(test.runs).toEqual([]);
    expect(test.resolved).toEqual(['6']);
  });

  it('shows the handler a batch that fits its messages', async () => {
    const test = batchOf(new Bench(), 4);
    const seen: unknown[] = [];
    await test.handle(async ({ batch, resolveOffset }) => {
      seen.push([
        batch.firstOffset(),
        batch.lastOffset(),
        batch.offsetLag(),
        batch.offsetLagLow(),
        batch.isEmpty(),
      ]);
      if (seen.length > 1) return;
      resolveOffset('1');
      throw new Error('not yet');
    });
    expect(seen).toEqual([
      ['0', '4', '0', '0', false],
      ['2', '3', '1', '2', false],
    ]);
  });
});
