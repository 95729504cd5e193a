import { bytesToText, equalBytes, err, type Log, ok, type Result, textToBytes } from '@miaou/core'
import { formatRelayAddress, parseRelayAddress, type RelayAddress, relayUrlLengthMax } from '@miaou/protocol'
import type { SealedDocument } from '../overlay/sealed-document.ts'

/** Own choice: as many as a configuration may name. */
export const addedRelaysMax = 8
/** Bytes of the largest document: a relay id of 22 characters, `@`, the URL and a line feed each. */
export const addedRelaysSizeMax: number = addedRelaysMax * (22 + 1 + relayUrlLengthMax + 1)

export type AddRelayError =
  | { readonly type: 'too-many-relays'; readonly relaysMax: number }
  | { readonly type: 'unwritable'; readonly code: string }

/** The relays a person added by command, in one sealed document: they tell with whom one shares a relay. */
export class AddedRelays {
  readonly #document: SealedDocument
  readonly #log: Log
  #relays: readonly RelayAddress[] = []

  constructor(document: SealedDocument, log: Log) {
    this.#document = document
    this.#log = log
  }

  /** Best first: the last one added. */
  get all(): readonly RelayAddress[] {
    return this.#relays
  }

  /** Reads the document. A damaged one is put aside and logged: reservations are made anew once relays are added again. */
  load(): void {
    const body = this.#document.load()
    const relays = body.ok ? decodeRelays(body.value ?? new Uint8Array(0)) : undefined
    if (relays === undefined) {
      const error = body.ok ? this.#document.putAside('it is no list of relays') : body.error
      this.#log.write('warn', 'relays-damaged', { detail: error.detail })
    }
    this.#relays = relays ?? []
  }

  /** The same relay at another URL takes the place of the one there was. */
  add(relay: RelayAddress): Result<undefined, AddRelayError> {
    const others = this.#relays.filter((known) => !isSame(known, relay))
    if (others.length >= addedRelaysMax) return err({ type: 'too-many-relays', relaysMax: addedRelaysMax })
    return this.#store([relay, ...others])
  }

  /** Whether it was there. */
  remove(relay: RelayAddress): Result<boolean, AddRelayError> {
    const others = this.#relays.filter((known) => !isSame(known, relay))
    if (others.length === this.#relays.length) return ok(false)
    const stored = this.#store(others)
    return stored.ok ? ok(true) : stored
  }

  #store(relays: readonly RelayAddress[]): Result<undefined, AddRelayError> {
    const stored = this.#document.store(textToBytes(relays.map((relay) => `${formatRelayAddress(relay)}\n`).join('')))
    if (!stored.ok) return stored
    this.#relays = relays
    return ok(undefined)
  }
}

/** Undefined for what `AddedRelays` did not write. */
function decodeRelays(bytes: Uint8Array): RelayAddress[] | undefined {
  const lines = bytesToText(bytes)?.split('\n')
  // What ends with a line feed splits into one empty piece more.
  if (lines?.pop() !== '' || lines.length > addedRelaysMax) return undefined
  const relays = lines.map(parseRelayAddress).filter((relay) => relay !== undefined)
  return relays.length === lines.length ? relays : undefined
}

function isSame(a: RelayAddress, b: RelayAddress): boolean {
  return equalBytes(a.relayId, b.relayId)
}
