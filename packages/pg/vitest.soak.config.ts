import { defineConfig, mergeConfig } from 'vitest/config';
import own from './vitest.config.ts';

// `pnpm --filter @resil/pg soak`: failovers under load, as a table. RESIL_ROUNDS sets how many.
export default mergeConfig(
  { ...own, test: { ...own.test, include: [] } },
  defineConfig({ test: { include: ['test/drill/*.drill.ts'], testTimeout: 7_200_000 } }),
);
