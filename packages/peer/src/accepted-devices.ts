import type { AccountId, PeerId } from '@miaou/core'
import type { ContactView } from '@miaou/messaging'

export type AcceptedDevices = ReadonlyMap<AccountId, ReadonlySet<PeerId>>

/** The devices of contacts, and whose each is: a list may name a device that shows another account. */
export function acceptedDevices(contacts: readonly ContactView[]): AcceptedDevices {
  const accepted = new Map<AccountId, ReadonlySet<PeerId>>()
  for (const { account, devices, state } of contacts) {
    if (state === 'contact') accepted.set(account, new Set(devices))
  }
  return accepted
}
