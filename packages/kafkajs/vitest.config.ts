import { defineConfig, mergeConfig } from 'vitest/config';
import shared from '../../tooling/vitest/config.ts';

// One cluster at a time: a test that kills brokers measures nothing while three more start.
export default mergeConfig(
  shared,
  defineConfig({ test: { maxWorkers: 1, testTimeout: 120_000, hookTimeout: 240_000 } }),
);
