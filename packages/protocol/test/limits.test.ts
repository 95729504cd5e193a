import { createHash } from 'node:crypto'
import {
  decodeCertificate,
  decodeDeviceListEntry,
  decodeEnvelope,
  decodePeerAnnouncement,
  decodePrekeyBundle,
  deviceListEntriesMax,
  encodeEnvelope,
  encodeInvite,
  encodePeerAnnouncement,
  type Invite,
  invitePrefix,
  nextHopLayerSizeMax,
  nextHopTag,
  type PeerAnnouncement,
  parseInvite,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const samples = createWireSamples(libsodium)
const { account, deviceCertificate, deviceList, deviceListEntries, prekeyBundles } = samples
const malformed = (what: string) => ({ ok: false, error: { type: 'malformed', what } })

describe('codes and counts at their limits', () => {
  test('[I3] [I4] a certificate of an unknown kind is refused', () => {
    expect(decodeCertificate(deviceCertificate.with(2, 3))).toEqual(malformed('certificate'))
    expect(decodeCertificate(deviceCertificate.with(2, 0))).toEqual(malformed('certificate'))
  })

  test('[I6] an unknown action or signer is refused', () => {
    const entry = deviceList[0] as Uint8Array
    const signerAt = 2 + 1 + 32 + 4 + 32
    expect(decodeDeviceListEntry(entry).ok).toBe(true)
    expect(decodeDeviceListEntry(entry.with(2, 4))).toEqual(malformed('device list entry'))
    expect(decodeDeviceListEntry(entry.with(signerAt, 3))).toEqual(malformed('device list entry'))
  })

  test('[I6] only an add has a name, and who is revoked has no right; an unknown right is none', () => {
    const entry = deviceList[0] as Uint8Array
    const rightsAt = 2 + 1 + 32 + 4 + 32 + 1 + 32 + 2 + 'laptop'.length
    expect(decodeDeviceListEntry(entry.with(2, 3))).toEqual(malformed('device list entry'))
    expect(deviceListEntries[3]?.action).toBe('revoke')
    const revocation = deviceList[3] as Uint8Array
    const revokedRightsAt = 2 + 1 + 32 + 4 + 32 + 1 + 32 + 32 + 2
    expect(decodeDeviceListEntry(revocation.with(revokedRightsAt, 1))).toEqual(malformed('device list entry'))
    const later = decodeDeviceListEntry(entry.with(rightsAt, 0x80))
    expect(later.ok && later.value.value.rights).toEqual([])
  })

  test('[P1] a flag that is not known is refused', () => {
    expect(decodePrekeyBundle((prekeyBundles[0] as Uint8Array).with(2, 8))).toEqual(malformed('prekey bundle'))
  })

  test('[M12] marks of an announcement: whole or malformed', () => {
    const bytes = encodePeerAnnouncement(samples.announcements[2] as PeerAnnouncement)
    expect(decodePeerAnnouncement(bytes)).toEqual({ ok: true, value: samples.announcements[2] })
    const plain = encodePeerAnnouncement(samples.announcements[1] as PeerAnnouncement)
    for (const tag of [1, 2]) {
      for (const size of [87, 88, 89]) {
        // 88 zeros are no mark: starts count from 1.
        const block = Uint8Array.of(0, 4 + size, 0, tag, 0, size, ...new Uint8Array(size))
        const marked = Uint8Array.from([...plain.slice(0, -2), ...block])
        expect(decodePeerAnnouncement(marked)).toEqual(malformed('peer announcement'))
      }
    }
  })

  test('[P5] the number of a sealing key stands with a sealing key only, in 4 bytes', () => {
    const [without, , numbered] = prekeyBundles as readonly Uint8Array[]
    const extended = (bundle: Uint8Array, size: number) => {
      const block = Uint8Array.of(0, 4 + size, 0, 1, 0, size, ...new Uint8Array(size))
      return decodePrekeyBundle(Uint8Array.from([...bundle.slice(0, -66), ...block, ...new Uint8Array(64)]))
    }
    expect(decodePrekeyBundle(numbered as Uint8Array)).toMatchObject({
      value: { value: { sealingKeyId: 0xffff_fffd } },
    })
    expect(extended(without as Uint8Array, 4)).toEqual(malformed('prekey bundle'))
    const bare = prekeyBundles[1] as Uint8Array
    expect(extended(bare, 4)).toMatchObject({ ok: true, value: { value: { sealingKeyId: 0 } } })
    for (const size of [0, 3, 5]) expect(extended(bare, size)).toEqual(malformed('prekey bundle'))
  })

  test('[M12] an announcement has at most 64 entries', () => {
    const entries = Array.from({ length: deviceListEntriesMax }, () => new Uint8Array(0))
    const bytes = encodePeerAnnouncement({ accountKey: account.publicKey, name: '', deviceList: entries })
    expect(decodePeerAnnouncement(bytes).ok).toBe(true)
    const countAt = 2 + 32 + 2
    const more = Uint8Array.from([...bytes.slice(0, countAt), 65, 0, 0, ...bytes.slice(countAt + 1)])
    expect(decodePeerAnnouncement(more)).toEqual(malformed('peer announcement'))
  })

  test('[M13] H06 a next hop has a layer of 1 to 3,072 bytes', () => {
    const sessionId = new Uint8Array(16)
    const message = new Uint8Array(8)
    const plain = encodeEnvelope({ kind: 'ratchet', sessionId, message })
    const withHop = (size: number) => {
      const block = Buffer.alloc(6 + size)
      block.writeUInt16BE(4 + size, 0)
      block.writeUInt16BE(nextHopTag, 2)
      block.writeUInt16BE(size, 4)
      return decodeEnvelope(Buffer.concat([plain.slice(0, -2), block]), { acceptNextHop: true })
    }
    expect(withHop(32 + 1).ok).toBe(true)
    expect(withHop(32 + nextHopLayerSizeMax).ok).toBe(true)
    for (const size of [0, 31, 32, 32 + nextHopLayerSizeMax + 1]) expect(withHop(size)).toEqual(malformed('next hop'))
  })

  test('[V1] an invite has a name of at most 30 bytes and at most 6 addresses, each well formed', () => {
    const sha256 = (bytes: Uint8Array) => libsodium.sha256(bytes)
    const [empty] = samples.invites
    const link = encodeInvite(empty as Invite, sha256)
    const fixed = Buffer.from(link.slice(invitePrefix.length), 'base64url').subarray(0, 2 + 112)
    const parse = (...fields: readonly number[]) => {
      const payload = Buffer.concat([fixed, Uint8Array.from([...fields, 0, 0])])
      const check = createHash('sha256').update(payload).digest().subarray(0, 4)
      return parseInvite(invitePrefix + Buffer.concat([payload, check]).toString('base64url'), sha256)
    }
    const damaged = { ok: false, error: { type: 'damaged-invite' } }
    const name = (size: number) => [size, ...Buffer.alloc(size, 0x61)]
    const unknown = [9, 0]
    expect(parse(...name(30), 0).ok).toBe(true)
    expect(parse(...name(31), 0)).toEqual(damaged)
    expect(parse(1, 0xff, 0)).toEqual(damaged)
    expect(parse(1, 0x0a, 0)).toEqual(damaged)
    expect(parse(0, 6, ...Array.from({ length: 6 }, () => unknown).flat()).ok).toBe(true)
    expect(parse(0, 7, ...Array.from({ length: 7 }, () => unknown).flat())).toEqual(damaged)
    expect(parse(0, 1, 2, 1, 0x61).ok).toBe(true)
    expect(parse(0, 1, 2, 0)).toEqual(damaged)
    expect(parse(0, 1, 2, 1, 0xff)).toEqual(damaged)
    expect(parse(0, 1, 2, 1, 0x20)).toEqual(damaged)
  })
})
