import { describe, expect, it } from 'vitest';
import { overloadVirtually } from './slow-host.js';

describe('five times the capacity on virtual time', () => {
  it('leaves next to nothing without a limit', async () => {
    const { share, failed } = await overloadVirtually('none');
    expect(share).toBeLessThan(0.05);
    expect(failed).toBeGreaterThan(15_000);
  });

  it.each(['vegas', 'gradient2', 'aimd'])(
    'with %s is answered at 95 percent of it or more',
    async (name) => {
      const { share, failed } = await overloadVirtually(name);
      expect(share).toBeGreaterThanOrEqual(0.95);
      expect(failed).toBe(0);
    },
  );

  it('makes Vegas take a host that has become slow for a queue, as it must, and AIMD not', async () => {
    const slow = (now: number): number => (now < 5_000 ? 0 : 150);
    const vegas = await overloadVirtually('vegas', slow);
    const aimd = await overloadVirtually('aimd', slow);
    expect(vegas.share).toBeLessThan(0.7);
    expect(aimd.share).toBeGreaterThanOrEqual(0.95);
  });
});
