import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HomeDiskFullReport } from './home-disk-full.script.ts'

const script = join(import.meta.dirname, 'home-disk-full.script.ts')
// Without root a user namespace gives the right to mount, where the system allows one.
const unshare = process.getuid?.() === 0 ? ['-m'] : ['-r', '-m']
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-full-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

function inSmallDisk(command: string): { status: number | null; stdout: string; stderr: string } {
  const mount = 'mount -t tmpfs -o size=2m,mode=700 none "$1"'
  const args = [...unshare, 'sh', '-c', `${mount} && ${command}`, 'sh', directory, process.execPath, script]
  const { status, stdout, stderr } = spawnSync('unshare', args, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return { status, stdout, stderr }
}

test('a full disk leaves no half-made home, refuses a start in words, and never loses the keys', (context) => {
  const probe = inSmallDisk('true')
  // In CI a machine that cannot mount fails below instead of passing over the test.
  if (probe.status !== 0 && process.env['CI'] !== 'true') {
    context.skip(`no private file system can be mounted here: ${probe.stderr.trim() || 'unshare is missing'}`)
  }
  const { status, stdout, stderr } = inSmallDisk('exec "$2" "$3" "$1"')
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const report: HomeDiskFullReport = JSON.parse(stdout)
  expect(report.refusals.length).toBeGreaterThan(3)
  for (const refusal of report.refusals) expect(refusal).toEqual({ type: 'full', state: 'absent', leftovers: [] })
  expect(report.startRefusals.length).toBeGreaterThan(1)
  for (const type of report.startRefusals) expect(type).toBe('full')
  expect(report.afterChange).toEqual(['old', 'new'])
})
