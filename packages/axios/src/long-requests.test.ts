import { bulkhead, pipeline, standard, Timeout } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { LongRequests } from './long-requests.js';

const durations = (of: ReturnType<typeof standard>): number[] =>
  of.layers.flatMap((layer) => (layer instanceof Timeout ? [layer.duration] : []));

describe('LongRequests', () => {
  const usual = standard({ name: 'x' });
  const requests = new LongRequests(3_000, Infinity, (key, layers) =>
    pipeline({ name: 'x', key }, ...layers),
  );

  it('gives the usual pipeline to requests that need no more time', () => {
    for (const timeout of [undefined, 0, 500, 2_900]) {
      expect(requests.pipelineFor(usual, 'k', timeout)).toBe(usual);
    }
  });

  it('stretches the timeouts and shares all other layers', () => {
    const long = requests.pipelineFor(usual, 'k', 60_000);
    expect(durations(long)).toEqual([60_100, 60_100]);
    expect(durations(requests.pipelineFor(usual, 'k', 5_000))).toEqual([10_000, 5_100]);
    const others = (of: typeof usual): unknown[] =>
      of.layers.filter((layer) => !(layer instanceof Timeout));
    expect(others(long)).toEqual(others(usual));
    expect(others(long).every((layer, index) => layer === others(usual)[index])).toBe(true);
  });

  it('makes the pipeline of a timeout once, and forgets when there are too many', () => {
    const first = requests.pipelineFor(usual, 'k', 70_000);
    expect(requests.pipelineFor(usual, 'k', 70_000)).toBe(first);
    for (let timeout = 80_000; timeout < 80_100; timeout++)
      requests.pipelineFor(usual, 'k', timeout);
    expect(requests.pipelineFor(usual, 'k', 70_000)).not.toBe(first);
  });

  it('stays within the limit of the whole call that the user set', () => {
    const limited = new LongRequests(3_000, 5_000, (key, layers) => pipeline({ key }, ...layers));
    const given = standard({ totalTimeout: 5_000 });
    expect(durations(limited.pipelineFor(given, 'k', 60_000))).toEqual([5_000, 5_000]);
  });

  it('takes a pipeline without timeouts as it is', () => {
    const bare = pipeline(bulkhead({ maxConcurrentCalls: 1 }));
    expect(requests.pipelineFor(bare, 'k', 60_000).layers).toEqual(bare.layers);
  });
});
