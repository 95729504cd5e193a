import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { OverlayDiskFullReport } from './overlay-disk-full.script.ts'
import { runOnSmallDisk, whyNotMountable } from './small-disk.ts'

const script = join(import.meta.dirname, 'overlay-disk-full.script.ts')
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-overlay-full-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

test('[DN41] a full disk costs the overlay what it would keep, and neither what was kept nor a put', (context) => {
  const disk = { directory, mebibytes: 2 }
  const reason = whyNotMountable(disk)
  if (reason !== undefined) context.skip(reason)
  const { status, stdout, stderr } = runOnSmallDisk(disk, script)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const report: OverlayDiskFullReport = JSON.parse(stdout)
  expect(report.puts).toEqual([
    { isStored: true, isKept: true },
    { isStored: true, isKept: false },
    { isStored: true, isKept: true },
  ])
  expect(report.logged).toContain('overlay-records-not-saved')
  expect(report.logged).not.toContain('overlay-records-damaged')
  expect(report.recordsAfter).toBe(1)
  expect(report.contactsAfter).toBe(1)
})
