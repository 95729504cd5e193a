import { equalBytes } from '@miaou/core'
import {
  decodePeerResponse,
  encodeContent,
  encodePeerQuery,
  frameTypes,
  type SignedPrekeyBundle,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Hellos } from './hellos.ts'
import { type Holdings, helloPosition } from './holdings.ts'
import type { Contact, Device, Lane, Session } from './model.ts'
import { isOpen, type Outbox, rescan } from './outbox.ts'
import type { Parcels } from './parcels.ts'
import { noMessage } from './post.ts'
import type { Sessions } from './sessions.ts'

/** Sending to linked devices: gets a session, says hello, lets the outbox fill what room there is. */
export class Lanes {
  readonly #context: Context
  readonly #contacts: Contacts
  readonly #sessions: Sessions
  readonly #outbox: Outbox
  readonly #parcels: Parcels
  readonly #holdings: Holdings
  readonly #hellos: Hellos
  readonly #open = new Set<Device>()
  #requestId = 0

  constructor(
    context: Context,
    parts: {
      contacts: Contacts
      sessions: Sessions
      outbox: Outbox
      parcels: Parcels
      holdings: Holdings
      hellos: Hellos
    },
  ) {
    this.#context = context
    this.#contacts = parts.contacts
    this.#sessions = parts.sessions
    this.#outbox = parts.outbox
    this.#parcels = parts.parcels
    this.#holdings = parts.holdings
    this.#hellos = parts.hellos
  }

  /** Forgets all lanes; the links make new ones. */
  reset(): void {
    this.#open.clear()
  }

  attach(device: Device): void {
    if (device.lane) return
    device.lane = {
      inFlight: new Map(),
      inFlightSize: 0,
      sendCount: 0,
      settledOrder: 0,
      settledAt: Number.NEGATIVE_INFINITY,
      dueAt: Number.POSITIVE_INFINITY,
      scannedTo: 0,
      hasMore: true,
      gateAt: undefined,
      rescanAt: Number.POSITIVE_INFINITY,
      isParked: false,
      probe: undefined,
      readsTo: 0,
      readsTold: [],
      helloAt: this.#context.now.mono,
      helloTries: 0,
      query: undefined,
      wantsRestart: false,
      wasPresent: false,
    }
    this.#open.add(device)
    this.#context.touch(device)
    this.pump(device)
  }

  detach(device: Device): void {
    if (device.lane) this.#parcels.unlinked(device)
    device.lane = undefined
    this.#open.delete(device)
  }

  linked(): Iterable<Device> {
    return this.#open
  }

  /** Does all that can be done now for a device. */
  pump(device: Device): void {
    const { lane } = device
    if (!lane) return
    const session = this.#sessions.sending(device)
    const hasWork = isOpen(device) && (device.helloId !== undefined || this.#hasQueued(device, lane))
    if (lane.wantsRestart || (!session && hasWork)) this.#query(device, lane)
    else lane.query = undefined
    if (!session || !isOpen(device)) return
    if (device.helloId && lane.helloAt <= this.#context.now.mono) this.#hello(device, lane, session)
    if (this.#outbox.fill(device, lane, session).isSilent) this.restart(device)
  }

  /** A deadline passed: looks at every lane that has one. */
  wake(): void {
    const { mono } = this.#context.now
    for (const device of this.#open) {
      const { lane } = device
      if (!lane || this.#laneDeadline(device, lane) > mono) continue
      if (lane.rescanAt <= mono) rescan(lane)
      this.pump(device)
    }
  }

  /** The clock leapt: what waits for an hour of the wall clock is looked at again. */
  rescanAll(): void {
    for (const { lane } of this.#open) if (lane) lane.rescanAt = this.#context.now.mono
  }

  deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    for (const device of this.#open) {
      if (device.lane) deadline = Math.min(deadline, this.#laneDeadline(device, device.lane))
    }
    return deadline
  }

  /** We owe every device of a person a hello with what is true now. */
  oweHelloToAll(contact: Contact): void {
    for (const device of contact.devices) if (device.state !== 'revoked') this.oweHello(device)
  }

  oweHello(device: Device): void {
    device.helloId = this.#context.random.bytes(16)
    this.#contacts.saveDevice(device)
    this.#holdings.drop({ message: helloPosition, device: device.id })
    this.#context.touch(device)
    if (!device.lane) return
    device.lane.helloAt = this.#context.now.mono
    device.lane.helloTries = 0
    this.pump(device)
  }

  /** What a device said to our hello. */
  helloAnswered(device: Device, isAccepted: boolean): void {
    if (isAccepted) {
      device.helloId = undefined
      this.#contacts.saveDevice(device)
      this.#holdings.drop({ message: helloPosition, device: device.id })
    } else if (device.lane) {
      // They will say hello themselves when they accept us; the next link asks again.
      device.lane.helloAt = Number.POSITIVE_INFINITY
    }
  }

  /** They know us now: what they made wait goes out. */
  accepted(device: Device): void {
    this.#outbox.release(device)
    if (device.helloId && device.lane) {
      device.lane.helloAt = this.#context.now.mono
      device.lane.helloTries = 0
    }
    this.pump(device)
  }

  /** A message of theirs did not decrypt; after some, a new session replaces those there are. */
  failed(device: Device): void {
    device.failures += 1
    if (device.failures >= this.#context.limits.failuresMax) this.restart(device)
  }

  restart(device: Device): void {
    const { now, limits } = this.#context
    const { lane } = device
    if (lane?.wantsRestart || now.mono < device.restartAt) return
    device.restartAt = now.mono + Math.min(limits.restartWaitMs * 2 ** device.restarts, limits.restartWaitMsMax)
    device.restarts += 1
    if (!lane) {
      this.#parcels.restart(device)
      return
    }
    lane.wantsRestart = true
    this.#query(device, lane)
  }

  response(device: Device, payload: Uint8Array): void {
    const { crypto } = this.#context
    const { lane } = device
    const response = decodePeerResponse(payload)
    if (!response.ok) {
      this.#context.drop('malformed-response')
      return
    }
    if (!lane?.query || response.value.requestId !== lane.query.requestId) {
      this.#context.drop('stray-response')
      return
    }
    // Refused, for its rate or because it does not know our device yet: asked again when the wait is over.
    if (response.value.body === undefined) return
    const bundle = verifyPrekeyBundle(crypto, response.value.body, device.key)
    if (!bundle.ok) {
      this.#context.drop(`bundle-${bundle.error.type}`)
      return
    }
    if (!device.sessionKey || !equalBytes(bundle.value.sessionKey, device.sessionKey)) {
      this.#context.drop('bundle-session-key')
      return
    }
    lane.query = undefined
    this.#start(device, lane, bundle.value)
  }

  #start(device: Device, lane: Lane, bundle: SignedPrekeyBundle): void {
    if (!this.#sessions.initiate(device, bundle)) return
    if (lane.wantsRestart) {
      lane.wantsRestart = false
      this.#outbox.restart(lane)
      lane.helloAt = this.#context.now.mono
      this.#say(device, { type: 'receipt', status: 'delivered', messageIds: [noMessage] })
    }
    this.pump(device)
  }

  /** Another device's new session replaced the one we sent in: what is on its way is sent again in it. */
  replaced(device: Device): void {
    if (device.lane) this.#outbox.restart(device.lane)
    else this.#parcels.replaced(device)
    this.pump(device)
  }

  #say(device: Device, body: Parameters<typeof encodeContent>[0]['body']): void {
    const { random, now } = this.#context
    const session = this.#sessions.sending(device)
    if (!session) return
    const plaintext = encodeContent({ messageId: random.bytes(16), sentAt: Math.round(now.wall), body })
    this.#context.send(device.peerId, frameTypes.deliveryReceipt, this.#sessions.seal(session, plaintext))
  }

  #hello(device: Device, lane: Lane, session: Session): void {
    const { now, limits } = this.#context
    const { helloId } = device
    const body = this.#hellos.body(device)
    if (!helloId || !body) return
    const plaintext = encodeContent({ messageId: helloId, sentAt: Math.round(now.wall), body })
    this.#context.send(device.peerId, frameTypes.directMessage, this.#sessions.seal(session, plaintext))
    const waitMs = limits.directRetriesMs[lane.helloTries]
    const backoffMs = limits.backoffStepMs * 2 ** Math.min(lane.helloTries, limits.backoffAttemptsMax)
    lane.helloAt = now.mono + (waitMs ?? backoffMs)
    lane.helloTries += 1
  }

  #query(device: Device, lane: Lane): void {
    const { now, limits } = this.#context
    if (lane.query && lane.query.dueAt > now.mono) return
    const tries = lane.query?.tries ?? 0
    this.#requestId = (this.#requestId + 1) >>> 0
    const waitMs = Math.min(limits.queryWaitMs * 2 ** tries, limits.queryWaitMsMax)
    lane.query = { requestId: this.#requestId, dueAt: now.mono + waitMs, tries: tries + 1 }
    const query = encodePeerQuery({ requestId: this.#requestId, want: 'prekey-bundle' })
    this.#context.send(device.peerId, frameTypes.peerQuery, query)
  }

  #hasQueued(device: Device, lane: Lane): boolean {
    if (lane.inFlight.size > 0) return true
    if (!lane.hasMore) return false
    lane.hasMore = this.#outbox.hasWaiting(device)
    return lane.hasMore
  }

  #laneDeadline(device: Device, lane: Lane): number {
    if (lane.query) return Math.min(lane.query.dueAt, this.#sessionDeadline(device, lane))
    return this.#sessionDeadline(device, lane)
  }

  #sessionDeadline(device: Device, lane: Lane): number {
    // Without a session, or to one who must not be written to, nothing of this could be sent.
    const hasSession = device.sessions !== undefined && this.#sessions.sending(device) !== undefined
    if (!isOpen(device) || !hasSession) return Number.POSITIVE_INFINITY
    const gateAt = (lane.hasMore ? lane.gateAt : undefined) ?? Number.POSITIVE_INFINITY
    return Math.min(gateAt, lane.dueAt, lane.rescanAt, device.helloId ? lane.helloAt : Number.POSITIVE_INFINITY)
  }
}
