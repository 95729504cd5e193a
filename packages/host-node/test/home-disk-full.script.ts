import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { openKeyring } from '@miaou/keyring'
import { fileSecureStorage } from '../src/home/secure-storage.ts'
import { createHome, homeState, keysPath, openHome } from '../src/peer/home.ts'
import { startPeer } from '../src/peer/peer-host.ts'
import { systemRandom } from '../src/peer/system.ts'

/**
 * Run inside a mount namespace where the folder given is a small file system. With 0, 1, 2 … free pages: makes a home,
 * then starts it, then changes its passphrase. Prints what happened as one JSON line.
 */
export interface HomeDiskFullReport {
  /** Free pages with which no home could be made, and the errors that said so. */
  readonly refusals: readonly { readonly type: string; readonly state: string; readonly leftovers: readonly string[] }[]
  /** Error types of starts with 0, 8, 16 … free pages. */
  readonly startRefusals: readonly string[]
  /** Which way opened the keyring after each change of passphrase that the disk cut off. */
  readonly afterChange: readonly ('old' | 'new' | 'none')[]
}

const pageSize = 4096
const cost = { memoryKiB: 8, passes: 1, parallelism: 1 } as const
const newPassphrase = new Uint8Array(8).fill(7)

/** Fills the disk but for `pageCount` pages. */
function leaveRoom(directory: string, pageCount: number): void {
  const ballast = join(directory, 'ballast')
  rmSync(ballast, { force: true })
  let size = 0
  for (let step = 1 << 20; step >= pageSize; step = size === 0 ? step / 2 : step) {
    try {
      writeFileSync(ballast, new Uint8Array(size + step))
      size += step
    } catch {
      if (step === pageSize) break
      step /= 2
      writeFileSync(ballast, new Uint8Array(size))
    }
  }
  writeFileSync(ballast, new Uint8Array(Math.max(0, size - pageCount * pageSize)))
}

async function makeHomes(directory: string, home: string): Promise<HomeDiskFullReport['refusals']> {
  const refusals: { type: string; state: string; leftovers: string[] }[] = []
  for (let pageCount = 0; ; pageCount++) {
    leaveRoom(directory, pageCount)
    const created = await createHome({ home, passphrase: undefined, name: 'Minette' })
    if (created.ok) return refusals
    const leftovers = readdirSync(home).filter((name) => name.endsWith('.tmp'))
    refusals.push({ type: created.error.type, state: homeState(home), leftovers })
  }
}

async function startPeers(directory: string, home: string): Promise<string[]> {
  const refusals: string[] = []
  for (let pageCount = 0; ; pageCount += 8) {
    leaveRoom(directory, pageCount)
    const started = await startPeer({ home, passphrase: undefined, loopbackOnly: true, port: 0 })
    if (started.ok) {
      await started.value.stop()
      return refusals
    }
    const { error } = started
    refusals.push('error' in error ? error.error.type : error.type)
  }
}

async function changePassphrases(directory: string, home: string): Promise<('old' | 'new' | 'none')[]> {
  const crypto = await createLibsodiumCrypto()
  const storage = fileSecureStorage(keysPath(home))
  const open = (passphrase: Uint8Array | undefined) =>
    openKeyring({ crypto, random: systemRandom, storage, passphrase })
  const ways: ('old' | 'new' | 'none')[] = []
  for (const pageCount of [0, 1]) {
    const keyring = open(undefined)
    if (!keyring.ok) throw new Error(keyring.error.type)
    leaveRoom(directory, pageCount)
    try {
      keyring.value.changePassphrase(newPassphrase, cost)
    } catch {
      // The port promises: what the disk refuses throws, and the old bytes are there.
    }
    const isOld = open(undefined).ok
    ways.push(isOld ? 'old' : open(newPassphrase).ok ? 'new' : 'none')
  }
  return ways
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2)
  if (directory === undefined) throw new Error('give the folder to fill')
  const home = join(directory, 'home')
  const refusals = await makeHomes(directory, home)
  const startRefusals = await startPeers(directory, home)
  const opened = await openHome(home, undefined)
  if (!opened.ok) throw new Error(opened.error.type)
  const afterChange = await changePassphrases(directory, home)
  process.stdout.write(`${JSON.stringify({ refusals, startRefusals, afterChange } satisfies HomeDiskFullReport)}\n`)
}
