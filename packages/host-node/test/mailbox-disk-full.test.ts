import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { MailboxDiskFullReport } from './mailbox-disk-full.script.ts'
import { runOnSmallDisk, whyNotMountable } from './small-disk.ts'

const script = join(import.meta.dirname, 'mailbox-disk-full.script.ts')
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-full-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('[MB85] a full disk refuses, loses nothing, and takes again when there is room', (context) => {
  const disk = { directory, mebibytes: 40 }
  const reason = whyNotMountable(disk)
  if (reason !== undefined) context.skip(reason)
  const { status, stdout, stderr } = runOnSmallDisk(disk, script)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const report: MailboxDiskFullReport = JSON.parse(stdout)
  expect(report.accepted).toBeGreaterThan(500)
  expect(report.isRefusedAgain).toBe(true)
  expect(report.readWhileFull).toBe(report.accepted)
  // What is acknowledged goes: it makes the room that others need.
  expect(report.deletedWhileFull).toBe(report.accepted / 2)
  expect(report.acceptedLater).toBe(40)
  expect(report.readLater).toBe(report.accepted + 40)
  expect(report.readAgain).toBe(report.accepted + 40)
})
