import { bulkhead, type Guard, pipeline } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { StreamGuard } from './stream-guard.js';

const progress = { live: false, atEnd: () => {}, atAnswer: () => {} };

describe('StreamGuard', () => {
  it('is described as the guard that it stands for', () => {
    const guard = bulkhead({ name: 'streams', maxConcurrentCalls: 3 });
    const calls = pipeline(new StreamGuard(guard, () => progress));
    expect(calls.describe().layers).toEqual([guard.describe()]);
  });

  it('is shown by its name where the guard does not describe itself', () => {
    const guard: Guard = { name: 'mine', enter: () => 1, leave: () => {} };
    const calls = pipeline(new StreamGuard(guard, () => progress));
    expect(calls.describe().layers).toMatchObject([{ type: 'guard', name: 'mine', options: {} }]);
  });
});
