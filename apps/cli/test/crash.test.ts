import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { exitCodes } from '../src/exit-code.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-crash-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The program in a process of its own, in which something breaks that nobody waits for. */
async function crash(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const main = JSON.stringify(new URL('../src/main.ts', import.meta.url).href)
  const script = `import { main } from ${main}
    void main()
    process.nextTick(() => { throw new Error('an invariant broke', { cause: new Error('deeper') }) })`
  const program = join(folder, 'crash.mjs')
  writeFileSync(program, script)
  const child = spawn(process.execPath, [program, ...argv], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, XDG_STATE_HOME: join(folder, 'state'), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stderr }
}

/** Makes a home, which takes longer than the breaking. */
const command = ['id', '--no-passphrase', '--name', 'a-secret-name']

const path = () => join(folder, 'state/miaou/crash.txt')

test('[CLI21] a bug that nobody waits for is one error, and its place is in a file of the owner’s', async () => {
  const { code, stderr } = await crash(command)
  expect(code).toBe(exitCodes.error)
  expect(stderr).toContain('Something went wrong inside Miaou.')
  expect(stderr).toContain(path())
  expect(stderr).not.toMatch(/invariant|\n\s+at /)
  const kept = readFileSync(path(), 'utf8')
  expect(kept).toMatch(/Error: an invariant broke\n\s+at [\s\S]*caused by Error: deeper/)
  expect(kept).not.toContain('a-secret-name')
  if (process.platform !== 'win32') expect(statSync(path()).mode & 0o777).toBe(0o600)
})

test('[CLI21] --json and --lang hold for it too; MIAOU_DEBUG shows the place', async () => {
  const json = await crash([...command, '--json', '--lang', 'fr'])
  expect(JSON.parse(json.stderr)).toMatchObject({
    error: { code: 'internal', message: expect.stringContaining('passé') },
  })
  const debug = await crash(command, { MIAOU_DEBUG: '1' })
  expect(debug.stderr).toContain('Error: an invariant broke')
})

test('[CLI21] where the file cannot be written, the error is told all the same', async () => {
  writeFileSync(join(folder, 'state'), 'a file where a folder should be')
  const { code, stderr } = await crash(command)
  expect(code).toBe(exitCodes.error)
  expect(stderr).toContain('Something went wrong inside Miaou.')
  expect(stderr).not.toContain('crash.txt')
})
