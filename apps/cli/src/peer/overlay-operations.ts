import { bytesToHex, bytesToText, hexToBytes, keyToPeerId, parsePeerId, peerIdToKey, type Result } from '@miaou/core'
import type { OverlayContact, OverlayError, OverlayInfo, OverlayPunchError } from '@miaou/host-node'
import type {
  ErrorCode,
  OperationInput,
  OperationName,
  OperationOutput,
  OverlayFound,
  OverlaySummary,
} from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'

type OverlayOperationName = Extract<OperationName, `overlay.${string}`>

type OverlayHandlers = {
  readonly [N in OverlayOperationName]: (peer: PeerHandle, input: OperationInput<N>) => Promise<OperationOutput<N>>
}

/** Name of the record in which a device publishes a public key (rows I07, I08). */
const signingName = 'signing'

/** What each operation of the overlay does with a running peer. The helpers load with the first call: `id` needs none. */
export const overlayHandlers: OverlayHandlers = {
  'overlay.info': async (peer) => toInfo(peer.overlay.info(), peer.overlay.rendezvous()),
  'overlay.contacts': async (peer, { limit }) => toContacts(peer.overlay.contacts(limit)),
  'overlay.putValue': async (peer, { value }) => {
    const { key, replicas, size, cost } = unwrapOverlay(await peer.overlay.putValue(fromHex(value)))
    return { key: bytesToHex(key), replicas, size, cost }
  },
  'overlay.putSigned': async (peer, { salt, value }) => {
    const [name, bytes] = [fromHex(salt), fromHex(value)]
    if (bytesToText(name) === signingName) await checkPublicKey(bytes)
    const put = unwrapOverlay(await peer.overlay.putSigned(name, bytes))
    const { key, replicas, size, cost, publicKey, sequence, isKept } = put
    const who = { peerId: keyToPeerId(publicKey), sequence, kept: isKept }
    return { key: bytesToHex(key), replicas, size, cost, ...who }
  },
  'overlay.get': async (peer, { key }) => toFound(unwrapOverlay(await peer.overlay.get(fromHex(key)))),
  'overlay.getSigned': async (peer, { peerId: text, salt }) => {
    const peerId = parsePeerId(text)
    if (peerId === undefined) throw new MiaouError('unknown-peer', { peerId: text })
    return toFound(unwrapOverlay(await peer.overlay.getSigned(peerIdToKey(peerId), fromHex(salt))))
  },
  'overlay.findNode': async (peer, { target }) => {
    const { contacts, cost } = unwrapOverlay(await peer.overlay.findNode(fromHex(target)))
    return { contacts: await toContacts(contacts), cost }
  },
  'overlay.ping': async (peer, { node: text }) => {
    const { formatEndpoint, resolveNodes, textToOverlayClient } = await import('@miaou/host-node/overlay')
    const client = textToOverlayClient(text)
    if (client !== undefined) {
      const { endpoint, ms, observed } = unwrapPunch(await peer.overlay.punch(client.publicKey, client.rendezvous))
      const seen = observed === undefined ? {} : { observed: formatEndpoint(observed) }
      return { node: text, ms, endpoint: formatEndpoint(endpoint), ...seen }
    }
    const { addresses } = await resolveNodes([await toNode(text)])
    const [address] = addresses
    if (address === undefined) throw new MiaouError('unresolved', { address: text.slice(text.indexOf('@') + 1) })
    const { ms, observed } = unwrapOverlay(await peer.overlay.ping(address.publicKey, address.endpoint))
    return { node: text, ms, ...(observed === undefined ? {} : { observed: await endpointText(observed) }) }
  },
  'overlay.bootstrap': async (peer, { nodes }) => {
    const parsed = await Promise.all(nodes.map(toNode))
    const { contacts, cost } = unwrapOverlay(await peer.overlay.bootstrap(parsed))
    return { contacts, cost }
  },
}

/** One line about the overlay beside everything else. */
export function overlaySummary({ overlay }: PeerHandle): OverlaySummary {
  const { state, endpoints, bootstrap, contacts } = overlay.info()
  const [first] = endpoints
  return {
    state: state.type,
    ...(first === undefined ? {} : { port: first.port }),
    bootstrap: bootstrap.type,
    contacts,
  }
}

async function toInfo(
  info: OverlayInfo,
  rendezvous: ReturnType<PeerHandle['overlay']['rendezvous']>,
): Promise<OperationOutput<'overlay.info'>> {
  const { bootstrapText, overlayClientToTexts } = await import('@miaou/host-node/overlay')
  const { publicKey, endpoints, observed, ...rest } = info
  const clients = overlayClientToTexts({ publicKey, rendezvous })
  return {
    ...rest,
    publicKey: bytesToHex(publicKey),
    nodes: endpoints.map((endpoint) => bootstrapText(publicKey, endpoint)),
    ...(clients.length === 0 ? {} : { clients }),
    ...(observed === undefined ? {} : { observed: await endpointText(observed) }),
  }
}

async function toContacts(contacts: readonly OverlayContact[]): Promise<OperationOutput<'overlay.contacts'>> {
  const { bootstrapText, formatEndpoint } = await import('@miaou/host-node/overlay')
  return contacts.map(({ nodeId, publicKey, endpoint }) => ({
    nodeId,
    node: bootstrapText(publicKey, endpoint),
    endpoint: formatEndpoint(endpoint),
  }))
}

async function endpointText(endpoint: OverlayContact['endpoint']): Promise<string> {
  return (await import('@miaou/host-node/overlay')).formatEndpoint(endpoint)
}

type Found = Extract<Awaited<ReturnType<PeerHandle['overlay']['get']>>, { readonly ok: true }>['value']

function toFound({ record, size, cost }: Found): OverlayFound {
  if (record.type === 'value') return { record: { type: 'value', value: bytesToHex(record.value) }, size, cost }
  const { publicKey, salt, sequence, value, signature } = record
  return {
    record: {
      type: 'signed',
      peerId: keyToPeerId(publicKey),
      salt: bytesToHex(salt),
      sequence,
      value: bytesToHex(value),
      signature: bytesToHex(signature),
    },
    size,
    cost,
  }
}

async function toNode(text: string) {
  const { parseBootstrapNode } = await import('@miaou/host-node/overlay')
  const node = parseBootstrapNode(text)
  if (!node.ok) throw new MiaouError('bad-node', { node: text, detail: node.error })
  return node.value
}

/** What is published as a key can be one: a key of small order would let anybody sign for it. */
async function checkPublicKey(bytes: Uint8Array): Promise<void> {
  const { isAdmissiblePublicKey } = await import('@miaou/host-node/overlay')
  if (!(await isAdmissiblePublicKey(bytes))) throw new MiaouError('bad-public-key')
}

/** Codes of the API for the errors of the overlay; what others call the same has another name here. */
const overlayErrorCodes: Readonly<Record<OverlayError['type'], ErrorCode>> = {
  'overlay-off': 'overlay-off',
  'no-contacts': 'no-contacts',
  'bootstrap-failed': 'bootstrap-failed',
  unresolved: 'unresolved',
  timeout: 'node-silent',
  'not-found': 'not-found',
  'not-stored': 'not-stored',
  'bad-record': 'bad-record',
  'empty-value': 'empty-value',
  'record-too-large': 'record-too-large',
  'salt-too-long': 'salt-too-long',
  'too-many-own-records': 'too-many-own-records',
  'too-many-operations': 'too-many-operations',
  stopped: 'stopped',
}

function unwrapOverlay<T>(result: Result<T, OverlayError>): T {
  if (result.ok) return result.value
  const { error } = result
  switch (error.type) {
    case 'overlay-off':
      if (error.reason === 'no-udp') throw new MiaouError('overlay-unavailable', { detail: error.detail })
      throw new MiaouError('overlay-off', { reason: error.reason })
    case 'not-found':
    case 'not-stored': {
      const { type, cost, ...facts } = error
      const { requests, timeouts, ms } = cost
      throw new MiaouError(overlayErrorCodes[type], { ...facts, requests, timeouts, ms: Math.round(ms) })
    }
    default: {
      const { type, ...facts } = error
      throw new MiaouError(overlayErrorCodes[type], facts)
    }
  }
}

const punchErrorCodes: Readonly<Record<(OverlayPunchError & { readonly type: 'punch-failed' })['reason'], ErrorCode>> =
  {
    'rendezvous-silent': 'rendezvous-silent',
    'unknown-target': 'unknown-client',
    refused: 'punch-refused',
    'no-way-through': 'no-way-through',
  }

function unwrapPunch<T>(result: Result<T, OverlayPunchError>): T {
  if (result.ok) return result.value
  const { error } = result
  if (error.type === 'punch-failed') throw new MiaouError(punchErrorCodes[error.reason])
  return unwrapOverlay<T>({ ok: false, error })
}

/** The schema let only hexadecimal through. */
function fromHex(text: string): Uint8Array {
  return hexToBytes(text) ?? new Uint8Array(0)
}
