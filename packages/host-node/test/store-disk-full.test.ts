import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DiskFullReport } from '@miaou/testkit'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runOnSmallDisk, whyNotMountable } from './small-disk.ts'

const script = join(import.meta.dirname, '../../../testkit/src/disk-full.ts')
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-full-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

test('a full disk refuses with kind full; what was accepted before is whole, and work goes on when room is made', (context) => {
  const disk = { directory, mebibytes: 4 }
  const reason = whyNotMountable(disk)
  if (reason !== undefined) context.skip(reason)
  const { status, stdout, stderr } = runOnSmallDisk(disk, script)
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
