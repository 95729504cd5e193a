import type { KeyPair } from '@miaou/crypto'
import {
  type DeviceList,
  type DeviceListAction,
  type DeviceListEntry,
  deviceListEntriesMax,
  devicesMax,
  hashDeviceListEntry,
  mergeDeviceLists,
  signDeviceListEntry,
  verifyDeviceList,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createWireSamples, sampleBytes } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium as crypto } from './backends.ts'

const { account, device, secondDevice, deviceList } = createWireSamples(crypto)
const keyPair = (name: string) => crypto.ed25519KeyPair(sampleBytes(crypto, name, 32))
const third = keyPair('third')

interface Step {
  readonly action: DeviceListAction
  readonly of: KeyPair
  readonly by: KeyPair
  readonly manages?: boolean
  readonly name?: string
}

/** Signs `steps` on top of `entries`. */
function extend(entries: readonly Uint8Array[], ...steps: readonly (Step & Partial<DeviceListEntry>)[]): Uint8Array[] {
  const chain = [...entries]
  for (const { of: subject, by, manages, name, ...rest } of steps) {
    const last = chain.at(-1)
    const entry: DeviceListEntry = {
      accountKey: account.publicKey,
      deviceKey: subject.publicKey,
      deviceName: name ?? '',
      height: chain.length,
      previous: last === undefined ? new Uint8Array(32) : hashDeviceListEntry(crypto, last),
      signer: by === account ? 'account' : by.publicKey,
      rights: manages ? ['manage-devices'] : [],
      createdAt: chain.length,
      ...rest,
    }
    chain.push(signDeviceListEntry(crypto, by.secretKey, entry))
  }
  return chain
}

const verify = (entries: readonly Uint8Array[]) => verifyDeviceList(crypto, account.publicKey, entries)

function verified(entries: readonly Uint8Array[]): DeviceList {
  const list = verify(entries)
  if (!list.ok) throw new Error(`refused: ${list.error.type}`)
  return list.value
}

const first = extend([], { action: 'add', of: device, by: account, manages: true, name: 'laptop' })
const both = extend(first, { action: 'add', of: secondDevice, by: account, manages: true, name: 'phone' })

describe('device list', () => {
  test('[I5] two devices, one revoked: the list tells what its entries said', () => {
    const list = verified(deviceList)
    expect(list.height).toBe(4)
    expect(list.devices.map(({ name, rights, revoked }) => [name, rights.length, revoked])).toEqual([
      ['laptop', 0, true],
      ['téléphone', 1, false],
      ['tablet', 0, false],
    ])
    expect(list.head).toEqual(hashDeviceListEntry(crypto, deviceList[4] as Uint8Array))
  })

  test('[I6] every entry continues the one before', () => {
    const error = (index: number) => ({ ok: false, error: { type: 'broken-chain', index } })
    expect(verify(deviceList.slice(1))).toEqual(error(0))
    expect(verify([deviceList[0] as Uint8Array, deviceList[2] as Uint8Array])).toEqual(error(1))
    const step = { action: 'add', of: secondDevice, by: account } as const
    expect(verify(extend(first, { ...step, height: 2 }))).toEqual(error(1))
    expect(verify(extend(first, { ...step, previous: new Uint8Array(32) }))).toEqual(error(1))
    expect(verify(extend(first, { ...step, accountKey: third.publicKey }))).toEqual(error(1))
    expect(verifyDeviceList(crypto, third.publicKey, first)).toEqual(error(0))
    expect(verify([])).toEqual({ ok: false, error: { type: 'empty' } })
  })

  test('[I7] only the account begins a list, and with an add', () => {
    const error = { ok: false, error: { type: 'not-allowed', index: 0 } }
    expect(verify(extend([], { action: 'add', of: device, by: device }))).toEqual(error)
    expect(verify(extend([], { action: 'revoke', of: device, by: account }))).toEqual(error)
  })

  test('[I7] a device signs only while it is listed, not revoked and allowed to', () => {
    const error = (index: number) => ({ ok: false, error: { type: 'not-allowed', index } })
    const add = { action: 'add', of: third } as const
    expect(verify(extend(both, { ...add, by: secondDevice })).ok).toBe(true)
    expect(verify(extend(first, { ...add, by: secondDevice }))).toEqual(error(1))
    const undelegated = extend(both, { action: 'delegate', of: secondDevice, by: device })
    expect(verify(extend(undelegated, { ...add, by: secondDevice }))).toEqual(error(3))
    const revoked = extend(both, { action: 'revoke', of: secondDevice, by: device })
    expect(verify(extend(revoked, { ...add, by: secondDevice }))).toEqual(error(3))
  })

  test('[I7] an entry that another key signed is refused', () => {
    const forged = extend(first, { action: 'add', of: secondDevice, by: device, signer: 'account' })
    expect(verify(forged)).toEqual({ ok: false, error: { type: 'invalid-signature', index: 1 } })
  })

  test('[I7] a key is listed once, and only what is there is revoked or given rights', () => {
    const error = (index: number) => ({ ok: false, error: { type: 'wrong-device', index } })
    expect(verify(extend(first, { action: 'add', of: device, by: account }))).toEqual(error(1))
    expect(verify(extend(first, { action: 'revoke', of: third, by: account }))).toEqual(error(1))
    expect(verify(extend(first, { action: 'delegate', of: third, by: account }))).toEqual(error(1))
    const revoked = extend(both, { action: 'revoke', of: device, by: account })
    expect(verify(extend(revoked, { action: 'add', of: device, by: account }))).toEqual(error(3))
    expect(verify(extend(revoked, { action: 'revoke', of: device, by: account }))).toEqual(error(3))
  })

  test('[I1] keys that name nobody are refused', () => {
    const nobody = { publicKey: new Uint8Array(32).fill(255), secretKey: new Uint8Array(32) }
    const error = (index: number) => ({ ok: false, error: { type: 'inadmissible-key', index } })
    expect(verify(extend(first, { action: 'add', of: nobody, by: account }))).toEqual(error(1))
    expect(verify(extend(first, { action: 'add', of: account, by: account }))).toEqual(error(1))
    expect(verifyDeviceList(crypto, nobody.publicKey, first)).toEqual(error(0))
  })

  test('[I5] 32 devices fit, a 33rd does not', () => {
    const step = (index: number) => ({ action: 'add', of: keyPair(`device ${index}`), by: account }) as const
    const full = extend(first, ...Array.from({ length: devicesMax - 1 }, (_, index) => step(index)))
    expect(verified(full).devices.length).toBe(32)
    const error = { type: 'too-many-devices', countMax: 32 }
    expect(verify(extend(full, step(99)))).toEqual({ ok: false, error })
  })

  test('[I5] 64 entries fit, a 65th does not', () => {
    const steps = Array.from({ length: deviceListEntriesMax - 1 }, (_, index) => {
      return { action: 'delegate', of: device, by: account, manages: index % 2 === 0 } as const
    })
    const full = extend(first, ...steps)
    expect(verified(full).height).toBe(63)
    const more = extend(full, { action: 'revoke', of: device, by: account })
    expect(verify(more)).toEqual({ ok: false, error: { type: 'too-many-entries', countMax: 64 } })
  })
})

describe('two lists of one account', () => {
  const merge = (a: readonly Uint8Array[], b: readonly Uint8Array[]) => {
    const [left, right] = [verified(a), verified(b)]
    const merged = mergeDeviceLists(left, right)
    // The answer does not depend on who asks.
    const mirrored = mergeDeviceLists(right, left)
    expect(mirrored).toEqual(merged)
    return merged
  }
  const addThird = { action: 'add', of: third, by: device } as const

  test('[I8] the longer one counts where it continues the other', () => {
    expect(merge(first, both)).toEqual({ ok: true, value: verified(both) })
    expect(merge(both, both)).toEqual({ ok: true, value: verified(both) })
  })

  test('[I8] at equal height the entry of the account wins, however long the other side', () => {
    const byAccount = extend(both, { action: 'add', of: third, by: account })
    const byDevice = extend(both, addThird, { action: 'add', of: keyPair('fourth'), by: device })
    expect(merge(byAccount, byDevice)).toEqual({ ok: true, value: verified(byAccount) })
  })

  test('[I8] between devices a revocation wins', () => {
    const revocation = extend(both, { action: 'revoke', of: secondDevice, by: device })
    const addition = extend(both, { action: 'add', of: third, by: secondDevice })
    expect(merge(revocation, addition)).toEqual({ ok: true, value: verified(revocation) })
  })

  test('[I8] a device that the account revoked cannot undo it from before', () => {
    const honest = extend(both, addThird, { action: 'revoke', of: secondDevice, by: account })
    const forged = extend(both, { action: 'revoke', of: device, by: secondDevice })
    expect(merge(honest, forged)).toEqual({ ok: true, value: verified(honest) })
  })

  test('[I8] what no rule decides is a fork, and says whether the account signed both sides', () => {
    const mutual = [
      extend(both, { action: 'revoke', of: secondDevice, by: device }),
      extend(both, { action: 'revoke', of: device, by: secondDevice }),
    ] as const
    const fork = (accountSigned: boolean) => ({ ok: false, error: { type: 'fork', height: 2, accountSigned } })
    expect(merge(...mutual)).toEqual(fork(false))
    const twice = ['fourth', 'fifth'].map((name) => extend(both, { action: 'add', of: keyPair(name), by: account }))
    expect(merge(twice[0] as Uint8Array[], twice[1] as Uint8Array[])).toEqual(fork(true))
  })

  test('[I8] lists of two accounts do not merge', () => {
    const other: DeviceList = { ...verified(first), accountKey: third.publicKey }
    const error = { type: 'different-accounts' }
    expect(mergeDeviceLists(verified(first), other)).toEqual({ ok: false, error })
  })
})
