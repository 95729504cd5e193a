import { ByteReader, ByteWriter, bytesToHex, equalBytes, hexToBytes, type PeerId } from '@miaou/core'
import type { StartMark } from '@miaou/network'
import {
  decodeStartMark,
  encodeStartMark,
  type SignedStartMark,
  signedStartMarkSize,
  signStartMark,
  verifyStartMark,
} from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Contact, Device } from './model.ts'
import type { Prekeys } from './prekeys.ts'
import { Rates } from './rates.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'

const dayMs = 86_400_000

export interface StartsParts {
  readonly contacts: Contacts
  readonly settings: SettingsTable
  readonly sessions: Sessions
  readonly prekeys: Prekeys
  readonly lanes: Lanes
  readonly journal: Journal
  /** Tells every linked device our announcement again. */
  readonly announceAll: () => void
  /** Tells one linked device, with the later mark that it must hear of. */
  readonly announceTo: (peerId: PeerId) => void
  /** All one-time prekeys are gone: what mailboxes have of them is worth nothing. */
  readonly onPrekeysDropped: () => void
}

/**
 * Starts of devices, counted and signed: a copied home or a restored snapshot cannot be seen from inside, but whoever saw
 * a later start of the device than the one it shows knows it, and can prove it by that start's signature.
 */
export class Starts {
  readonly #context: Context
  readonly #parts: StartsParts
  readonly #copyRates: Rates
  readonly #staleRates: Rates
  /** Devices that showed a start older than one we saw, until they show a newer one. Bounded by `ratesMax`. */
  readonly #stale = new Set<number>()
  /** Names this run of the engine; a copy of the store is another run's. */
  #run: string | undefined
  #mark: StartMark | undefined
  #signed: SignedStartMark | undefined
  #isTold = false
  /** While what mailboxes brought is read: when they accepted it. */
  #toldAt: number | undefined

  constructor(context: Context, parts: StartsParts) {
    this.#context = context
    this.#parts = parts
    const { staleStartsBurst, staleStartRefillMs, copiesBurst, copyRefillMs, ratesMax } = context.limits
    this.#staleRates = new Rates(staleStartsBurst, staleStartRefillMs, ratesMax)
    this.#copyRates = new Rates(copiesBurst, copyRefillMs, 2)
  }

  /** Counts this start, once however often the store is read again: the count of a transaction that failed is not there. */
  load(): void {
    const { settings } = this.#parts
    this.#run ??= bytesToHex(this.#context.random.bytes(16))
    this.#signed = undefined
    this.#isTold = false
    const known = this.#read()
    if (known && settings.read('startRun') === this.#run) this.#mark = known
    else this.#write((known?.counter ?? 0) + 1)
  }

  /** Our own mark as others may show it to us again. */
  signed(): SignedStartMark {
    const { crypto, identity } = this.#context
    if (!this.#mark) this.load()
    this.#signed ??= signStartMark(crypto, identity.deviceKey.secretKey, this.#mark ?? this.#write(1))
    return this.#signed
  }

  /** The later start that a device must hear of; undefined when all is well with it. */
  laterMarkFor(device: Device): SignedStartMark | undefined {
    return this.#stale.has(device.id) ? readSeen(device)?.mark : undefined
  }

  /**
   * What is told within `body` came by a mailbox that accepted it at `acceptedAt`, wall-clock ms: an older start that was
   * still on its way when the device had started again is no copy.
   */
  during<T>(acceptedAt: number, body: () => T): T {
    this.#toldAt = acceptedAt
    try {
      return body()
    } finally {
      this.#toldAt = undefined
    }
  }

  /** What a device of somebody says of its own start, in an announcement or a hello. */
  see(device: Device, told: SignedStartMark): void {
    const known = readSeen(device)
    if (known && isSame(known.mark, told)) {
      this.#stale.delete(device.id)
      return
    }
    if (!verifyStartMark(this.#context.crypto, told, device.key)) {
      this.#context.drop('start-mark-forged')
      return
    }
    const { now, limits } = this.#context
    const toldAt = this.#toldAt ?? now.wall
    if (known && told.counter <= known.mark.counter) {
      // A date later than now is from before the clock went back.
      const isLate = toldAt <= Math.min(known.at, now.wall) + limits.clockSkewMs
      if (this.#toldAt !== undefined && told.counter < known.mark.counter && isLate) return
      this.#seeStale(device)
      return
    }
    device.startMark = writeSeen(told, toldAt)
    this.#parts.contacts.saveDevice(device)
    this.#stale.delete(device.id)
  }

  /** A contact shows us a start of ours that is later than this one: it has our signature, so it cannot be made up. */
  hear(contact: Contact, told: SignedStartMark): void {
    const { crypto, identity } = this.#context
    const own = this.signed()
    if (told.counter < own.counter || isSame(told, own)) return
    if (!verifyStartMark(crypto, told, identity.deviceKey.publicKey)) {
      this.#context.drop('start-mark-forged')
      return
    }
    this.#isCopy(told.counter, contact)
  }

  /** A mailbox says the same, without a proof. */
  stale(seen: number): void {
    const own = this.#mark
    if (!own || !Number.isSafeInteger(seen) || seen < own.counter) return
    this.#isCopy(Math.min(seen, own.counter + this.#context.limits.startLeapMax), undefined)
  }

  /** Tells the mailboxes' engine which start this is. */
  flush(): void {
    if (this.#isTold || !this.#mark) return
    this.#isTold = true
    this.#context.output({ type: 'start', mark: this.#mark })
  }

  #seeStale(device: Device): void {
    const { journal, sessions, lanes, announceTo } = this.#parts
    const { contact } = device
    this.#context.drop('stale-start')
    if (contact.state !== 'contact') return
    if (!this.#staleRates.take(device.peerId, this.#context.now.mono)) {
      this.#context.drop('stale-start-rate')
      return
    }
    if (this.#stale.size >= this.#context.limits.ratesMax) this.#stale.clear()
    this.#stale.add(device.id)
    journal.noticeOnce('contact-restored', contact.account, dayMs)
    // First, so that the bundle they are asked for holds none of the keys that they throw away.
    if (device.lane) announceTo(device.peerId)
    else lanes.oweHello(device)
    sessions.renew(device)
    lanes.restart(device)
  }

  #isCopy(seen: number, teller: Contact | undefined): void {
    const { sessions, prekeys, lanes, journal, onPrekeysDropped, announceAll } = this.#parts
    this.#context.drop('copy-detected')
    // Contacts prove it, mailboxes do not: these have a rate of their own.
    if (!this.#copyRates.take(teller ? 'contact' : 'mailbox', this.#context.now.mono)) {
      this.#context.drop('copy-detected-rate')
      return
    }
    this.#write(seen + 1)
    journal.noticeOnce('copy-detected', teller?.account, dayMs)
    // The later life may have used any of them: none is accepted again.
    prekeys.deleteOneTime()
    sessions.renewAll()
    onPrekeysDropped()
    announceAll()
    for (const device of teller?.devices ?? []) {
      if (!device.lane && device.state === 'listed') lanes.oweHello(device)
    }
    for (const device of [...lanes.linked()]) lanes.restart(device)
  }

  #read(): StartMark | undefined {
    const { settings } = this.#parts
    const counter = Number(settings.read('startCounter'))
    const nonce = hexToBytes(settings.read('startNonce') ?? '')
    return Number.isSafeInteger(counter) && counter > 0 && nonce?.length === 16 ? { counter, nonce } : undefined
  }

  #write(counter: number): StartMark {
    const { settings } = this.#parts
    const mark = { counter: Math.min(counter, Number.MAX_SAFE_INTEGER), nonce: this.#context.random.bytes(16) }
    settings.write('startCounter', String(mark.counter))
    settings.write('startNonce', bytesToHex(mark.nonce))
    settings.write('startRun', this.#run ?? '')
    this.#mark = mark
    this.#signed = undefined
    this.#isTold = false
    return mark
  }
}

/** Column `start_mark`: the signed mark, and the wall-clock ms at which the device was at that start, u64. */
function writeSeen(mark: SignedStartMark, at: number): Uint8Array {
  const wall = Math.max(0, Math.min(Math.round(at), Number.MAX_SAFE_INTEGER))
  return new ByteWriter(signedStartMarkSize + 8).bytes(encodeStartMark(mark)).u64(wall).finish()
}

function readSeen(device: Device): { readonly mark: SignedStartMark; readonly at: number } | undefined {
  if (!device.startMark) return undefined
  const reader = new ByteReader(device.startMark)
  const mark = decodeStartMark(reader.bytes(signedStartMarkSize))
  const at = reader.u64()
  return mark && reader.finished() ? { mark, at } : undefined
}

/** Signatures need not be unique: it is the start that counts. */
function isSame(a: StartMark, b: StartMark): boolean {
  return a.counter === b.counter && equalBytes(a.nonce, b.nonce)
}
