import type { EventEmitter } from 'node:events'
import { Bonjour } from 'bonjour-service'
import type { MdnsRecord, MdnsService } from './service.ts'

export type OnPacket = (packet: unknown, sender: string) => void

/**
 * bonjour-service on one IPv4 interface. It is bound to every address but joins and sends on one: bound to the
 * interface's own address it would hear no multicast (Linux), and without an interface it would send on the default
 * one only.
 */
export class MdnsResponder {
  readonly #service: Pick<MdnsService<unknown>, 'type' | 'protocol' | 'name'>
  readonly #bonjour: Bonjour
  readonly #mdns: EventEmitter & { query(name: string, type: string): void }
  readonly #ready: Promise<string | undefined>
  #isAdvertising = false

  constructor(
    service: Pick<MdnsService<unknown>, 'type' | 'protocol' | 'name'>,
    interfaceAddress: string,
    onPacket: OnPacket,
  ) {
    this.#service = service
    // `type` is the socket's here, handed through to multicast-dns.
    const options = { type: 'udp4', interface: interfaceAddress, bind: '0.0.0.0' }
    // Without a callback a failed send throws: an interface that just went down is no reason to end the process.
    this.#bonjour = new Bonjour(options, () => undefined)
    this.#mdns = this.#bonjour['server'].mdns
    this.#ready = new Promise((resolve) => {
      this.#mdns.on('ready', () => resolve(undefined))
      this.#mdns.on('error', (error: Error) => resolve(error.message))
    })
    this.#mdns.on('response', (packet: unknown, { address }: { address: string }) => onPacket(packet, address))
  }

  /** Resolves to undefined when the socket is bound, else to the reason in words. */
  ready(): Promise<string | undefined> {
    return this.#ready
  }

  query(): void {
    this.#mdns.query(this.#service.name, 'PTR')
  }

  advertise({ instanceName: name, port, text: txt }: MdnsRecord): void {
    this.#isAdvertising = true
    const { type, protocol } = this.#service
    // A host name of its own: the machine's would tell who owns it. No probing: instance names do not clash.
    this.#bonjour.publish({ name, type, protocol, port, host: `${name}.local`, txt: { ...txt }, probe: false })
  }

  /** Says goodbye for what was advertised. */
  async withdraw(): Promise<void> {
    if (!this.#isAdvertising) return
    this.#isAdvertising = false
    await new Promise<void>((resolve) => this.#bonjour.unpublishAll(() => resolve()))
  }

  async stop(): Promise<void> {
    await this.withdraw()
    await new Promise<void>((resolve) => this.#bonjour.destroy(() => resolve()))
  }
}
