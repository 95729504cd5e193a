import { encodePeerAnnouncement, encodePrekeyDocument, sealBundle, signPrekeyBundle } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { readPrekeyDocument } from '../src/prekey-documents.ts'
import { createAccount, crypto, seededRandom, startWall } from './fixture.ts'

const random = seededRandom('prekey documents')
const locatorKey = random.bytes(32)
const [party] = createAccount('Alice', 2)
if (!party) throw new Error('an account has a device')
const { accountKey, certificate, deviceKey, sessionKey, deviceList } = party.identity

function sealed(announcement: Uint8Array): Uint8Array {
  const bundle = signPrekeyBundle(crypto, deviceKey.secretKey, {
    sessionKey: sessionKey.publicKey,
    signedPrekey: { id: 1, publicKey: crypto.x25519KeyPair(random.bytes(32)).publicKey },
    kemPrekey: { id: 2, publicKey: crypto.mlkem768KeyPair(random.bytes(64)).publicKey, oneTime: false },
    createdAt: startWall,
  })
  const document = encodePrekeyDocument({ bundle, certificate, announcement })
  return sealBundle(crypto, random, locatorKey, deviceKey.publicKey, document)
}

function read(announcement: Uint8Array, known: readonly Uint8Array[]) {
  const drops: string[] = []
  const contact = { accountKey, deviceList: known, name: 'Alice' }
  const device = { key: deviceKey.publicKey, contact, locatorKey }
  const document = readPrekeyDocument(
    { crypto, drop: (reason) => void drops.push(reason) },
    device,
    sealed(announcement),
  )
  return { document, drops }
}

describe('[P6] a prekey document', () => {
  test('brings the list of its account', () => {
    const { document } = read(encodePeerAnnouncement({ accountKey, deviceList, name: 'Alice B.' }), [])
    expect(document).toMatchObject({ name: 'Alice B.' })
    expect(document?.list.devices).toHaveLength(2)
  })

  test('whose list is too long for it leaves it out: the list that is known counts, and without one it is refused', () => {
    const none = new Uint8Array(0)
    expect(read(none, deviceList).document?.list.devices).toHaveLength(2)
    expect(read(none, [])).toEqual({ document: undefined, drops: ['bundle-announcement'] })
  })

  test('of a device that the known list does not have is refused', () => {
    const [other] = createAccount('Bob', 1)
    expect(read(new Uint8Array(0), other?.identity.deviceList ?? [])).toMatchObject({ document: undefined })
  })
})
