import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { circuitBreaker } from './circuit-breaker.js';
import { Keyed, type KeyedOptions, keyed, keyedDefaults } from './keyed.js';
import { Pipeline, pipeline } from './pipeline.js';

const fail = (): Promise<never> => Promise.reject(new Error('down'));

let clock: VirtualClock;
let made: string[];
beforeEach(() => {
  clock = new VirtualClock();
  made = [];
});

function shardsOf(options: KeyedOptions = {}): Keyed {
  return keyed(
    (key) => {
      made.push(key);
      return pipeline(
        { name: 'shards', key, clock },
        circuitBreaker({ name: key, clock, failureThreshold: 1 }),
      );
    },
    { clock, ...options },
  );
}

describe('keyed', () => {
  it('gives an instance of its class', () => {
    expect(shardsOf()).toBeInstanceOf(Keyed);
  });

  it('makes a pipeline when its key is first used, and uses it from then on', async () => {
    const shards = shardsOf();
    expect([made, shards.size]).toEqual([[], 0]);
    const first = shards.for('a');
    expect(first).toBeInstanceOf(Pipeline);
    await shards.execute('a', () => 1);
    await shards.execute('b', () => 1);
    expect(shards.for('a')).toBe(first);
    expect([made, shards.size]).toEqual([['a', 'b'], 2]);
  });

  it('keeps the state of each key apart', async () => {
    const shards = shardsOf();
    await shards.execute('bad', fail).catch(() => {});
    await expect(shards.execute('bad', () => 'up')).rejects.toMatchObject({
      code: 'RESIL_CIRCUIT_OPEN',
      strategy: 'bad',
    });
    await expect(shards.execute('good', () => 'up')).resolves.toBe('up');
  });

  it('shows the key to the operation, with and without options, and hands these on', async () => {
    const shards = shardsOf();
    const operation = ({ key, name }: { key: unknown; name: unknown }): unknown[] => [key, name];
    expect(await shards.execute('a', operation)).toEqual(['a', undefined]);
    expect(await shards.execute('a', operation, { name: 'list' })).toEqual(['a', 'list']);
    expect(await shards.for('b').execute(operation)).toEqual(['b', undefined]);
  });

  it('forgets the key that was not used for longest when there are more than maxKeys', async () => {
    const shards = shardsOf({ maxKeys: 3 });
    for (const key of ['a', 'b', 'c', 'a', 'd']) await shards.execute(key, () => 1);
    expect([shards.size, made]).toEqual([3, ['a', 'b', 'c', 'd']]);
    shards.for('a');
    shards.for('c');
    expect(made).toHaveLength(4);
    shards.for('b');
    expect(made.slice(4)).toEqual(['b']);
    shards.for('d');
    expect(made.slice(5)).toEqual(['d']);
  });

  it('works with one key', () => {
    const shards = shardsOf({ maxKeys: 1 });
    for (const key of ['a', 'a', 'b', 'a']) shards.for(key);
    expect([shards.size, made]).toEqual([1, ['a', 'b', 'a']]);
  });

  it('forgets a key after idleTimeout without use, without a timer', async () => {
    const shards = shardsOf({ idleTimeout: 1_000 });
    const first = shards.for('a');
    await clock.advance(999);
    expect(shards.for('a')).toBe(first);
    shards.for('b');
    expect(clock.pending).toBe(0);
    await clock.advance(999);
    expect(shards.size).toBe(2);
    await clock.advance(1);
    expect(shards.size).toBe(0);
    expect(shards.for('a')).not.toBe(first);
  });

  it('forgets idle keys at the use of any other', async () => {
    const shards = shardsOf({ idleTimeout: 1_000 });
    for (const key of ['a', 'b', 'c']) shards.for(key);
    await clock.advance(500);
    shards.for('b');
    await clock.advance(500);
    shards.for('d');
    expect(shards.size).toBe(2);
    shards.for('b');
    expect(made).toEqual(['a', 'b', 'c', 'd']);
  });

  it('keeps keys with an idleTimeout of Infinity', async () => {
    const shards = shardsOf({ idleTimeout: Infinity });
    const first = shards.for('a');
    await clock.advance(1e12);
    expect(shards.for('a')).toBe(first);
  });

  it('has its defaults in one place', () => {
    expect(keyedDefaults).toEqual({ maxKeys: 10_000, idleTimeout: 600_000 });
  });

  it('lets a running call end on the pipeline it began with', async () => {
    const shards = shardsOf({ maxKeys: 1 });
    const held = deferred<string>();
    const call = shards.execute('a', () => held.promise);
    shards.for('b');
    held.resolve('up');
    await expect(call).resolves.toBe('up');
  });

  describe('events', () => {
    it('of every key are heard, those made later too, until it is ended', async () => {
      const shards = shardsOf();
      await shards.execute('before', () => 1);
      const recorder = recordEvents(shards);
      await shards.execute('before', () => 1);
      await shards.execute('after', fail).catch(() => {});
      expect(recorder.events.map(({ type, key, pipeline }) => [type, key, pipeline])).toEqual([
        ['call.started', 'before', 'shards'],
        ['call.succeeded', 'before', 'shards'],
        ['call.started', 'after', 'shards'],
        ['circuit.opened', 'after', 'shards'],
        ['call.failed', 'after', 'shards'],
      ]);
      recorder.stop();
      await shards.execute('before', () => 1);
      expect(recorder.events).toHaveLength(5);
    });

    it('are heard by each listener once, and by the others when one has ended', async () => {
      const shards = shardsOf();
      const one = recordEvents(shards);
      const other = recordEvents(shards);
      await shards.execute('a', () => 1);
      one.stop();
      await shards.execute('a', () => 1);
      expect([one.types.length, other.types.length]).toEqual([2, 4]);
    });

    it('of a key that was forgotten are no longer heard', async () => {
      const shards = shardsOf({ maxKeys: 1 });
      const recorder = recordEvents(shards);
      const gone = shards.for('a');
      shards.for('b');
      await gone.execute(() => 1);
      expect(recorder.events).toEqual([]);
    });
  });

  describe('refuses', () => {
    it('a factory that is not a function', () => {
      expect(() => keyed('nope' as never)).toThrow(
        "keyed: factory must be a function, but got 'nope'",
      );
    });

    it('a factory that makes something else than a pipeline, and remembers nothing of it', async () => {
      const shards = keyed(() => ({}) as never);
      expect(() => shards.for('a')).toThrow(
        'keyed: factory result must be a pipeline, but got an object of Object',
      );
      await expect(shards.execute('a', () => 1)).rejects.toThrow('must be a pipeline');
      expect(shards.size).toBe(0);
    });

    it('a key that is not a string', async () => {
      const shards = shardsOf();
      expect(() => shards.for(7 as never)).toThrow('keyed: key must be a string, but got 7');
      await expect(shards.execute(undefined as never, () => 1)).rejects.toThrow(
        'keyed: key must be a string, but got undefined',
      );
    });
  });

  it('rejects with what the factory throws, and asks it again the next time', async () => {
    const factory = vi.fn((): Pipeline => {
      if (factory.mock.calls.length === 1) throw new Error('not yet');
      return pipeline();
    });
    const shards = keyed(factory);
    await expect(shards.execute('a', () => 1)).rejects.toThrow('not yet');
    await expect(shards.execute('a', () => 1)).resolves.toBe(1);
  });
});
