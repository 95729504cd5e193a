import { createLibsodiumCrypto } from '@miaou/crypto'
import { createKeyring, defaultCost, MemoryStorage } from '@miaou/keyring'
import { deviceListEntriesMax, deviceListEntrySizeMax } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { decodeDeviceList, encodeDeviceList } from '../src/peer/identity.ts'
import { hostStretch } from '../src/peer/passphrase.ts'
import { systemRandom } from '../src/peer/system.ts'

const entry = (size: number) => new Uint8Array(size).fill(7)

describe('the device list of a home', () => {
  test('of 64 entries of the largest size fits the keyring and comes back', async () => {
    const crypto = await createLibsodiumCrypto()
    const storage = new MemoryStorage()
    const stretch = hostStretch(crypto)
    const cost = { ...defaultCost, memoryKiB: 8, passes: 1 }
    const keyring = createKeyring({ crypto, random: systemRandom, storage, passphrase: undefined, stretch, cost })
    if (!keyring.ok) throw new Error(keyring.error.type)
    const list = Array.from({ length: deviceListEntriesMax }, () => entry(deviceListEntrySizeMax))
    expect(keyring.value.put('self.device-list', 'document', encodeDeviceList(list), { createdAt: 1 }).ok).toBe(true)
    const stored = keyring.value.get('self.device-list')
    expect(stored.ok && decodeDeviceList(stored.value.secret)).toEqual(list)
  })

  test.each([
    ['one entry too many', encodeDeviceList(Array.from({ length: deviceListEntriesMax + 1 }, () => entry(1)))],
    ['an entry one byte too large', encodeDeviceList([entry(deviceListEntrySizeMax + 1)])],
    ['a cut one', encodeDeviceList([entry(9)]).subarray(0, 8)],
    ['one with bytes behind it', Uint8Array.of(...encodeDeviceList([entry(9)]), 0)],
  ])('is refused: %s', (_, bytes) => {
    expect(decodeDeviceList(bytes)).toBeUndefined()
  })
})
