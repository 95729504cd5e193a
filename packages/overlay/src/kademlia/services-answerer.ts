import { TokenBucket } from '@miaou/core'
import { overlayMessageSizeMax, overlayServiceSizeMax, overlayServicesSize } from '@miaou/protocol'
import type { Core } from './core.ts'
import type { ContactRef, KademliaInput, KademliaMessage } from './interface.ts'
import { Rates } from './rates.ts'

/** Tells relays to whoever asks (spec/overlay.md, Relays): the own one, and one of those known, chosen by lot. */
export class ServicesAnswerer {
  readonly #core: Core
  #own: Uint8Array | undefined
  #known: readonly Uint8Array[] = []
  /** Made for the first question. */
  #rates: { readonly byAddress: Rates; readonly all: TokenBucket } | undefined

  constructor(core: Core) {
    this.#core = core
  }

  set({ own, known }: Extract<KademliaInput, { readonly type: 'services' }>): void {
    this.#own = own !== undefined && isTellable(own) ? own : undefined
    this.#known = known.filter(isTellable).slice(0, this.#core.config.servicesKnownMax)
  }

  answer(from: ContactRef, isProven: boolean, { transaction }: KademliaMessage): void {
    const { counters } = this.#core
    // An answer is larger than its question: only to where the question came from for certain.
    if (!isProven) {
      counters.add('services-refused')
      return
    }
    if (!this.#isWithinRates(from)) {
      counters.add('services-over-rate')
      return
    }
    const isServer = this.#core.isServerFor(from)
    this.#core.answer(from, { type: 'services-response', transaction, isServer, records: this.#choose() })
  }

  clear(): void {
    this.#own = undefined
    this.#known = []
  }

  #choose(): Uint8Array[] {
    const own = this.#own === undefined ? [] : [this.#own]
    const known = this.#known[Math.floor(this.#core.jitter.next() * this.#known.length)]
    const both = known === undefined ? own : [...own, known]
    // Two of the largest do not fit one datagram.
    return overlayServicesSize(both) <= overlayMessageSizeMax ? both : own
  }

  #isWithinRates(from: ContactRef): boolean {
    const { contacts, config, mono } = this.#core
    const { servicesPerAddressPerMinute, servicesPerAddressBurst, servicesRatesMax } = config
    this.#rates ??= {
      byAddress: new Rates(servicesPerAddressPerMinute / 60, servicesPerAddressBurst, servicesRatesMax),
      all: new TokenBucket(config.servicesPerSecond, config.servicesBurst),
    }
    const prefix = contacts.prefix(from)
    // Whoever has one address of IPv6 has a whole network of them.
    const address = contacts.family(from) === 6 && prefix !== 0 ? prefix : contacts.endpoint(from).host
    return this.#rates.byAddress.take(mono, address) && this.#rates.all.take(mono)
  }
}

function isTellable({ length }: Uint8Array): boolean {
  return length > 0 && length <= overlayServiceSizeMax
}
