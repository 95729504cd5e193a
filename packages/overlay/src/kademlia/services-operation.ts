import type { Core } from './core.ts'
import type { KademliaMessage } from './interface.ts'
import type { Pending, RequestOwner } from './requests.ts'

/** The command `services`. */
export class ServicesOperation implements RequestOwner {
  readonly #core: Core
  readonly #id: number
  readonly #ended: () => void

  constructor(core: Core, id: number, ended: () => void) {
    this.#core = core
    this.#id = id
    this.#ended = ended
  }

  answered(_pending: Pending, message: KademliaMessage): void {
    this.#ended()
    const records = message.type === 'services-response' ? message.records.map((record) => record.slice()) : []
    this.#core.reply(this.#id, { type: 'services', records })
  }

  late(): void {
    // There is nobody else to ask.
  }

  failed(): void {
    this.#ended()
    this.#core.reply(this.#id, { type: 'failed', error: { type: 'timeout' } })
  }

  stopped(): void {
    this.#core.reply(this.#id, { type: 'failed', error: { type: 'stopped' } })
  }
}
