import { retry } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import { currentContext } from './context.js';
import { type KafkaContextOptions, type KafkaPayloadLike, kafkaContext } from './kafka.js';

const headers = {
  'resil-deadline': Buffer.from('100'),
  'resil-context': Buffer.from('priority=5, idempotent, retried'),
};
const record = (timestamp: number): KafkaPayloadLike => ({
  message: { headers, timestamp: `${timestamp}` },
});
/** What a handler sees of a record made at 0, read at `now`. */
async function seenAt(now: number, options: KafkaContextOptions<KafkaPayloadLike> = {}) {
  const seen = vi.fn();
  const clock = new VirtualClock({ now });
  await kafkaContext(async () => seen(currentContext()), { clock, ...options })(record(0));
  return seen.mock.calls.map(([context]) => ({ ...context, clock: undefined }));
}

describe('kafkaContext', () => {
  it('tells priority and idempotency, and no deadline: a record may be read late', async () => {
    expect(await seenAt(3_600_000)).toEqual([{ priority: 5, idempotent: true, clock: undefined }]);
  });

  it('does not say that the sender repeats the handling, which it does not', async () => {
    const clock = new VirtualClock();
    const operation = vi.fn(() => Promise.reject(new Error('down')));
    const calls = retry({ maxAttempts: 3, baseDelay: 1, clock });
    const handled = kafkaContext(() => calls.execute(operation), { clock })(record(0));
    await expect(clock.runUntilSettled(handled)).rejects.toThrow('down');
    expect(operation).toHaveBeenCalledTimes(3);
  });

  it('counts the deadline from when the record was made, where it is told what to do then', async () => {
    const onLate = vi.fn();
    expect(await seenAt(60, { onLate })).toMatchObject([{ deadline: 100, priority: 5 }]);
    expect(onLate).not.toHaveBeenCalled();
    expect(await seenAt(100, { onLate })).toEqual([]);
    expect(onLate).toHaveBeenCalledExactlyOnceWith(record(0));
  });

  it.each(['-1', 'NaN', '', undefined])(
    'has no deadline where the record was made at %o',
    async (timestamp) => {
      const onLate = vi.fn();
      const seen = vi.fn();
      const clock = new VirtualClock({ now: 1_000 });
      const handler = kafkaContext(async () => seen(currentContext()), { clock, onLate });
      await handler({ message: { headers, timestamp: timestamp as string } });
      expect(seen).toHaveBeenCalledExactlyOnceWith({ priority: 5, idempotent: true });
      expect(onLate).not.toHaveBeenCalled();
    },
  );

  it('believes nobody who is not trusted', async () => {
    expect(await seenAt(0, { trust: () => false })).toEqual([{ clock: undefined }]);
  });

  it('keeps what the consumer itself says', async () => {
    const clock = new VirtualClock();
    const seen: unknown[] = [];
    const eachMessage = kafkaContext(async () => void seen.push(currentContext()), { clock });
    await retry({ clock }).execute(() => eachMessage(record(0)));
    expect(seen).toMatchObject([{ priority: 5, idempotent: true, retried: true }]);
  });

  it('takes a record without headers', async () => {
    const handler = vi.fn(async () => {});
    await kafkaContext(handler)({ message: { timestamp: '0' } });
    expect(handler).toHaveBeenCalledOnce();
  });

  it('refuses what is not a handler, and bad options', () => {
    expect(() => kafkaContext(5 as never)).toThrow('kafkaContext: handler must be a function');
    expect(() => kafkaContext(async () => {}, { onLate: 5 as never })).toThrow(
      'kafkaContext.onLate must be a function',
    );
    expect(() => kafkaContext(async () => {}, { maxDuration: 5 } as never)).toThrow('maxDuration');
  });
});
