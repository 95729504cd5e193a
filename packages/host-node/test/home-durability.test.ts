import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createHome, keysPath } from '../src/peer/home.ts'

/** What was asked of the disk, in order: `rename <to>`, `sync <path>`. */
const calls: string[] = vi.hoisted(() => [])

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>()
  const pathsByDescriptor = new Map<number, string>()
  return {
    ...fs,
    openSync: (...options: Parameters<typeof fs.openSync>) => {
      const descriptor = fs.openSync(...options)
      pathsByDescriptor.set(descriptor, String(options[0]))
      return descriptor
    },
    fsyncSync: (descriptor: number) => {
      fs.fsyncSync(descriptor)
      calls.push(`sync ${pathsByDescriptor.get(descriptor)}`)
    },
    renameSync: (from: string, to: string) => {
      fs.renameSync(from, to)
      calls.push(`rename ${to}`)
    },
  }
})

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-durable-'))
  calls.length = 0
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a new home, its folders and the rename that makes it count are on the disk before its words are shown', async () => {
  const home = join(directory, 'miaou', 'default')
  expect(await createHome({ home, passphrase: undefined, name: 'Minette' })).toMatchObject({ ok: true })
  expect(calls).toContain(`sync ${directory}`)
  expect(calls).toContain(`sync ${join(directory, 'miaou')}`)
  const renamed = calls.indexOf(`rename ${keysPath(home)}`)
  expect(renamed).toBeGreaterThan(0)
  expect(calls.indexOf(`sync ${home}`, renamed)).toBeGreaterThan(renamed)
})
