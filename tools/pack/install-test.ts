import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The oldest Node that is promised, the one the project pins, and one that is too old. */
const supportedNodes = ['22.18.0', '24.21.0']
const tooOldNode = '20.19.5'

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** An installation takes 15 s, a command 1 s; on a busy machine a few times that. Guess. */
const timeoutMs = 180_000

function run(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = process.env): Ran {
  const ran = spawnSync(program, args, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  const { status, stdout, stderr, error } = ran
  return { status, stdout: stdout ?? '', stderr: `${stderr ?? ''}${error === undefined ? '' : error.message}` }
}

/** A failure shows all that the program said. */
function expectThat(holds: boolean, what: string, ran: Ran): void {
  if (holds) {
    console.log(`ok    ${what}`)
    return
  }
  throw new Error(`${what}\n  exit ${ran.status}\n  stdout: ${ran.stdout}\n  stderr: ${ran.stderr}`)
}

function npmInstall(folder: string, what: readonly string[]): void {
  mkdirSync(folder, { recursive: true })
  const allowScripts = { node: true, 'better-sqlite3-multiple-ciphers': false }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'empty', private: true, allowScripts }))
  const args = ['install', '--loglevel=error', '--no-audit', '--no-fund', '--prefer-offline', ...what]
  let ran = run('npm', args, folder)
  if (ran.status !== 0) {
    // Registries fail now and then, and npm has been seen to wait for ever: once more, and not in silence.
    console.log(`again npm install: exit ${ran.status}\n${ran.stdout}${ran.stderr}`)
    ran = run('npm', args, folder)
  }
  expectThat(ran.status === 0, `npm install ${what.length > 2 ? `${what.length} tarballs` : what.join(' ')}`, ran)
}

/** Installs the tarballs into an empty folder and runs them as a user would, on every Node promised. Throws on failure. */
export function testInstall(tarballs: readonly string[], version: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-pack-'))
  try {
    const app = join(folder, 'app')
    npmInstall(app, tarballs)
    for (const node of [...supportedNodes, tooOldNode]) npmInstall(join(folder, node), [`node@${node}`])
    for (const node of supportedNodes)
      testOn(join(folder, node, 'node_modules/node/bin/node'), node, app, version, folder)
    testTooOld(join(folder, tooOldNode, 'node_modules/node/bin/node'), app)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function testOn(program: string, node: string, app: string, version: string, folder: string): void {
  const home = join(folder, `home-${node}`)
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, MIAOU_HOME: home, LANG: 'C.UTF-8' }
  const bin = join(app, 'node_modules/miaou/bin/miaou.js')
  const versioned = run(program, [bin, '--version'], app, env)
  expectThat(versioned.status === 0 && versioned.stdout.includes(version), `Node ${node}: miaou --version`, versioned)
  const identity = run(program, [bin, 'id', '--json', '--no-passphrase', '--name', 'Ada'], app, env)
  expectThat(identity.status === 0 && isJsonObject(identity.stdout), `Node ${node}: miaou id --json`, identity)
  const names =
    "for (const name of ['@miaou/sdk', '@miaou/sdk/http']) console.log(Object.keys(await import(name)).join(' '))"
  const imported = run(program, ['--input-type=module', '-e', names], app, env)
  expectThat(imported.status === 0 && /\w/.test(imported.stdout), `Node ${node}: import @miaou/sdk`, imported)
}

function testTooOld(program: string, app: string): void {
  const ran = run(program, [join(app, 'node_modules/miaou/bin/miaou.js'), '--version'], app)
  const isOneLine = ran.stderr.trim().split('\n').length === 1
  const isClear = isOneLine && ran.stderr.includes('22.18') && ran.stderr.includes(tooOldNode)
  expectThat(ran.status !== 0 && ran.status !== null && isClear, `Node ${tooOldNode}: one clear line`, ran)
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

/** Version that the tarballs carry, from one of the manifests staged. */
export function stagedVersion(stage: string): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(stage, 'package.json'), 'utf8'))
  return manifest.version
}
