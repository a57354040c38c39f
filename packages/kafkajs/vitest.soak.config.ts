import { defineConfig, mergeConfig } from 'vitest/config';
import own from './vitest.config.ts';

// `pnpm --filter @resil/kafkajs soak`: hours of faults rather than seconds; prints tables. RESIL_ROUNDS sets how many.
export default mergeConfig(
  { ...own, test: { ...own.test, include: [] } },
  defineConfig({ test: { include: ['test/soak/*.soak.ts'], testTimeout: 7_200_000 } }),
);
