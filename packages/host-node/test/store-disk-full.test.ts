import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DiskFullReport } from '@miaou/testkit'
import { afterEach, beforeEach, expect, test } from 'vitest'

const script = join(import.meta.dirname, '../../../testkit/src/disk-full.ts')
const isRoot = process.getuid?.() === 0
// Without root a user namespace gives the right to mount, where the system allows one.
const unshare = isRoot ? ['-m'] : ['-r', '-m']
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-full-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function inSmallDisk(command: string): { status: number | null; stdout: string; stderr: string } {
  const mount = 'mount -t tmpfs -o size=4m,mode=700 none "$1"'
  const args = [...unshare, 'sh', '-c', `${mount} && ${command}`, 'sh', directory, process.execPath, script]
  const { status, stdout, stderr } = spawnSync('unshare', args, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return { status, stdout, stderr }
}

test('a full disk refuses with kind full; what was accepted before is whole, and work goes on when room is made', (context) => {
  const probe = inSmallDisk('true')
  // In CI a machine that cannot mount fails below instead of passing over the test.
  if (probe.status !== 0 && process.env['CI'] !== 'true') {
    context.skip(`no private file system can be mounted here: ${probe.stderr.trim() || 'unshare is missing'}`)
  }
  const { status, stdout, stderr } = inSmallDisk('exec "$2" "$3" "$1"')
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const report: DiskFullReport = JSON.parse(stdout)
  expect(report.refusals).toEqual(['full', 'full'])
  expect(report.accepted).toBeGreaterThan(100)
  expect(report.readWhileFull).toBe(report.accepted)
  expect(report.acceptedLater).toBeGreaterThan(0)
  expect(report.readAfterReopening).toBe(report.accepted + report.acceptedLater)
  expect(report.damage).toBeUndefined()
})
