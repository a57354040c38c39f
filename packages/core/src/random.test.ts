import { describe, expect, it, vi } from 'vitest';
import { systemRandom } from './random.js';

describe('systemRandom', () => {
  it('asks Math.random when it is called, so that a replaced one is seen', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.125);
    expect(systemRandom()).toBe(0.125);
  });
});
