import { runParts, summarise } from './run/part.ts'

/** `npm run check`: everything that can be told without running the project. */
const results = await runParts([
  { name: 'types', command: ['tsc', '-b'] },
  { name: 'lint', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'tidy', command: ['node', 'tools/tidy.ts'] },
  { name: 'dead code', command: ['knip', '--no-progress', '--no-config-hints'] },
])

process.stdout.write(`\n${summarise(results)}\n`)
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1
