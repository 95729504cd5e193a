import type { Clock, Jitter, Log, Random } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import type { OverlayNodeOptions } from '@miaou/peer/overlay'
import type { BootstrapConfig } from './bootstrap-config.ts'
import type { BootstrapLimits } from './bootstrapper.ts'
import type { ResolveOptions } from './resolve.ts'
import type { UdpSocketsOptions } from './udp-sockets.ts'

export interface OverlayHostOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly clock: Clock
  readonly log: Log
  readonly home: string
  readonly keyring: Pick<Keyring, 'storeKey'>
  /** The node's key, X25519. */
  readonly keyPair: KeyPair
  /** Ed25519, signs records of one's own; the secret key is the seed. */
  readonly deviceKey: KeyPair
  readonly bootstrap: BootstrapConfig
  /** Default `auto`. */
  readonly mode?: 'auto' | 'server' | 'client'
  /** Talk to this machine only, mDNS included. Default false. */
  readonly loopbackOnly?: boolean
  /** UDP port; default that of the peer's listener. */
  readonly port?: number | undefined
  /** Finds and is found on the LAN. Default true. */
  readonly lan?: boolean
  /** Tells linked contacts of this node. Default true. */
  readonly tellsContacts?: boolean
  /** An invariant of ours broke: the overlay has stopped. */
  readonly onCrash: (error: unknown) => void
  readonly sockets?: Partial<Omit<UdpSocketsOptions, 'loopbackOnly'>>
  readonly resolve?: Partial<ResolveOptions>
  readonly bootstrapLimits?: Partial<BootstrapLimits>
  readonly node?: Partial<Pick<OverlayNodeOptions, 'kademlia' | 'datagrams' | 'contactsMax'>>
}
