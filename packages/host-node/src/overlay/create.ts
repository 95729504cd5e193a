import type { Clock, Jitter, Log, Random } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import { loadBootstrapConfig } from './bootstrap-config.ts'
import { OffOverlay } from './off.ts'
import { defaultOverlaySettings, type OverlaySettings } from './settings.ts'
import type { OverlaySide } from './side.ts'

export interface CreateOverlayOptions {
  readonly offline?: boolean
  readonly loopbackOnly?: boolean
  readonly overlay?: OverlaySettings
  /** Whether nodes of the LAN are looked for by mDNS; true by default. */
  readonly lan?: boolean
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly clock: Clock
  readonly log: Log
  readonly home: string
  readonly keyring: Keyring
  /** Ed25519, signs records of one's own. */
  readonly deviceKey: KeyPair
  readonly onCrash: (error: unknown) => void
}

/** The overlay's key: from the data key of the home, so that it comes and goes with it (spec/discovery DN40). */
export function overlayKeyPair(crypto: Crypto, keyring: Pick<Keyring, 'storeKey'>): KeyPair {
  return crypto.x25519KeyPair(keyring.storeKey('overlay'))
}

/** Loads what it makes: a peer that stays offline starts without the engines. */
export async function createOverlay(options: CreateOverlayOptions): Promise<OverlaySide> {
  const {
    offline = false,
    loopbackOnly = false,
    overlay = defaultOverlaySettings,
    crypto,
    keyring,
    home,
    log,
  } = options
  const { enabled, port, mode, bootstrap, tellContacts } = overlay
  if (offline || !enabled) {
    const why = offline
      ? ({ type: 'overlay-off', reason: 'offline', detail: 'this peer was started offline' } as const)
      : ({ type: 'overlay-off', reason: 'disabled', detail: '"overlay" is not enabled in config.json' } as const)
    const { publicKey } = overlayKeyPair(crypto, keyring)
    return new OffOverlay(why, publicKey, crypto.sha256(publicKey))
  }
  const [{ OverlayHost }, { createNodeCrypto }] = await Promise.all([
    import('./overlay-host.ts'),
    import('../crypto/node-crypto.ts'),
  ])
  const fast = await createNodeCrypto()
  return new OverlayHost({
    ...options,
    crypto: fast,
    keyPair: overlayKeyPair(fast, keyring),
    loopbackOnly,
    mode,
    port,
    // A client is reached by nobody.
    tellsContacts: tellContacts && mode !== 'client',
    bootstrap: loadBootstrapConfig(bootstrap, home, ({ path, detail }) =>
      log.write('warn', 'bad-bootstrap-list', { path, detail }),
    ),
  })
}
