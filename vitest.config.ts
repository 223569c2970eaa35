import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: { tidemark: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  },
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests start servers and processes of their own; more workers than this only slow each other down.
    maxWorkers: 2,
    pool: 'forks',
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/contract/generated/**'],
      reporter: ['text-summary', 'html', 'json-summary'],
      thresholds: { 'src/core/**': { lines: 95 } },
    },
  },
});
