import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = new URL('../../../', import.meta.url).pathname

/** The program as a user runs it. */
export const bin: string = join(root, 'apps/cli/bin/miaou.js')

/** The environment of every process a test starts: no home of the person who runs the tests, English, no colours. */
export function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const { PATH, TMPDIR } = process.env
  return {
    PATH,
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    HOME: home,
    MIAOU_HOME: home,
    LANG: 'en_GB.UTF-8',
    NO_COLOR: '1',
    // One cache of compiled code for all homes of all tests: each start is twice as quick.
    XDG_CACHE_HOME: join(root, 'build/e2e-cache'),
  }
}

/** A home whose peers talk to this machine only, on any free port: no test disturbs a network. */
export function confine(home: string): void {
  const path = join(home, 'config.json')
  if (existsSync(path)) return
  mkdirSync(home, { recursive: true, mode: 0o700 })
  writeFileSync(path, JSON.stringify({ loopbackOnly: true, port: 0 }))
}

/** A folder of its own for a test, removed by the returned function. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'miaou-e2e-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
