import { VirtualClock } from '@resil/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { circuitBreaker } from './circuit-breaker.js';
import { Emitter, observe, processEmitter, report, reportErrorsTo } from './emitter.js';
import type { ResilienceEvent } from './events.js';
import { keyed } from './keyed.js';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { timeout } from './timeout.js';

const event: ResilienceEvent = {
  type: 'call.started',
  pipeline: undefined,
  key: undefined,
  name: undefined,
  attempt: 1,
  at: 0,
};

describe('Emitter', () => {
  it('tells every listener, in the order they came', () => {
    const emitter = new Emitter();
    const heard: string[] = [];
    emitter.add(() => heard.push('first'));
    emitter.add(() => heard.push('second'));
    emitter.emit(event);
    expect(heard).toEqual(['first', 'second']);
  });

  it('is observed while somebody listens', () => {
    const emitter = new Emitter();
    expect(emitter.observed).toBe(false);
    const ends = [emitter.add(() => {}), emitter.add(() => {})];
    for (const end of ends) {
      expect(emitter.observed).toBe(true);
      end();
    }
    expect(emitter.observed).toBe(false);
  });

  it('ends just the subscription that is ended, also of a listener that was added twice', () => {
    const emitter = new Emitter();
    const listener = vi.fn();
    const end = emitter.add(listener);
    emitter.add(listener);
    end();
    end();
    emitter.emit(event);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('tells those who listened when the event began, whoever comes or goes meanwhile', () => {
    const emitter = new Emitter();
    const late = vi.fn();
    const leaving = vi.fn();
    emitter.add(() => {
      emitter.add(late);
      end();
    });
    const end = emitter.add(leaving);
    emitter.emit(event);
    expect([late.mock.calls.length, leaving.mock.calls.length]).toEqual([0, 1]);
    emitter.emit(event);
    expect([late.mock.calls.length, leaving.mock.calls.length]).toEqual([1, 1]);
  });

  it('reports a listener that throws and tells the others', () => {
    const reported: unknown[] = [];
    const end = reportErrorsTo((error, where) => reported.push([error, where]));
    const emitter = new Emitter();
    const broken = new Error('broken');
    const other = vi.fn();
    emitter.add(() => {
      throw broken;
    });
    emitter.add(other);
    emitter.emit(event);
    end();
    expect(reported).toEqual([[broken, "a listener to 'call.started'"]]);
    expect(other).toHaveBeenCalledTimes(1);
  });

  it('refuses a listener that is not a function', () => {
    expect(() => new Emitter().add(undefined as never)).toThrow('a listener must be a function');
    expect(() => pipeline().on({} as never)).toThrow('a listener must be a function');
  });
});

describe('observe', () => {
  it('hears every pipeline of the process until it is ended', async () => {
    const heard: unknown[] = [];
    const end = observe(({ pipeline: name, type }) => heard.push([name, type]));
    await pipeline('one').execute(() => 1);
    await pipeline('two').execute(() => 2);
    end();
    await pipeline('one').execute(() => 1);
    expect(heard).toEqual([
      ['one', 'call.started'],
      ['one', 'call.succeeded'],
      ['two', 'call.started'],
      ['two', 'call.succeeded'],
    ]);
    expect(processEmitter.observed).toBe(false);
  });
});

describe('reportErrorsTo', () => {
  afterEach(() => vi.restoreAllMocks());

  it('replaces console.error, and puts the former reporter back', () => {
    const written = vi.spyOn(console, 'error').mockImplementation(() => {});
    const [first, second] = [vi.fn(), vi.fn()];
    const broken = new Error('broken');
    report(broken, 'classify');
    expect(written.mock.calls).toEqual([['@resil: classify threw', broken]]);
    const endFirst = reportErrorsTo(first);
    const endSecond = reportErrorsTo(second);
    report(broken, 'a');
    endSecond();
    report(broken, 'b');
    endFirst();
    expect(second.mock.calls).toEqual([[broken, 'a']]);
    expect(first.mock.calls).toEqual([[broken, 'b']]);
    expect(written).toHaveBeenCalledTimes(1);
  });

  it('that throws itself is ignored: there is nobody left to tell', () => {
    const end = reportErrorsTo(() => {
      throw new Error('broken too');
    });
    expect(() => report(new Error('broken'), 'x')).not.toThrow();
    end();
  });
});

describe('a listener', () => {
  it('is told which call an event is of, also by what calls share and by keys', async () => {
    const clock = new VirtualClock();
    const shards = keyed((key) =>
      pipeline(
        { name: 'shards', key, clock },
        retry({ maxAttempts: 2, baseDelay: 100, jitter: 'none', clock }),
        circuitBreaker({ failureThreshold: 4, resetTimeout: 1_000, clock }),
        pipeline('inner', timeout({ duration: 50 })),
      ),
    );
    const heard = new Map<object | undefined, string[]>();
    const end = shards.on((event, call) => {
      heard.set(call, [...(heard.get(call) ?? []), event.type]);
    });
    const silence = () => new Promise<never>(() => {});
    const calls = ['a', 'b'].map(() => shards.execute('one', silence).catch(() => {}));
    await clock.runUntilSettled(Promise.all(calls));
    shards.for('one').emit({ type: 'coalesce.joined', strategy: 'none', waiting: 1 });
    end();
    const attempt = ['timeout.expired', 'retry.scheduled'];
    const first = ['call.started', ...attempt, 'timeout.expired', 'retry.exhausted', 'call.failed'];
    expect([...heard.values()]).toEqual([
      first,
      [...first.slice(0, 4), 'circuit.opened', ...first.slice(4)],
      ['coalesce.joined'],
    ]);
    expect([...heard.keys()].at(-1)).toBeUndefined();
  });
});

describe('an event with an error', () => {
  it.each([
    [Object.assign(new Error('secret'), { code: 'ECONNRESET' }), 'ECONNRESET'],
    [new TypeError('secret'), 'TypeError'],
    ['secret', undefined],
    [null, undefined],
  ])('of %o can be read and is not printed', async (error, errorType) => {
    const heard: ResilienceEvent[] = [];
    const end = observe((event) => heard.push(event));
    try {
      await pipeline()
        .execute(() => Promise.reject(error))
        .catch(() => {});
    } finally {
      end();
    }
    const failed = heard.find(({ type }) => type === 'call.failed') as ResilienceEvent & {
      error: unknown;
    };
    expect(failed.error).toBe(error);
    expect(failed).toHaveProperty('errorType', errorType);
    expect(Object.keys(failed)).not.toContain('error');
    expect(JSON.stringify(failed)).not.toContain('secret');
  });

  it('of a layer that stands in no pipeline is heard by the process', () => {
    const heard: ResilienceEvent[] = [];
    const end = observe((event) => heard.push(event));
    try {
      circuitBreaker({ name: 'alone' }).isolate();
    } finally {
      end();
    }
    expect(heard).toMatchObject([
      { type: 'circuit.isolated', strategy: 'alone', pipeline: undefined, key: undefined },
    ]);
  });
});
