import { ByteReader, bytesToHex, concatBytes, equalBytes } from '@miaou/core'
import { signLabelled } from '@miaou/crypto'
import {
  boxEntryKind,
  boxToEntry,
  contactServicesMax,
  contactWaysSizeMax,
  type DeviceRecord,
  decodeContactWays,
  decodeDeviceRecord,
  decodeServiceRecord,
  deriveRecordLocator,
  deviceRecordSizeMax,
  deviceRecordUrlLengthMax,
  encodeContactWays,
  encodeOverlayClient,
  encodeWay,
  entryToBox,
  formatCircuitAddress,
  isRecordFresh,
  isServiceFresh,
  isWay,
  isWayWithin,
  nearestRelayScope,
  openDeviceRecord,
  readWay,
  recordLifetimeMs,
  recordSizeMax,
  recordSkewMs,
  relayIdOf,
  relayOfService,
  sealDeviceRecord,
  sealedRecordOverhead,
  sealedRecordSize,
  serviceRecordSizeMax,
  signDeviceRecord,
  signedRecordOverhead,
  signRecord,
  signServiceRecord,
  verifyDeviceRecord,
  verifyRecord,
  verifyServiceRecord,
  wayForms,
  wayScope,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRecordSamples, sampleBox } from '../../../testkit/src/fuzz/record-samples.ts'
import { sampleTime } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const samples = createRecordSamples(libsodium)
const { device, relay, locator, locatorKey, nonce, signedDeviceRecords, signedServiceRecords } = samples
const full = samples.deviceRecords[1] as DeviceRecord
const signed = signedDeviceRecords[1] as Uint8Array
const stranger = libsodium.ed25519KeyPair(new Uint8Array(32).fill(77))
const id = (n: number) => new Uint8Array(16).fill(n)
const circuit = (url: string, n = 1) => formatCircuitAddress({ relay: { url, relayId: id(n) }, reservation: id(n + 1) })

function sign(more: Partial<DeviceRecord>): Uint8Array {
  const base = { ...full, ways: [], overlayContact: undefined, mailboxes: [], services: [] }
  return signDeviceRecord(libsodium, device.secretKey, { ...base, ...more })
}

function waysOf(record: Uint8Array): readonly string[] {
  const decoded = decodeDeviceRecord(record)
  return decoded.ok ? decoded.value.value.ways : []
}

/** A record with other bytes behind its signature's key, signed as it should be. */
function resigned(label: string, body: Uint8Array, secretKey: Uint8Array): Uint8Array {
  return concatBytes(body, signLabelled(libsodium, label, body, secretKey))
}

const urlArbitrary = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `ws://${host}:${port}`),
  fc.tuple(fc.domain(), fc.constantFrom('ws', 'wss')).map(([host, scheme]) => `${scheme}://${host}`),
  fc.ipV6().map((host) => `wss://[${host}]:9999`),
)
const wayArbitrary = fc
  .tuple(urlArbitrary, fc.boolean(), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(([url, isCircuit, reservation]) =>
    isCircuit ? formatCircuitAddress({ relay: { url, relayId: id(3) }, reservation }) : url,
  )
  .filter((way) => isWay(way, deviceRecordUrlLengthMax))

describe('[W2] ways', () => {
  test('come back from their bytes; a socket at an IPv4 address takes 8 bytes, a circuit there 40', () => {
    fc.assert(
      fc.property(wayArbitrary, (way) => {
        const bytes = encodeWay(way)
        const reader = new ByteReader(bytes)
        expect(readWay(reader, deviceRecordUrlLengthMax)).toBe(way)
        expect(reader.finished()).toBe(true)
      }),
    )
    expect(encodeWay('ws://192.0.2.7:9999')).toHaveLength(8)
    expect(encodeWay(circuit('ws://192.0.2.7:9999'))).toHaveLength(40)
    expect(encodeWay(circuit('wss://relay.example.org'))).toHaveLength(2 + 32 + 'relay.example.org'.length)
  })

  test('any bytes: a way, an unknown form, or a failed reader', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const reader = new ByteReader(bytes)
        const way = readWay(reader, deviceRecordUrlLengthMax)
        if (way !== undefined) expect(isWay(way, deviceRecordUrlLengthMax)).toBe(true)
      }),
    )
    for (const form of [0, 7, 255]) {
      const reader = new ByteReader(Uint8Array.of(form, 2, 1, 2))
      expect([readWay(reader, 64), reader.finished()]).toEqual([undefined, true])
    }
    for (const bytes of [
      [wayForms.ipv4, 5, 1, 2, 3, 4, 5],
      [wayForms.ws, 0],
      [wayForms.wss, 3, 0xff, 0xff, 0xff],
      [wayForms.circuitIpv4, 32, ...id(1), ...id(2)],
      [wayForms.circuitWss, 33, ...id(1), ...id(2), 0x20],
      [wayForms.ws, 9, 1],
    ]) {
      const reader = new ByteReader(Uint8Array.from(bytes))
      expect([readWay(reader, 64), reader.failed]).toEqual([undefined, true])
    }
  })

  test.each([
    ['ws://127.0.0.1:9999', 'loopback'],
    ['ws://[::1]:9999', 'loopback'],
    ['wss://localhost', 'loopback'],
    ['ws://a.localhost:80', 'loopback'],
    ['ws://192.168.1.1:80', 'private'],
    ['ws://[fe80::1]:80', 'private'],
    ['wss://10.0.0.1', 'private'],
    ['ws://router', 'private'],
    ['ws://printer.local:9999', 'private'],
    // What a resolver reads as an address (127.0.0.1), and what no node has.
    ['ws://2130706433', 'private'],
    ['ws://127.1:80', 'private'],
    ['ws://0x7f.0.0.1', 'private'],
    ['ws://0.0.0.0:80', 'private'],
    ['ws://[fe80::1%25eth0]:80', 'private'],
    ['wss://relay.example.org', 'public'],
    ['ws://203.0.113.7:9999', 'public'],
    ['ws://[2001:db8::1]:9999', 'public'],
  ] as const)('%s is %s', (url, scope) => {
    expect(wayScope(url)).toBe(scope)
    expect(wayScope(circuit(url))).toBe(scope)
    expect(isWayWithin(url, 'public')).toBe(scope === 'public')
    expect(isWayWithin(url, 'loopback')).toBe(true)
    expect(nearestRelayScope([circuit('wss://relay.example.org'), circuit(url), 'ws://127.0.0.1:1'])).toBe(scope)
  })
})

describe('[W1] device records', () => {
  test('give back what went in, and are what their device signed', () => {
    for (const [index, record] of samples.deviceRecords.entries()) {
      const bytes = signedDeviceRecords[index] as Uint8Array
      expect(bytes.length).toBeLessThanOrEqual(deviceRecordSizeMax)
      const verified = verifyDeviceRecord(libsodium, bytes, device.publicKey)
      const { ways, ...rest } = record
      expect(verified).toMatchObject({ ok: true, value: { ...rest, deviceKey: device.publicKey } })
      if (index < 2) expect(verified.ok && verified.value.ways).toEqual(ways)
    }
  })

  test('[W3] ways beyond 6 of each sort are left out, and those that do not fit', () => {
    const circuits = Array.from({ length: 8 }, (_, n) => circuit(`wss://r${n}.example`, n))
    const addresses = Array.from({ length: 8 }, (_, n) => `ws://192.0.2.${n}:9999`)
    expect(waysOf(sign({ ways: [...addresses, ...circuits] }))).toEqual([
      ...addresses.slice(0, 6),
      ...circuits.slice(0, 6),
    ])
    const long = Array.from({ length: 6 }, (_, n) => circuit(`wss://${'x'.repeat(110)}${n}.example`, n))
    const fitted = waysOf(sign({ ways: [...long, ...addresses] }))
    expect(fitted.filter((way) => way.startsWith('circuit:'))).toHaveLength(4)
    expect(fitted.filter((way) => !way.startsWith('circuit:'))).toHaveLength(6)
    expect(sign({ ways: [...long, ...addresses] }).length).toBeLessThanOrEqual(deviceRecordSizeMax)
  })

  test('property: whatever ways there are, the record fits and holds the first of them', () => {
    fc.assert(
      fc.property(fc.uniqueArray(wayArbitrary, { maxLength: 20 }), (ways) => {
        const bytes = sign({ ways })
        const told = waysOf(bytes)
        expect(bytes.length).toBeLessThanOrEqual(deviceRecordSizeMax)
        expect(told).toEqual(ways.filter((way) => told.includes(way)))
        if (ways.length > 0) expect(told[0]).toBe(ways[0])
      }),
      { numRuns: 50 },
    )
  })

  test("another device's record, a forged one and a cut one are refused", () => {
    expect(verifyDeviceRecord(libsodium, signed, stranger.publicKey)).toEqual({
      ok: false,
      error: { type: 'wrong-device' },
    })
    for (let size = 0; size < signed.length; size++) {
      expect(verifyDeviceRecord(libsodium, signed.slice(0, size), device.publicKey).ok).toBe(false)
    }
    for (let at = 0; at < signed.length; at++) {
      const altered = signed.with(at, (signed[at] as number) ^ 1)
      expect(verifyDeviceRecord(libsodium, altered, device.publicKey).ok).toBe(false)
    }
    // Signed for another purpose.
    const body = signed.slice(0, -64)
    const other = resigned('service-record', body, device.secretKey)
    expect(verifyDeviceRecord(libsodium, other, device.publicKey)).toEqual({
      ok: false,
      error: { type: 'invalid-signature' },
    })
  })

  test('more than 844 bytes, 12 ways, or 4 entries are refused; a longer list of one sort too', () => {
    const malformed = { ok: false, error: { type: 'malformed', what: 'device record' } }
    expect(decodeDeviceRecord(new Uint8Array(deviceRecordSizeMax + 1).fill(1))).toEqual(malformed)
    const at = 2 + 32 + 8 + 8
    const withWays = (count: number, way: Uint8Array) => {
      const ways = Array.from({ length: count }, (_, n) => way.with(way.length - 1, n))
      const tail = Uint8Array.of(0, 0, 0, 0, 0)
      const body = concatBytes(signed.slice(0, at), Uint8Array.of(count), ...ways, tail)
      return verifyDeviceRecord(libsodium, resigned('device-record', body, device.secretKey), device.publicKey)
    }
    const address = encodeWay('ws://192.0.2.1:9999')
    expect(withWays(6, address).ok).toBe(true)
    expect(withWays(7, address)).toEqual(malformed)
    expect(withWays(6, encodeWay(circuit('ws://192.0.2.1:9999'))).ok).toBe(true)
    expect(withWays(7, encodeWay(circuit('ws://192.0.2.1:9999')))).toEqual(malformed)
    expect(withWays(12, Uint8Array.of(99, 1, 0)).ok).toBe(true)
    expect(withWays(13, Uint8Array.of(99, 1, 0))).toEqual(malformed)
    const entry = { kind: 1, bytes: new Uint8Array(2) }
    const four = sign({ mailboxes: [entry, entry, entry, entry] })
    expect(decodeDeviceRecord(four).ok).toBe(true)
    expect(() => sign({ mailboxes: [entry, entry, entry, entry, entry] })).toThrow()
    const five = concatBytes(four.slice(0, at + 2), Uint8Array.of(5), four.slice(at + 3))
    expect(decodeDeviceRecord(five)).toEqual(malformed)
  })

  test('[W4] is good for 24 h, and an hour of clocks that differ', () => {
    expect(isRecordFresh(sampleTime, sampleTime + recordLifetimeMs - 1)).toBe(true)
    expect(isRecordFresh(sampleTime, sampleTime + recordLifetimeMs)).toBe(false)
    expect(isRecordFresh(sampleTime, sampleTime - recordSkewMs)).toBe(true)
    expect(isRecordFresh(sampleTime, sampleTime - recordSkewMs - 1)).toBe(false)
  })

  test("a later version's extension is skipped, a critical one is not", () => {
    const body = signed.slice(0, -66)
    const extended = (tag: number) => {
      const extension = Uint8Array.of(0, 5, tag, 9, 0, 1, 7)
      return verifyDeviceRecord(
        libsodium,
        resigned('device-record', concatBytes(body, extension), device.secretKey),
        device.publicKey,
      )
    }
    expect(extended(0).ok).toBe(true)
    expect(extended(0x80)).toEqual({ ok: false, error: { type: 'critical-extension', tag: 0x8009 } })
  })

  test('[W1] the own node behind a NAT: whole or not at all, and ways give room to it', () => {
    const server = (n: number) => ({
      publicKey: new Uint8Array(32).fill(n),
      endpoint: { host: `2001:db8::${n}`, port: 9999 },
    })
    const overlayClient = { publicKey: new Uint8Array(32).fill(9), rendezvous: [server(1), server(2), server(3)] }
    const ways = Array.from({ length: 6 }, (_, n) => circuit(`wss://${'x'.repeat(110)}${n}.example`, n))
    const largest = sign({ ways, overlayClient })
    expect(largest.length).toBeLessThanOrEqual(deviceRecordSizeMax)
    const verified = verifyDeviceRecord(libsodium, largest, device.publicKey)
    expect(verified).toMatchObject({ ok: true, value: { overlayClient } })
    expect(waysOf(largest).length).toBeLessThan(waysOf(sign({ ways })).length)
    const body = signed.slice(0, -66)
    const short = encodeOverlayClient(overlayClient).slice(0, 71)
    const bad = concatBytes(body, Uint8Array.of(0, 75, 0, 1, 0, 71), short)
    expect(verifyDeviceRecord(libsodium, resigned('device-record', bad, device.secretKey), device.publicKey)).toEqual({
      ok: false,
      error: { type: 'malformed', what: 'device record' },
    })
  })
})

describe('[W1] mailboxes of a device record', () => {
  const box = sampleBox(libsodium, 1, 'wss://mail.example.org')

  test('a box comes back from its entry, at every form of URL', () => {
    for (const url of ['wss://mail.example.org', 'ws://192.0.2.7:9999', 'ws://[2001:db8::7]:9999', 'ws://mail.lan:1']) {
      const address = sampleBox(libsodium, 2, url)
      const entry = boxToEntry(address)
      expect(entry.kind).toBe(boxEntryKind)
      expect(entryToBox(entry)).toEqual(address)
    }
    const longest = sampleBox(libsodium, 1, `wss://${'x'.repeat(122)}`)
    expect(entryToBox(boxToEntry(longest))).toEqual(longest)
  })

  test('an entry of another kind, cut, longer, or with a way that is no socket is none', () => {
    const { kind, bytes } = boxToEntry(box)
    expect(entryToBox({ kind: kind + 1, bytes })).toBeUndefined()
    for (let size = 0; size < bytes.length; size++)
      expect(entryToBox({ kind, bytes: bytes.slice(0, size) })).toBe(undefined)
    expect(entryToBox({ kind, bytes: concatBytes(bytes, Uint8Array.of(0)) })).toBeUndefined()
    const to = concatBytes(box.box, box.mailbox.mailboxId)
    expect(entryToBox({ kind, bytes: concatBytes(to, encodeWay(circuit('ws://192.0.2.1:9999'))) })).toBeUndefined()
    expect(entryToBox({ kind, bytes: concatBytes(to, Uint8Array.of(99, 1, 0)) })).toBeUndefined()
    const long = new TextEncoder().encode('x'.repeat(123))
    expect(entryToBox({ kind, bytes: concatBytes(to, Uint8Array.of(3, 123), long) })).toBeUndefined()
  })

  test('mailboxes give room to the first way, and a record never grows too large', () => {
    const mailboxes = [1, 2, 3, 4].map((n) => boxToEntry(sampleBox(libsodium, n, `wss://${'x'.repeat(120)}${n}`)))
    const server = (n: number) => ({
      publicKey: new Uint8Array(32).fill(n),
      endpoint: { host: `2001:db8::${n}`, port: 9999 },
    })
    const overlayClient = { publicKey: new Uint8Array(32).fill(9), rendezvous: [server(1), server(2), server(3)] }
    const ways = [1, 2].map((n) => circuit(`wss://${'x'.repeat(121)}${n}`, n))
    const record = sign({ ways, mailboxes, overlayClient, bundleKey: new Uint8Array(32).fill(3) })
    expect(record.length).toBeLessThanOrEqual(deviceRecordSizeMax)
    const decoded = verifyDeviceRecord(libsodium, record, device.publicKey)
    if (!decoded.ok) throw new Error('our own record')
    expect(decoded.value.ways).toEqual(ways.slice(0, 1))
    expect(decoded.value.mailboxes).toEqual(mailboxes.slice(0, decoded.value.mailboxes.length))
    expect(decoded.value.mailboxes.length).toBeGreaterThan(0)
    expect(decoded.value.mailboxes.length).toBeLessThan(4)
    const few = [1, 2, 3, 4].map((n) => boxToEntry(sampleBox(libsodium, n, `wss://mail${n}.example.org`)))
    expect(decodeDeviceRecord(sign({ ways, mailboxes: few }))).toMatchObject({ value: { value: { mailboxes: few } } })
  })

  test('the key of the own bundle: 32 bytes or malformed', () => {
    const bundleKey = new Uint8Array(32).fill(3)
    const verified = verifyDeviceRecord(libsodium, sign({ bundleKey }), device.publicKey)
    expect(verified).toMatchObject({ ok: true, value: { bundleKey } })
    expect(() => sign({ bundleKey: new Uint8Array(31) })).toThrow()
    const body = signed.slice(0, -66)
    for (const size of [0, 31, 33]) {
      const bad = concatBytes(body, Uint8Array.of(0, 4 + size, 0, 2, 0, size), new Uint8Array(size))
      expect(verifyDeviceRecord(libsodium, resigned('device-record', bad, device.secretKey), device.publicKey)).toEqual(
        {
          ok: false,
          error: { type: 'malformed', what: 'device record' },
        },
      )
    }
  })
})

describe('[W5] sealed records', () => {
  const sealed = samples.sealedRecords[1] as Uint8Array
  const open = (bytes: Uint8Array, at = locator, key = device.publicKey) => {
    const verified = verifyRecord(libsodium, bytes)
    return verified.ok ? openDeviceRecord(libsodium, at, verified.value.record, key) : verified
  }

  test('are one thousand bytes whatever is inside, and open for who has the locator key', () => {
    for (const [index, bytes] of samples.sealedRecords.entries()) {
      expect(bytes).toHaveLength(recordSizeMax)
      expect(open(bytes)).toMatchObject({ ok: true, value: { bytes: signedDeviceRecords[index] } })
    }
    expect(sealedRecordSize).toBe(recordSizeMax - signedRecordOverhead)
    expect(deviceRecordSizeMax).toBe(sealedRecordSize - sealedRecordOverhead)
  })

  test('lie where nobody else finds them: each device and each locator key has keys of its own', () => {
    const verified = verifyRecord(libsodium, sealed)
    expect(verified.ok && equalBytes(verified.value.key, locator.key)).toBe(true)
    const others = [
      deriveRecordLocator(libsodium, locatorKey, stranger.publicKey),
      deriveRecordLocator(libsodium, new Uint8Array(32), device.publicKey),
    ]
    const all = [locator, ...others].flatMap(({ key, sealingKey, signingKey }) => [
      key,
      sealingKey,
      signingKey.publicKey,
    ])
    expect(new Set(all.map(bytesToHex)).size).toBe(9)
    for (const other of others) expect(open(sealed, other)).toEqual({ ok: false, error: { type: 'unsealable' } })
  })

  test('show a storing node neither device nor relay nor address', () => {
    const text = bytesToHex(sealed)
    for (const secret of [device.publicKey, locatorKey, locator.sealingKey, signed.slice(2, 40)]) {
      expect(text).not.toContain(bytesToHex(secret))
    }
    expect(Buffer.from(sealed).toString('latin1')).not.toContain('relay.example.org')
  })

  test("who holds the locator key can put another there, and cannot make it the device's", () => {
    const facts = { nonce, sequence: 99 }
    const others = signDeviceRecord(libsodium, stranger.secretKey, full)
    expect(open(sealDeviceRecord(libsodium, locator, others, facts))).toEqual({
      ok: false,
      error: { type: 'wrong-device' },
    })
    const forged = signed.with(60, (signed[60] as number) ^ 1)
    expect(open(sealDeviceRecord(libsodium, locator, forged, facts)).ok).toBe(false)
    expect(open(sealDeviceRecord(libsodium, locator, new Uint8Array(0), facts)).ok).toBe(false)
    // An old one, played again, is the device's still: its sequence says so.
    expect(open(sealDeviceRecord(libsodium, locator, signedDeviceRecords[0] as Uint8Array, facts))).toMatchObject({
      value: { sequence: 1 },
    })
  })

  test('of other sizes, versions or keys are refused', () => {
    const verified = verifyRecord(libsodium, sealed)
    if (!verified.ok || verified.value.record.type !== 'signed') throw new Error('the sample is signed')
    const { record } = verified.value
    const { signingKey } = locator
    const put = (value: Uint8Array, key = signingKey) =>
      open(signRecord(libsodium, { ...key, salt: new Uint8Array(0), sequence: 1, value }))
    expect(put(record.value).ok).toBe(true)
    expect(put(record.value.slice(1))).toEqual({ ok: false, error: { type: 'unsealable' } })
    expect(put(record.value, stranger)).toEqual({ ok: false, error: { type: 'unsealable' } })
    expect(put(record.value.with(0, 2))).toMatchObject({ error: { type: 'unsupported', version: 2 } })
    for (const at of [2, 30, 500, sealedRecordSize - 1]) {
      expect(put(record.value.with(at, (record.value[at] as number) ^ 1))).toEqual({
        ok: false,
        error: { type: 'unsealable' },
      })
    }
    expect(openDeviceRecord(libsodium, locator, { type: 'value', value: record.value }, device.publicKey).ok).toBe(
      false,
    )
  })
})

describe('[W8] service records', () => {
  const record = samples.serviceRecords[1] as (typeof samples.serviceRecords)[number]
  const bytes = signedServiceRecords[1] as Uint8Array

  test('give back what went in, signed by the service key, and name its relay id', () => {
    for (const [index, each] of samples.serviceRecords.entries()) {
      const verified = verifyServiceRecord(libsodium, signedServiceRecords[index] as Uint8Array)
      expect(verified).toEqual({ ok: true, value: { ...each, serviceKey: relay.publicKey } })
    }
    const verified = verifyServiceRecord(libsodium, bytes)
    if (!verified.ok) throw new Error('the sample is signed')
    const relayId = relayIdOf(relay.publicKey, (data) => libsodium.sha256(data))
    expect(relayOfService(libsodium, verified.value, () => true)).toEqual({ url: record.urls[0], relayId })
    expect(relayOfService(libsodium, verified.value, (url) => url.startsWith('ws://['))?.url).toBe(record.urls[2])
    expect(relayOfService(libsodium, verified.value, () => false)).toBeUndefined()
  })

  test('altered anywhere or cut, they are refused', () => {
    for (let at = 0; at < bytes.length; at++) {
      expect(verifyServiceRecord(libsodium, bytes.with(at, (bytes[at] as number) ^ 1)).ok).toBe(false)
      expect(verifyServiceRecord(libsodium, bytes.slice(0, at)).ok).toBe(false)
    }
  })

  test('at the bounds: 3 URLs of 128 characters, a region of 32 bytes, 24 hours', () => {
    const url = (n: number) => `wss://${'x'.repeat(121)}${n}`
    const largest = { ...record, urls: [1, 2, 3].map(url), region: 'r'.repeat(32), sequence: Number.MAX_SAFE_INTEGER }
    const signedLargest = signServiceRecord(libsodium, relay.secretKey, largest)
    expect(signedLargest.length).toBeLessThanOrEqual(serviceRecordSizeMax)
    expect(verifyServiceRecord(libsodium, signedLargest).ok).toBe(true)
    expect(decodeServiceRecord(new Uint8Array(serviceRecordSizeMax + 1).fill(1)).ok).toBe(false)
    for (const bad of [
      { urls: [] },
      { urls: [1, 2, 3, 4].map(url) },
      { region: 'r'.repeat(33) },
      { expiresAt: sampleTime + recordLifetimeMs + 1 },
      { expiresAt: sampleTime },
    ]) {
      expect(() => signServiceRecord(libsodium, relay.secretKey, { ...record, ...bad })).toThrow()
    }
    const expiresAtOffset = 2 + 1 + 32 + 8 + 8
    const longer = bytes.slice(0, -64).with(expiresAtOffset + 7, 0xff)
    expect(verifyServiceRecord(libsodium, resigned('service-record', longer, relay.secretKey)).ok).toBe(false)
  })

  test('a kind that nobody knows is refused', () => {
    for (const kind of [0, 2, 3]) {
      const other = resigned('service-record', bytes.slice(0, -64).with(2, kind), relay.secretKey)
      expect(verifyServiceRecord(libsodium, other)).toMatchObject({ error: { type: 'malformed' } })
    }
  })

  test('are good until they expire', () => {
    const verified = verifyServiceRecord(libsodium, bytes)
    if (!verified.ok) throw new Error('the sample is signed')
    expect(isServiceFresh(verified.value, sampleTime + recordLifetimeMs - 1)).toBe(true)
    expect(isServiceFresh(verified.value, sampleTime + recordLifetimeMs)).toBe(false)
    expect(isServiceFresh(verified.value, sampleTime - recordSkewMs - 1)).toBe(false)
  })
})

describe('[W10] contact ways', () => {
  test('give back what went in', () => {
    for (const [index, value] of samples.contactWays.entries()) {
      expect(decodeContactWays(samples.encodedContactWays[index] as Uint8Array)).toEqual({ ok: true, value })
    }
  })

  test('at the bounds: 4 services of 592 bytes fit, and nothing is longer than 4 KiB', () => {
    const services = Array.from({ length: contactServicesMax }, () => new Uint8Array(serviceRecordSizeMax).fill(1))
    const record = new Uint8Array(deviceRecordSizeMax).fill(2)
    const largest = encodeContactWays({ locatorKey, record, services })
    expect(largest.length).toBeLessThan(contactWaysSizeMax)
    expect(decodeContactWays(largest)).toEqual({ ok: true, value: { locatorKey, record, services } })
    for (const bad of [
      { services: [...services, services[0] as Uint8Array] },
      { record: new Uint8Array(deviceRecordSizeMax + 1) },
      { services: [new Uint8Array(serviceRecordSizeMax + 1)] },
      { services: [new Uint8Array(0)] },
      { locatorKey: new Uint8Array(31) },
    ]) {
      expect(() => encodeContactWays({ locatorKey, record, services: [], ...bad })).toThrow()
    }
    expect(decodeContactWays(new Uint8Array(contactWaysSizeMax + 1).fill(1)).ok).toBe(false)
  })

  test('any bytes never throw, cut ones are refused', () => {
    const bytes = samples.encodedContactWays[1] as Uint8Array
    for (let size = 0; size < bytes.length; size++) expect(decodeContactWays(bytes.slice(0, size)).ok).toBe(false)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (any) => void decodeContactWays(any)))
  })
})
