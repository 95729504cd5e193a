import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HomeDiskFullReport } from './home-disk-full.script.ts'
import { runOnSmallDisk, whyNotMountable } from './small-disk.ts'

const script = join(import.meta.dirname, 'home-disk-full.script.ts')
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-full-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a full disk leaves no half-made home, refuses a start in words, and never loses the keys', (context) => {
  const disk = { directory, mebibytes: 2 }
  const reason = whyNotMountable(disk)
  if (reason !== undefined) context.skip(reason)
  const { status, stdout, stderr } = runOnSmallDisk(disk, script)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const report: HomeDiskFullReport = JSON.parse(stdout)
  expect(report.refusals.length).toBeGreaterThan(3)
  for (const refusal of report.refusals) expect(refusal).toEqual({ type: 'full', state: 'absent', leftovers: [] })
  expect(report.startRefusals.length).toBeGreaterThan(1)
  for (const type of report.startRefusals) expect(type).toBe('full')
  expect(report.afterChange).toEqual(['old', 'new'])
})
