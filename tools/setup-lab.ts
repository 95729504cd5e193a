import { spawnSync } from 'node:child_process'
import { missingPackages } from '../lab/src/needs.ts'

/**
 * Installs the Debian packages that the NAT lab calls and this machine lacks: for CI, and for whoever wants to run the lab
 * here. Ends with 1 when they cannot be had.
 */
const packages = missingPackages()
if (packages.length === 0) {
  process.stdout.write('setup-lab: everything is here\n')
  process.exit(0)
}

process.stdout.write(`setup-lab: apt-get installs ${packages.join(', ')}\n`)
const sudo = process.getuid?.() === 0 ? [] : ['sudo', '--non-interactive']

function apt(...args: readonly string[]): boolean {
  const [program = '', ...words] = [...sudo, 'apt-get', ...args]
  const { status, error } = spawnSync(program, words, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) process.stderr.write(`setup-lab: ${words.join(' ')} failed${error ? `: ${error.message}` : ''}\n`)
  return status === 0
}

const install = ['install', '--yes', '--quiet', '--no-install-recommends', ...packages]
// A list of packages that is too old names files that are gone.
const isInstalled = apt('update', '--quiet') && apt(...install)
const missing = missingPackages()
if (!isInstalled || missing.length > 0) {
  process.stderr.write(`setup-lab: the NAT lab cannot run without ${missing.join(', ')}\n`)
  process.exit(1)
}
process.stdout.write('setup-lab: installed\n')
