import type { ContentBody } from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Device } from './model.ts'
import { isOpen } from './outbox.ts'
import type { SettingsTable } from './settings.ts'

const minuteMs = 60_000

/** Mean ms between two messages about nothing. Own choices: 48 and 480 a day. */
export const coverMeanMs: Readonly<Record<'low' | 'high', number>> = { low: 30 * minuteMs, high: 3 * minuteMs }

// Bytes of a message about nothing: a short line. What is sealed is padded (spec/sealed), so a longer one looks the same.
const coverSize = 48
// Devices tried until one can be written to (own choice): those linked, or without a session, cannot.
const triesMax = 16

export interface CoverParts {
  readonly contacts: Contacts
  readonly settings: SettingsTable
  /** Whether a device has tokens of ours to spare: messages about nothing must not use up those of real ones. */
  readonly canSpare: (device: Device) => boolean
  /** Leaves a content in a mailbox of a device (`Parcels.leave`). False when it cannot be now. */
  readonly leave: (device: Device, body: ContentBody) => boolean
}

/**
 * Messages about nothing, at exponentially distributed times (a Poisson process, so that the time of the last one tells
 * nothing of the next) to random devices of contacts, by their mailboxes. The recipient drops them in silence.
 */
export class Cover {
  readonly #context: Context
  readonly #parts: CoverParts
  #mode: string | undefined
  #at = Number.POSITIVE_INFINITY

  constructor(context: Context, parts: CoverParts) {
    this.#context = context
    this.#parts = parts
  }

  /** Starts the waiting anew: a Poisson process has no memory. */
  load(): void {
    this.#mode = undefined
    this.#at = Number.POSITIVE_INFINITY
  }

  wake(): void {
    const { now, jitter } = this.#context
    if (now.mono < this.deadline()) return
    this.#at = this.#next()
    const { contacts, canSpare, leave } = this.#parts
    const devices: Device[] = []
    for (const device of contacts.devices()) {
      const isReachable = device.state === 'listed' && device.mailboxes.length > 0
      if (isReachable && isOpen(device) && canSpare(device)) devices.push(device)
    }
    for (let turn = 0; turn < triesMax && devices.length > 0; turn++) {
      const [device] = devices.splice(Math.floor(jitter.next() * devices.length), 1)
      if (device && leave(device, { type: 'cover', size: coverSize })) return
    }
  }

  /** Monotonic ms, Infinity while it is off. */
  deadline(): number {
    const mode = this.#parts.settings.read('coverTraffic')
    if (mode !== this.#mode) {
      this.#mode = mode
      this.#at = this.#next()
    }
    return this.#at
  }

  #next(): number {
    const mode = this.#mode
    if (mode !== 'low' && mode !== 'high') return Number.POSITIVE_INFINITY
    return this.#context.now.mono - Math.log(1 - this.#context.jitter.next()) * coverMeanMs[mode]
  }
}
