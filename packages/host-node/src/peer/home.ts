import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type AccountId, err, keyToAccountId, ok, type PeerId, type Result } from '@miaou/core'
import {
  createLibsodiumCrypto,
  entropyToWords,
  type RecoveryLanguage,
  type RecoveryWordsError,
  wordsToEntropy,
} from '@miaou/crypto'
import {
  type CreateKeyringError,
  createKeyring,
  type Keyring,
  type OpenKeyringError,
  openKeyring,
  peekProtection,
} from '@miaou/keyring'
import { isName, nameSizeMax } from '@miaou/protocol'
import { makePrivateDirectory, removeTemporaryFiles, syncDirectory } from '../home/files.ts'
import { type LockHomeError, lockHome } from '../home/lock.ts'
import { toHomeRefused } from '../home/refused.ts'
import { fileSecureStorage } from '../home/secure-storage.ts'
import { createIdentity, type IdentityError, loadIdentity, type PeerIdentity } from './identity.ts'
import { hostStretch } from './passphrase.ts'
import { systemClock, systemRandom } from './system.ts'

export function keysPath(home: string): string {
  return join(home, 'keys')
}

export function databasePath(home: string): string {
  return join(home, 'miaou.db')
}

/** What this machine keeps for others where it is a mailbox. */
export function mailboxPath(home: string): string {
  return join(home, 'mailbox.db')
}

/** `absent`: nothing there. `locked`: a passphrase opens it. `open`: made with no passphrase. */
export type HomeState = 'absent' | 'locked' | 'open'

/** The lock decides, not the plain key beside it: a change of passphrase that was cut off leaves a useless one. */
export function homeState(home: string): HomeState {
  const protection = peekProtection(fileSecureStorage(keysPath(home)))
  if (protection === undefined) return 'absent'
  return protection === 'none' ? 'open' : 'locked'
}

export type CreateHomeError =
  | CreateKeyringError
  | LockHomeError
  | RecoveryWordsError
  | { readonly type: 'home-exists'; readonly home: string }
  | { readonly type: 'bad-name'; readonly sizeMax: number }

export interface CreateHomeOptions {
  readonly home: string
  /** UTF-8; undefined keeps the keys in the clear (the app warns). */
  readonly passphrase: Uint8Array | undefined
  /** What contacts see; 1 to 64 bytes on one line (`isName`). */
  readonly name: string
  /** 32 bytes behind the recovery words; fresh ones by default. */
  readonly entropy?: Uint8Array
  /** The recovery words of an account that this home is to be a new device of; they win over `entropy`. */
  readonly words?: string
  readonly language?: RecoveryLanguage
}

export interface CreatedHome {
  readonly account: AccountId
  readonly peerId: PeerId
  /** The 24 recovery words: shown once, kept nowhere. */
  readonly words: readonly string[]
}

/** What is wrong with 24 recovery words, before anything is made of them. */
export function checkRecoveryWords(words: string): RecoveryWordsError | undefined {
  const known = wordsToEntropy(words)
  return known.ok ? undefined : known.error
}

/** Makes a home with a new account and device. A crash leaves no half-made home: the keys appear in one rename. */
export async function createHome(options: CreateHomeOptions): Promise<Result<CreatedHome, CreateHomeError>> {
  const { home, passphrase, name, language = 'en' } = options
  if (name === '' || !isName(name)) return err({ type: 'bad-name', sizeMax: nameSizeMax })
  const known = options.words === undefined ? ok(options.entropy) : wordsToEntropy(options.words)
  if (!known.ok) return known
  const crypto = await createLibsodiumCrypto()
  try {
    makePrivateDirectory(home)
  } catch (error) {
    return err(toHomeRefused(home, error))
  }
  const lock = lockHome(home)
  if (!lock.ok) return lock
  const fresh = `${keysPath(home)}.new`
  try {
    if (homeState(home) !== 'absent') return err({ type: 'home-exists', home })
    // New keys would not open them, and it would not be told from a damaged home ever after.
    for (const path of [databasePath(home), mailboxPath(home)]) {
      if (!existsSync(path)) continue
      return err({ type: 'unwritable', home, detail: `${path} is there without its keys: move it away` })
    }
    rmSync(fresh, { recursive: true, force: true })
    const keyring = createKeyring({
      crypto,
      random: systemRandom,
      storage: fileSecureStorage(fresh),
      passphrase,
      stretch: hostStretch(crypto),
    })
    if (!keyring.ok) return keyring
    const entropy = known.value ?? systemRandom.bytes(32)
    const wallMs = systemClock.now().wall
    const created = createIdentity(crypto, systemRandom, keyring.value, { entropy, name, wallMs })
    const identity = created.ok ? loadIdentity(crypto, keyring.value) : undefined
    keyring.value.close()
    if (identity?.ok !== true) return err({ type: 'unwritable', home, detail: 'the new keys could not be read back' })
    renameSync(fresh, keysPath(home))
    // Before the words are shown: a power loss must not take back an account that its owner believes to have.
    syncDirectory(home)
    const { network, messaging } = identity.value
    const account = keyToAccountId(messaging.accountKey)
    return ok({ account, peerId: network.peerId, words: entropyToWords(entropy, language) })
  } catch (error) {
    return err(toHomeRefused(home, error))
  } finally {
    lock.value.release()
  }
}

export type OpenHomeError = OpenKeyringError | IdentityError | { readonly type: 'home-absent'; readonly home: string }

/** Opens the keys of a home. The caller holds the home's lock. */
export async function openHome(
  home: string,
  passphrase: Uint8Array | undefined,
): Promise<
  Result<
    { readonly crypto: Awaited<ReturnType<typeof createLibsodiumCrypto>>; keyring: Keyring; identity: PeerIdentity },
    OpenHomeError
  >
> {
  if (homeState(home) === 'absent') return err({ type: 'home-absent', home })
  const crypto = await createLibsodiumCrypto()
  removeTemporaryFiles(keysPath(home))
  const storage = fileSecureStorage(keysPath(home))
  const keyring = openKeyring({ crypto, random: systemRandom, storage, passphrase, stretch: hostStretch(crypto) })
  if (!keyring.ok) return keyring
  const identity = loadIdentity(crypto, keyring.value)
  if (!identity.ok) return identity
  return ok({ crypto, keyring: keyring.value, identity: identity.value })
}
