// One node of the overlay as a process of its own, for overlay-punch.ts: commands as JSON lines on stdin, answers on
// stdout. `node overlay-node.ts <folder> <port> [<key>@<host>:<port> to join through]`
import { createInterface } from 'node:readline'
import { base64urlToBytes, bytesToBase64url } from '@miaou/core'
import { createNodeCrypto } from '../../packages/host-node/src/crypto/node-crypto.ts'
import { defaultBootstrapConfig } from '../../packages/host-node/src/overlay/bootstrap-config.ts'
import { parseBootstrapNode } from '../../packages/host-node/src/overlay/bootstrap-node.ts'
import { OverlayHost } from '../../packages/host-node/src/overlay/overlay-host.ts'
import { systemClock, systemJitter, systemRandom } from '../../packages/host-node/src/peer/system.ts'
import { type OverlayClient, overlayClientToTexts, textToOverlayClient } from '../../packages/protocol/src/index.ts'

/** What overlay-punch.ts asks. Clients are texts as spec/overlay O18 says, one for each of their servers. */
export type NodeCommand =
  | { readonly type: 'info' }
  | { readonly type: 'punch'; readonly client: string }
  | { readonly type: 'know'; readonly client: string }
  | { readonly type: 'ping'; readonly publicKey: string; readonly host: string; readonly port: number }

export interface NodeInfo {
  readonly publicKey: string
  readonly mode: string
  readonly observed: string
  readonly clients: readonly string[]
  readonly counters: Readonly<Record<string, number>>
}

const [folder = '', port = '0', through] = process.argv.slice(2)
const crypto = await createNodeCrypto()
const secret = systemRandom.bytes(32)
const storeKey = (purpose: string) => crypto.hmacSha256(secret, new TextEncoder().encode(purpose))
const first = through === undefined ? undefined : parseBootstrapNode(through)
if (first?.ok === false) throw new Error(first.error)
const host = new OverlayHost({
  crypto,
  random: systemRandom,
  jitter: systemJitter,
  clock: systemClock,
  log: { write: () => undefined },
  home: folder,
  keyring: { storeKey },
  keyPair: crypto.x25519KeyPair(storeKey('overlay')),
  deviceKey: crypto.ed25519KeyPair(systemRandom.bytes(32)),
  bootstrap: { ...defaultBootstrapConfig, primaryNodes: first === undefined ? [] : [first.value] },
  lan: false,
  onCrash: (error) => {
    throw error
  },
})
await host.start(Number(port))
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await perform(JSON.parse(line) as NodeCommand)
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
await host.stop()

async function perform(command: NodeCommand): Promise<unknown> {
  switch (command.type) {
    case 'info':
      return infoOf(host)
    case 'punch': {
      const { publicKey, rendezvous } = clientOf(command.client)
      return host.punch(publicKey, rendezvous)
    }
    case 'know':
      host.addClients([clientOf(command.client)])
      return { ok: true }
    case 'ping': {
      const publicKey = base64urlToBytes(command.publicKey)
      if (publicKey === undefined) throw new Error('a public key is base64url')
      return host.ping(publicKey, { host: command.host, port: command.port })
    }
  }
}

function clientOf(text: string): OverlayClient {
  const client = textToOverlayClient(text)
  if (client === undefined) throw new Error(`${text} names no client`)
  return client
}

function infoOf(node: OverlayHost): NodeInfo {
  const { publicKey, mode, observed, counters } = node.info()
  const rendezvous = node.rendezvous()
  return {
    publicKey: bytesToBase64url(publicKey),
    mode,
    observed: observed === undefined ? '' : `${observed.host}:${observed.port}`,
    clients: rendezvous.length === 0 ? [] : overlayClientToTexts({ publicKey, rendezvous }),
    counters,
  }
}
