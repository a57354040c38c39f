import { beforeEach, describe, expect, it } from 'vitest';
import { circuitBreaker } from './circuit-breaker.js';
import { failover } from './failover.js';
import { Keyed, keyed } from './keyed.js';
import { Pipeline, pipeline } from './pipeline.js';
import { registered, unregister } from './registry.js';
import { retry } from './retry.js';
import { standard } from './standard.js';

/** What was made before this test. */
let before: ReadonlySet<Pipeline | Keyed>;
beforeEach(() => {
  before = new Set(registered());
});

/** Names of what was made in this test. */
function names(): (string | undefined)[] {
  return registered()
    .filter((made) => !before.has(made))
    .map(({ name }) => name);
}

describe('registered', () => {
  it('knows pipelines and keyed ones, in the order in which they were made', () => {
    const made = [
      pipeline('orders', retry()),
      standard({ name: 'prices' }),
      keyed((key) => pipeline(key), { name: 'shards' }),
      pipeline(retry()),
    ];
    expect(names()).toEqual(['orders', 'prices', 'shards', undefined]);
    expect(registered()).toEqual(expect.arrayContaining(made));
  });

  it('leaves out what is a part of another', () => {
    const inner = pipeline('inner', retry());
    const outer = pipeline('outer', inner);
    const shards = keyed((key) => pipeline(key), { name: 'shards' });
    const shard = shards.for('shard 1');
    const narrowed = outer.narrow(() => true);
    const endpoints = failover({ endpoints: [{ name: 'a', target: 1 }] });
    endpoints.pinned('a', () => true);
    expect(names()).toEqual(['outer', 'shards']);
    expect([shard.name, narrowed.name]).toEqual(['shard 1', 'outer']);
  });

  it('knows a pattern that is used alone from its first call', async () => {
    const breaker = circuitBreaker({ name: 'alone' });
    expect(names()).toEqual([]);
    await breaker.execute(() => 1);
    expect(names()).toEqual(['alone']);
  });

  it('forgets what is taken out', () => {
    const gone = pipeline('gone');
    expect(unregister(gone)).toBe(gone);
    expect(unregister(gone)).toBe(gone);
    expect(names()).toEqual([]);
  });

  it('is one for all copies of the package', () => {
    const shared = (globalThis as Record<symbol, Set<WeakRef<object>>>)[
      Symbol.for('@resil/core/registry')
    ] as Set<WeakRef<object>>;
    const foreign = { name: 'of another copy' };
    const entry = new WeakRef(foreign);
    shared.add(entry);
    expect(names()).toEqual(['of another copy']);
    shared.delete(entry);
  });

  it('drops entries of what is gone', () => {
    const shared = (globalThis as Record<symbol, Set<unknown>>)[
      Symbol.for('@resil/core/registry')
    ] as Set<unknown>;
    shared.add({ deref: () => undefined });
    const { size } = shared;
    expect(names()).toEqual([]);
    expect(shared.size).toBeLessThan(size);
  });

  it('looks for what is gone by itself, so that it does not grow without bound', () => {
    const shared = (globalThis as Record<symbol, Set<unknown>>)[
      Symbol.for('@resil/core/registry')
    ] as Set<unknown>;
    const dead = { deref: () => undefined };
    shared.add(dead);
    for (let made = 0; made < 5_000 && shared.has(dead); made++) pipeline();
    expect(shared.has(dead)).toBe(false);
  });
});

describe('dependency', () => {
  const dependency = { client: 'axios', target: 'https://prices', critical: true };

  it('is shown by describe', () => {
    expect(pipeline({ name: 'prices', dependency }).describe().dependency).toEqual(dependency);
    expect(standard({ dependency }).describe().dependency).toEqual(dependency);
    expect(keyed(() => pipeline(), { dependency }).describe().dependency).toEqual(dependency);
    expect(pipeline('prices').describe().dependency).toBe(null);
  });

  it('stays with a narrowed pipeline', () => {
    expect(pipeline({ dependency }, retry()).narrow(() => false).dependency).toBe(dependency);
  });

  it.each([
    null,
    'axios',
    { critical: 'yes' },
    { innerAttempts: 0 },
    { restartDuration: 0 },
    { target: '' },
    { colour: 'red' },
  ])('refuses %o', (wrong) => {
    expect(() => new Pipeline({ dependency: wrong as never }, [])).toThrow(
      /^pipeline\.dependency must be an object of 'client' and 'target'/,
    );
    expect(() => new Keyed(() => pipeline(), { dependency: wrong as never })).toThrow(
      /^keyed\.dependency must be/,
    );
  });
});
