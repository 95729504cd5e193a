import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { defaultBootstrapConfig } from '../src/overlay/bootstrap-config.ts'
import { type BootstrapNode, bootstrapText, parseBootstrapNode } from '../src/overlay/bootstrap-node.ts'
import { OverlayHost } from '../src/overlay/overlay-host.ts'
import type { OverlayHostOptions } from '../src/overlay/overlay-host-options.ts'
import { systemClock, systemJitter, systemRandom } from '../src/peer/system.ts'

/** One home of a test's overlay: what survives a restart of its node. */
export class OverlayHome {
  readonly crypto: Crypto
  readonly folder: string
  readonly deviceKey: KeyPair
  readonly logged: string[] = []
  readonly log: Log = { write: (_level, event) => this.logged.push(event) }
  readonly #secret = systemRandom.bytes(32)

  /** `folder`: a fresh one by default. */
  constructor(crypto: Crypto, folder = mkdtempSync(join(tmpdir(), 'miaou-overlay-'))) {
    this.crypto = crypto
    this.folder = folder
    this.deviceKey = crypto.ed25519KeyPair(systemRandom.bytes(32))
  }

  static async create(folder?: string): Promise<OverlayHome> {
    return new OverlayHome(await createNodeCrypto(), folder)
  }

  /** As a keyring derives it: the same for the same home and purpose. */
  storeKey(purpose: string): Uint8Array {
    return this.crypto.hmacSha256(this.#secret, new TextEncoder().encode(purpose))
  }

  /** On 127.0.0.1 alone, without mDNS, at any free port. */
  async start(options: Partial<OverlayHostOptions> = {}, port = 0): Promise<OverlayHost> {
    const host = new OverlayHost({
      crypto: this.crypto,
      random: systemRandom,
      jitter: systemJitter,
      clock: systemClock,
      log: this.log,
      home: this.folder,
      keyring: this,
      keyPair: this.crypto.x25519KeyPair(this.storeKey('overlay')),
      deviceKey: this.deviceKey,
      bootstrap: defaultBootstrapConfig,
      loopbackOnly: true,
      lan: false,
      sockets: { families: [4] },
      onCrash: (error) => {
        throw error
      },
      ...options,
    })
    await host.start(port)
    return host
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function endpointOf(host: OverlayHost): Endpoint {
  const [endpoint] = host.info().endpoints
  if (endpoint === undefined) throw new Error('the host has no socket')
  return endpoint
}

export function bootstrapNodeOf(host: OverlayHost): BootstrapNode {
  const node = parseBootstrapNode(bootstrapText(host.info().publicKey, endpointOf(host)))
  if (!node.ok) throw new Error(node.error)
  return node.value
}
