import { assert, ok, type Result } from '@miaou/core'
import type { ContactRef, ContactTable, KademliaMessage } from '@miaou/overlay'
import {
  type AddressFamily,
  addressScope,
  contactKeySize,
  contactSizeV4,
  contactSizeV6,
  contactsPerMessageMax,
  decodeOverlayMessage,
  type Endpoint,
  encodeOverlayMessage,
  encodeOverlayMessageInto,
  type OverlayMessage,
  type OverlayMessageError,
  overlayMessageSizeMax,
  overlayMessageTypes,
  type PackedContacts,
  packEndpoint,
  unpackEndpoint,
} from '@miaou/protocol'

const noBytes = new Uint8Array(0)
// One for all nodes of a process: nothing stays in them between two calls.
const answer = new Uint8Array(overlayMessageSizeMax)
const packedV4 = new Uint8Array(contactsPerMessageMax * contactSizeV4)
const packedV6 = new Uint8Array(contactsPerMessageMax * contactSizeV6)
const scopeRanks = { loopback: 0, private: 1, public: 2 } as const

/** Requests that may travel inside a first datagram (issue: only Ping, FindNode, FindValue): the second byte tells. */
export function mayOpen(payload: Uint8Array): boolean {
  const type = payload[1]
  return (
    type === overlayMessageTypes.ping ||
    type === overlayMessageTypes['find-node'] ||
    type === overlayMessageTypes['find-value']
  )
}

/** Of a packed contact; −1 where no node can be. */
function rankOf(packed: Uint8Array, at: number, family: AddressFamily): number {
  const scope = addressScope(packed, at + contactKeySize, family)
  return scope === undefined ? -1 : scopeRanks[scope]
}

export type OverlayCodec = ReturnType<typeof createOverlayCodec>

/** Messages of the engine, whose contacts are rows of `contacts`, to bytes and back. */
export function createOverlayCodec(contacts: ContactTable): {
  /** Contacts of families without a socket are dropped from what is decoded. */
  setFamilies(endpoints: readonly Endpoint[]): void
  encode(message: KademliaMessage): Uint8Array
  /** As `encode`, in a buffer that the next call, of any codec, writes over: for answers, which are sealed at once. */
  encodeForNow(message: KademliaMessage): Uint8Array
  /** `from`: who sent it. Room for 20 contacts must be reserved in the table. */
  decode(bytes: Uint8Array, from: ContactRef): Result<KademliaMessage, OverlayMessageError>
} {
  let hasV4 = true
  let hasV6 = true

  /** Good until the next call. */
  function pack(refs: readonly ContactRef[]): PackedContacts {
    assert(refs.length <= contactsPerMessageMax, 'a message names 20 contacts at most')
    let atV4 = 0
    let atV6 = 0
    for (const ref of refs) {
      if (contacts.family(ref) === 4) atV4 = contacts.pack(ref, packedV4, atV4)
      else atV6 = contacts.pack(ref, packedV6, atV6)
    }
    const v4 = atV4 === 0 ? noBytes : packedV4.subarray(0, atV4)
    const v6 = atV6 === 0 ? noBytes : packedV6.subarray(0, atV6)
    return { v4, v6 }
  }

  /**
   * A contact in a narrower network than its teller's is none of ours: whoever is out in the world must not send us to
   * knock inside our own network.
   */
  function unpack(packed: PackedContacts, from: ContactRef): ContactRef[] {
    const refs: ContactRef[] = []
    if (packed.v4.length + packed.v6.length === 0) return refs
    const rankMin = scopeRanks[contacts.scope(from)]
    if (hasV4) take(packed.v4, 4, rankMin, refs)
    if (hasV6) take(packed.v6, 6, rankMin, refs)
    return refs
  }

  function take(packed: Uint8Array, family: AddressFamily, rankMin: number, refs: ContactRef[]): void {
    const size = family === 4 ? contactSizeV4 : contactSizeV6
    for (let at = 0; at < packed.length; at += size) {
      if (rankMin > 0 && rankOf(packed, at, family) < rankMin) continue
      const ref = contacts.intern(packed, at, family)
      if (ref !== undefined) refs.push(ref)
    }
  }

  function toWire(message: KademliaMessage): OverlayMessage {
    switch (message.type) {
      case 'pong':
        return { ...message, observed: (message.observed && packEndpoint(message.observed)) ?? noBytes }
      case 'find-node-response':
      case 'find-value-response':
        return { ...message, contacts: pack(message.contacts) }
      case 'probe':
        return { ...message, contact: pack([message.contact]) }
      case 'rendezvous-response':
        return { ...message, observed: (message.observed && packEndpoint(message.observed)) ?? noBytes }
      case 'punch-response':
      case 'knock': {
        const endpoint = (message.endpoint && packEndpoint(message.endpoint)) ?? noBytes
        return { ...message, endpoint }
      }
      default:
        return message
    }
  }

  /** Undefined where the one contact that a probe is about, or the asker of a knock, cannot be asked. */
  function fromWire(message: OverlayMessage, from: ContactRef): KademliaMessage | undefined {
    switch (message.type) {
      case 'pong':
        return { ...message, observed: message.observed.length === 0 ? undefined : unpackEndpoint(message.observed) }
      case 'find-node-response':
      case 'find-value-response':
        return { ...message, contacts: unpack(message.contacts, from) }
      case 'probe': {
        const [contact] = unpack(message.contact, from)
        return contact === undefined ? undefined : { ...message, contact }
      }
      case 'rendezvous-response':
        return { ...message, observed: message.observed.length === 0 ? undefined : unpackEndpoint(message.observed) }
      case 'punch-response':
        return { ...message, endpoint: message.endpoint.length === 0 ? undefined : unpackEndpoint(message.endpoint) }
      case 'knock': {
        const endpoint = unpackEndpoint(message.endpoint)
        return endpoint === undefined ? undefined : { ...message, endpoint }
      }
      default:
        return message
    }
  }

  return {
    setFamilies(endpoints) {
      hasV4 = endpoints.some(({ host }) => !host.includes(':'))
      hasV6 = endpoints.some(({ host }) => host.includes(':'))
    },
    encode: (message) => encodeOverlayMessage(toWire(message)),
    encodeForNow: (message) => answer.subarray(0, encodeOverlayMessageInto(toWire(message), answer, 0)),
    decode(bytes, from) {
      const decoded = decodeOverlayMessage(bytes)
      if (!decoded.ok) return decoded
      const message = fromWire(decoded.value, from)
      return message === undefined ? { ok: false, error: { type: 'malformed', what: 'overlay message' } } : ok(message)
    },
  }
}
