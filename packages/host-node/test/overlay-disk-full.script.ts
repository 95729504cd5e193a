import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { textToBytes } from '@miaou/core'
import { bootstrapNodeOf, OverlayHome } from './overlay-hosts.ts'

/**
 * Run inside a mount namespace where the folder given is a small file system. Two hosts, one with its home on it: a signed
 * record is put, the disk fills up, another is put, the host stops and starts. Prints what happened as one JSON line.
 */
export interface OverlayDiskFullReport {
  /** Whether each put was stored by the other host, and kept on disk: before, on and after the full disk. */
  readonly puts: readonly { readonly isStored: boolean; readonly isKept: boolean }[]
  readonly logged: readonly string[]
  /** Signed records and saved contacts that the host had after its restart on the full disk. */
  readonly recordsAfter: number
  readonly contactsAfter: number
}

const [directory = ''] = process.argv.slice(2)
const ballast = join(directory, 'ballast')

function fill(): void {
  for (let size = 1 << 20; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (;;) writeFileSync(ballast, new Uint8Array(size), { flag: 'a' })
    } catch {
      // Full for this size: smaller pieces follow.
    }
  }
}

const small = await OverlayHome.create(directory)
const roomy = await OverlayHome.create()
const other = await roomy.start()
const bootstrap = { primaryNodes: [bootstrapNodeOf(other)], fallbackNodes: [], communityNodes: [] }
const puts: { isStored: boolean; isKept: boolean }[] = []

async function put(host: Awaited<ReturnType<OverlayHome['start']>>, salt: string): Promise<void> {
  const done = await host.putSigned(textToBytes(salt), new Uint8Array(500))
  puts.push({ isStored: done.ok, isKept: done.ok && done.value.isKept })
}

async function started() {
  const host = await small.start({ bootstrap })
  while (host.info().contacts === 0) await new Promise((resolve) => setImmediate(resolve))
  return host
}

const first = await started()
await put(first, 'before')
await first.stop()
const second = await started()
fill()
await put(second, 'on a full disk')
await second.stop()
const third = await started()
const { ownRecords: recordsAfter, contacts: contactsAfter } = third.info()
rmSync(ballast)
await put(third, 'after')
await third.stop()
await other.stop()
roomy.remove()
const report: OverlayDiskFullReport = { puts, logged: small.logged, recordsAfter, contactsAfter }
process.stdout.write(JSON.stringify(report))
