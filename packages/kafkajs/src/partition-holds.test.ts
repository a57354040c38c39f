import { VirtualClock } from '@resil/testing';
import type { Consumer, TopicPartitions } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import type { Held } from './handling.js';
import { PartitionHolds } from './partition-holds.js';

/** Holds over a consumer that remembers what is paused, as kafkajs does. */
function bench() {
  const clock = new VirtualClock();
  const paused = new Map<string, Set<number>>();
  const of = (topic: string): Set<number> => paused.get(topic) ?? new Set();
  const change =
    (how: 'add' | 'delete') =>
    (places: readonly TopicPartitions[]): void => {
      for (const { topic, partitions } of places) {
        const set = of(topic);
        for (const partition of partitions) set[how](partition);
        paused.set(topic, set);
      }
    };
  const consumer = {
    pause: change('add'),
    resume: change('delete'),
    paused: () => [...paused].map(([topic, set]) => ({ topic, partitions: [...set] })),
  } as unknown as Consumer;
  const told: string[] = [];
  const holds = new PartitionHolds(consumer);
  const tellPaused = (topic: string, partition: number) => {
    told.push(`paused ${topic}/${partition}`);
    return () => told.push(`resumed ${topic}/${partition}`);
  };
  const hold = (partition: number, delay: number): void => {
    const held: Held = { kind: 'held', reason: 'failed', delay };
    holds.hold({ clock, tellPaused }, 'orders', partition, held);
  };
  return { clock, consumer, holds, hold, told };
}

describe('PartitionHolds', () => {
  it('resumes a partition after its delay, and tells both', async () => {
    const { clock, holds, hold, told } = bench();
    hold(0, 100);
    expect(holds.isPaused('orders', 0)).toBe(true);
    await clock.advance(100);
    expect(holds.isPaused('orders', 0)).toBe(false);
    expect(told).toEqual(['paused orders/0', 'resumed orders/0']);
  });

  it.each([100, Infinity])('tells once that the user resumed it, delay %d', async (delay) => {
    const { clock, consumer, holds, hold, told } = bench();
    hold(0, delay);
    hold(1, delay);
    consumer.resume([{ topic: 'orders', partitions: [0] }]);
    holds.resumed([{ topic: 'orders', partitions: [0] }]);
    expect(told).toEqual(['paused orders/0', 'paused orders/1', 'resumed orders/0']);
    holds.resumed([{ topic: 'others' }]);
    holds.resumed([{ topic: 'orders' }]);
    await clock.advance(1_000);
    expect(told.slice(3)).toEqual(['resumed orders/1']);
    expect(clock.pending).toBe(0);
  });

  it('leaves to the user what the user has paused, until it is resumed', async () => {
    const { clock, consumer, holds, hold, told } = bench();
    hold(0, 100);
    consumer.pause([{ topic: 'orders', partitions: [0] }]);
    holds.leave([{ topic: 'orders', partitions: [0] }]);
    await clock.advance(1_000);
    expect(holds.isPaused('orders', 0)).toBe(true);
    expect(told).toEqual(['paused orders/0']);
    holds.resumed([{ topic: 'orders', partitions: [0] }]);
    expect(told).toEqual(['paused orders/0', 'resumed orders/0']);
  });

  it('waits for nothing after its consumer has stopped', async () => {
    const { clock, holds, hold, told } = bench();
    hold(0, 100);
    holds.clear();
    await clock.advance(1_000);
    expect(told).toEqual(['paused orders/0']);
  });
});
