import type { AccountId, Jitter, Now, PeerId, Random } from '@miaou/core'
import { keyToAccountId, keyToPeerId } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { FrameType } from '@miaou/protocol'
import type { MessagingOutput } from './interface.ts'
import type { MessagingLimits } from './limits.ts'
import type { Device } from './model.ts'
import type { Store } from './store.ts'

/** Who we are. */
export interface MessagingIdentity {
  /** Ed25519 public key of the account, 32 bytes. */
  readonly accountKey: Uint8Array
  /** Ed25519 key pair of this device: signs prekey bundles. */
  readonly deviceKey: KeyPair
  /** This device's certificate, encoded. */
  readonly certificate: Uint8Array
  /** X25519 session identity that the certificate names. */
  readonly sessionKey: KeyPair
  /** The account's device list, encoded entries, oldest first. */
  readonly deviceList: readonly Uint8Array[]
  /** What the person calls themselves; a later `rename-self` wins over it. */
  readonly name: string
}

/** Peers whose input is dropped for a reason are counted under it; reasons are words of our own, so they are few. */
export type Drops = Map<string, number>

/** What every part of the engine shares: the ports, the current instant and the list of effects. */
export class Context {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly store: Store
  readonly identity: MessagingIdentity
  readonly account: AccountId
  readonly peerId: PeerId
  readonly limits: MessagingLimits
  readonly drops: Drops = new Map()
  now: Now = { mono: 0, wall: 0 }
  /** Devices for which something to be left in mailboxes may have changed in this batch; whether that may be of old messages. */
  readonly touched: Map<Device, boolean> = new Map()
  #outputs: MessagingOutput[] = []

  constructor(
    ports: { readonly crypto: Crypto; readonly random: Random; readonly jitter: Jitter; readonly store: Store },
    identity: MessagingIdentity,
    limits: MessagingLimits,
  ) {
    this.crypto = ports.crypto
    this.random = ports.random
    this.jitter = ports.jitter
    this.store = ports.store
    this.identity = identity
    this.account = keyToAccountId(identity.accountKey)
    this.peerId = keyToPeerId(identity.deviceKey.publicKey)
    this.limits = limits
  }

  output(output: MessagingOutput): void {
    this.#outputs.push(output)
  }

  send(peerId: PeerId, frameType: FrameType, payload: Uint8Array, fleeting = false): void {
    this.#outputs.push({ type: 'send', peerId, frameType, payload, fleeting })
  }

  /** The effects since the last call, in order. */
  takeOutputs(): MessagingOutput[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  /**
   * What is to be left in a device's mailboxes, or whether it may, has changed: looked at when the batch ends. `isNewOnly`:
   * nothing that was there before has to be looked at again.
   */
  touch(device: Device, isNewOnly = false): void {
    this.touched.set(device, !isNewOnly || this.touched.get(device) === true)
  }

  drop(reason: string): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1)
  }

  /** Wall-clock ms of a monotonic deadline. */
  toWall(mono: number): number {
    return Math.round(this.now.wall + (mono - this.now.mono))
  }

  /** Monotonic ms of a wall-clock deadline, not before now. */
  toMono(wall: number): number {
    return this.now.mono + Math.max(0, wall - this.now.wall)
  }
}
