import { defineConfig } from 'vitest/config'

// Real processes and sockets: one file at a time, so that two of them do not measure or disturb each other.
export default defineConfig({
  test: {
    pool: 'forks',
    include: ['e2e/test/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
