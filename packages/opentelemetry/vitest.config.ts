import { defineConfig } from 'vitest/config';
import shared from '../../tooling/vitest/config.ts';

// As Node does it: what '@opentelemetry/api' has for the condition 'module' is for bundlers alone.
const conditions = ['@resil/source', 'node', 'development|production'];

export default defineConfig({
  ...shared,
  resolve: { conditions },
  ssr: { resolve: { conditions } },
});
