import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { whyNot } from '../lab/src/needs.ts'
import { root, runPart } from './run/part.ts'
import { addTotals, forgetTotals, readReport, reportToTotals, type Totals, writeTotals } from './run/totals.ts'

/**
 * `npm test [-- unit|e2e] [vitest arguments]`: says what this machine lacks, runs the tests of the packages, then those
 * between real processes, and ends with `N passed, N failed`.
 */
const suites: readonly { readonly name: string; readonly config: string }[] = [
  { name: 'unit', config: 'vitest.config.ts' },
  { name: 'e2e', config: 'e2e/vitest.config.ts' },
]

interface Need {
  readonly name: string
  readonly missing: () => boolean
  /** What does not run without it. */
  readonly consequence: string
}

const needs: readonly Need[] = [
  {
    name: 'published test vectors (../shared/vectors)',
    missing: () => !existsSync(join(root, '../shared/vectors/noise.json')),
    consequence: 'Wycheproof and Noise vectors are skipped; our own frozen ones run',
  },
  {
    name: 'the right to mount (unshare)',
    missing: () => spawnSync('unshare', [process.getuid?.() === 0 ? '-m' : '-rm', 'true']).status !== 0,
    consequence: 'the test of a really full disk is skipped; in CI it fails',
  },
  {
    name: 'pseudo terminals by script (util-linux)',
    missing: () => spawnSync('script', ['-qec', 'true', '/dev/null']).status !== 0,
    consequence: 'the tests at a terminal are skipped; in CI they fail',
  },
  {
    name: 'IPv6 on loopback (::1)',
    missing: () => !Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1')),
    consequence: 'the tests of the overlay over IPv6 are skipped; in CI they fail',
  },
  {
    name: 'what the NAT lab needs (npm run setup:lab)',
    missing: () => whyNot() !== undefined,
    consequence: 'npm run test:lab is skipped; in CI it fails',
  },
  {
    name: 'the native WebRTC binary (@roamhq/wrtc)',
    missing: () => !hasNativeWebRtc(),
    consequence: 'tests of WebRTC run on werift alone',
  },
]

function hasNativeWebRtc(): boolean {
  try {
    const require = createRequire(join(root, 'packages/host-node/package.json'))
    return existsSync(require.resolve(`@roamhq/wrtc-${process.platform}-${process.arch}/package.json`))
  } catch {
    return readdirSync(join(root, 'node_modules/@roamhq')).some((name) => name.startsWith('wrtc-'))
  }
}

function setUp(): void {
  process.stdout.write(`Node ${process.version}, ${process.platform} ${process.arch}\n`)
  for (const need of needs) {
    const isMissing = need.missing()
    process.stdout.write(
      `${isMissing ? 'missing' : 'here   '}  ${need.name}${isMissing ? `: ${need.consequence}` : ''}\n`,
    )
  }
}

async function runSuite(name: string, config: string, args: readonly string[]): Promise<Totals> {
  const report = join(root, 'build', `vitest-${name}.json`)
  rmSync(report, { force: true })
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const { passed } = await runPart({ name, command: ['vitest', 'run', '--config', config, ...reporters, ...args] })
  return reportToTotals(readReport(report), passed)
}

const [only, ...rest] = process.argv.slice(2)
const chosen = suites.filter(({ name }) => name === only)
const args = chosen.length > 0 ? rest : process.argv.slice(2)
forgetTotals()
setUp()
const totals: Totals[] = []
for (const { name, config } of chosen.length > 0 ? chosen : suites) totals.push(await runSuite(name, config, args))
const sum = addTotals(totals)
writeTotals(sum)
if (sum.skipped > 0) process.stdout.write(`\n${sum.skipped} skipped: see what is missing, above\n`)
process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed\n`)
process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1
