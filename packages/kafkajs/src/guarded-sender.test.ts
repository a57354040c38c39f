import {
  type AmbientContext,
  type Call,
  circuitBreaker,
  fallback,
  type Layer,
  pipeline,
  provideAmbient,
  retry,
  timeout,
} from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { KafkaJSConnectionError, KafkaJSProtocolError, type RecordMetadata } from 'kafkajs';
import { beforeEach, describe, expect, it } from 'vitest';
import { classify } from './classify.js';
import { guardedSender } from './guarded-sender.js';
import { outbox } from './outbox.js';
import type { OutboxStore } from './outbox-options.js';
import type { SendRequest } from './record.js';

let clock: VirtualClock;
let ambient: AmbientContext | undefined;
beforeEach(() => {
  clock = new VirtualClock();
  ambient = undefined;
  return provideAmbient({
    current: () => ambient,
    run: (_context, work) => work(),
    headers: ({ deadline, priority, idempotent, retried }) =>
      deadline === Infinity && priority === undefined
        ? {}
        : { context: JSON.stringify({ deadline, priority, idempotent, retried }) },
  });
});

const record = {
  topic: 'orders',
  messages: [{ key: 'a', value: '1', headers: { own: 'x' } }, { value: '2' }],
  resilience: { idempotent: true },
};

/** What a sender hands on of a record, by attempt; the first attempt fails. */
async function sent(given: typeof record, sendContext = true): Promise<SendRequest[]> {
  const requests: SendRequest[] = [];
  const layers = pipeline(retry({ clock, baseDelay: 1 }), timeout({ duration: 100, clock }));
  const { send } = guardedSender({
    pipeline: () => layers,
    sendContext,
    begin: (request) => {
      requests.push(request);
      const done = requests.length === 1 ? Promise.reject(new Error('down')) : Promise.resolve([]);
      return { done, withdraw: () => {}, sent: true };
    },
  });
  await clock.runUntilSettled(send(given));
  return requests;
}
const messagesOf = (requests: SendRequest[]) =>
  requests.map(({ topicMessages }) => topicMessages[0]?.messages);

describe('with an ambient context', () => {
  it('each message tells what it was made for, beside its own headers', async () => {
    ambient = { priority: 5, deadline: 5_000, clock, retried: false };
    const context = JSON.stringify({ deadline: 5_000, priority: 5, retried: false });
    const messages = [
      { key: 'a', value: '1', headers: { own: 'x', context } },
      { value: '2', headers: { context } },
    ];
    expect(messagesOf(await sent(record))).toEqual([messages, messages]);
    expect(record.messages[1]).toEqual({ value: '2' });
  });

  it('limits of the send say nothing of the record', async () => {
    expect(messagesOf(await sent(record))).toEqual([record.messages, record.messages]);
  });

  it('nothing is told to readers who are others', async () => {
    ambient = { priority: 5 };
    expect(messagesOf(await sent(record, false))).toEqual([record.messages, record.messages]);
  });

  it('a header of the caller of the same name stands', async () => {
    ambient = { priority: 5 };
    const messages = [{ value: '1', key: 'a', headers: { own: 'x', context: 'mine' } }];
    const [first] = messagesOf(await sent({ ...record, messages }));
    expect(first).toEqual(messages);
  });
});

describe('with an outbox whose store hangs', () => {
  /** A sender whose broker is away, or silent; every append waits. */
  async function bench({ silent = false } = {}) {
    let begun = 0;
    let resume = (): void => {};
    const gate = new Promise<void>((resolve) => {
      resume = resolve;
    });
    const kept: unknown[] = [];
    const store: OutboxStore = {
      shared: false,
      open: async () => {},
      close: async () => {},
      size: async () => kept.length,
      append: async (messages) => {
        begun += 1;
        await gate;
        kept.push(...messages.map(({ message }) => message.value));
        return { kept: true, size: kept.length };
      },
      oldest: async () => [],
      remove: async () => 0,
      drop: async () => 0,
    };
    const box = outbox({ store, keepTimeout: Infinity });
    (box as unknown as { attach(send: unknown, clock: VirtualClock): void }).attach(
      () => new Promise(() => {}),
      clock,
    );
    const layers = pipeline(
      { clock },
      fallback((error, call) => {
        const { kafkajs } = call.attributes as { kafkajs?: { keep?(call: Call): unknown } };
        if (kafkajs?.keep === undefined) throw error;
        return kafkajs.keep(call);
      }),
      timeout({ duration: 100 }),
    );
    const { send } = guardedSender({
      pipeline: () => layers,
      sendContext: false,
      outbox: box,
      begin: () => ({
        done: silent ? new Promise(() => {}) : Promise.reject(new Error('away')),
        withdraw: () => {},
        sent: false,
      }),
    });
    const one = (value: string, resilience = {}) => {
      const sending = send({ topic: 'orders', messages: [{ value }], resilience });
      return sending.then(
        () => 'kept',
        (error: Error & { code?: string }) => error.code ?? error.message,
      );
    };
    const settled = async (): Promise<void> => {
      for (let i = 0; i < 20; i += 1) await new Promise((done) => setImmediate(done));
    };
    return { box, one, kept, settled, resume: () => resume(), begun: () => begun };
  }

  it('ends the wait at the deadline, and tells what may be kept from what is not', async () => {
    const { box, one, kept, settled, resume, begun } = await bench();
    const failing = one('a', { deadline: 50 });
    await settled();
    expect(begun()).toBe(1);
    const behind = one('b', { deadline: 50 });
    await settled();
    clock.advance(50);
    expect(await failing).toBe('RESIL_OUTCOME_UNKNOWN');
    expect(await behind).toBe('RESIL_TIMEOUT');
    resume();
    await settled();
    expect(kept).toEqual(['a']);
    expect(box.size).toBe(1);
  });

  it('ends the wait at once when the caller aborts', async () => {
    const { one, kept, settled, resume } = await bench();
    const controllers = [new AbortController(), new AbortController()] as const;
    const failing = one('a', { signal: controllers[0].signal });
    await settled();
    const behind = one('b', { signal: controllers[1].signal });
    await settled();
    for (const controller of controllers) controller.abort(new Error('gone'));
    expect(await failing).toBe('gone');
    expect(await behind).toBe('gone');
    resume();
    await settled();
    expect(kept).toEqual(['a']);
  });

  it('ends the wait at the deadline of the work that it is made for', async () => {
    const { one, settled } = await bench();
    const failing = one('a');
    await settled();
    ambient = { deadline: 70, clock };
    const behind = one('b');
    await settled();
    clock.advance(70);
    expect(await behind).toBe('RESIL_TIMEOUT');
    // Nobody limits this one.
    expect(await Promise.race([failing, settled().then(() => 'waits')])).toBe('waits');
  });

  it('keeps nothing of a send whose deadline has passed, and goes on', async () => {
    const { box, one, kept, settled, resume } = await bench({ silent: true });
    resume();
    const late = one('a', { deadline: 50 });
    await settled();
    clock.advance(50);
    expect(await late).toBe('RESIL_TIMEOUT');
    await settled();
    expect(kept).toEqual([]);
    // It would never resolve while somebody were still taken to wait.
    await box.drained();
  });
});

describe('with retries of our own', () => {
  const lost = (): Error => new KafkaJSConnectionError('closed');
  const refusedBy = (type: string): Error =>
    new KafkaJSProtocolError(
      Object.assign(new Error(type), { type, code: 6, retriable: true }) as never,
    );

  /** A sender whose attempts end so, one after the other; the last one ends all that follow. */
  function bench(attempts: (() => Promise<RecordMetadata[]>)[], ...inner: Layer[]) {
    let begun = 0;
    const layers = pipeline(
      { clock, classify },
      timeout({ duration: 1_000 }),
      retry({ maxAttempts: 3, baseDelay: 10, maxDelay: 10, jitter: 'none', budget: false }),
      ...inner,
    );
    const { send } = guardedSender({
      pipeline: () => layers,
      sendContext: false,
      begin: () => {
        const attempt = attempts[Math.min(begun, attempts.length - 1)];
        begun += 1;
        const sent = attempt !== waiting;
        return { done: attempt?.() ?? waiting(), withdraw: () => {}, sent };
      },
    });
    const failure = async (resilience = {}): Promise<unknown> => {
      const sending = send({ topic: 'orders', messages: [{ value: '1' }], resilience });
      return clock.runUntilSettled(sending.catch((error: unknown) => error));
    };
    return { failure, begun: () => begun };
  }
  const waiting = (): Promise<never> => new Promise(() => {});

  it('says that the outcome is unknown of what an attempt before may have written', async () => {
    const { failure, begun } = bench([() => Promise.reject(lost()), waiting]);
    expect(await failure({ idempotent: true })).toMatchObject({
      code: 'RESIL_OUTCOME_UNKNOWN',
      cause: { code: 'RESIL_TIMEOUT' },
    });
    expect(begun()).toBe(2);
  });

  it('says so where the next attempt is refused', async () => {
    const breaker = circuitBreaker({ failureThreshold: 1, resetTimeout: 60_000, clock, classify });
    const { failure, begun } = bench([() => Promise.reject(lost())], breaker);
    expect(await failure({ idempotent: true })).toMatchObject({
      code: 'RESIL_OUTCOME_UNKNOWN',
      cause: { code: 'RESIL_CIRCUIT_OPEN' },
    });
    expect(begun()).toBe(1);
  });

  it('does not say so of what was certainly not written', async () => {
    const refused = () => Promise.reject(refusedBy('NOT_LEADER_FOR_PARTITION'));
    const { failure, begun } = bench([refused, waiting]);
    expect(await failure()).toMatchObject({ code: 'RESIL_TIMEOUT' });
    expect(begun()).toBe(2);
  });
});
