import { keyToPeerId } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { systemClock, systemRandom } from '@miaou/host-node'
import { defaultLinkLimits, Link, type LinkIdentity, type LinkOutput } from '@miaou/network'
import { type FrameType, signDeviceCertificate } from '@miaou/protocol'
import { until } from './until.ts'

const subprotocol = 'miaou-v0.2.0'

/** Fresh keys of a device that nobody knows. */
export async function strangerIdentity(): Promise<LinkIdentity> {
  const crypto = await createLibsodiumCrypto()
  const fresh = () => systemRandom.bytes(32)
  const device = crypto.ed25519KeyPair(fresh())
  const linkKey = crypto.x25519KeyPair(fresh())
  return {
    peerId: keyToPeerId(device.publicKey),
    certificate: signDeviceCertificate(crypto, device.secretKey, {
      accountKey: crypto.ed25519KeyPair(fresh()).publicKey,
      linkKey: linkKey.publicKey,
      sessionKey: crypto.x25519KeyPair(fresh()).publicKey,
      createdAt: systemClock.now().wall,
    }),
    linkKey,
  }
}

/** A WebSocket to a peer on which a test writes what it likes. */
export class RawPipe {
  readonly #socket: WebSocket
  #onMessage: (bytes: Uint8Array) => void = () => undefined

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('message', ({ data }) => this.#onMessage(new Uint8Array(data as ArrayBuffer)))
    socket.addEventListener('error', () => undefined)
  }

  /** Resolves when it is open; rejects when the peer refuses it. */
  static async open(address: string): Promise<RawPipe> {
    const pipe = new RawPipe(new WebSocket(address, subprotocol))
    await until('the WebSocket to open', () => {
      if (pipe.isClosed) throw new Error('the peer refused the WebSocket')
      return pipe.#socket.readyState === WebSocket.OPEN ? true : undefined
    })
    return pipe
  }

  get isClosed(): boolean {
    return this.#socket.readyState >= WebSocket.CLOSING
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener
  }

  write(bytes: Uint8Array | string): void {
    this.#socket.send(typeof bytes === 'string' ? bytes : bytes.slice())
  }

  close(): void {
    this.#socket.close()
  }

  /** Waits until the peer has had enough. */
  async closed(): Promise<void> {
    await until('the peer to close the pipe', () => (this.isClosed ? true : undefined))
  }
}

/** The initiator's end of a link, spoken by the project's own engine over a pipe that the test can spoil. */
export class RawPeer {
  readonly pipe: RawPipe
  /** Every pipe message written, in order: the handshake first. */
  readonly sent: Uint8Array[] = []
  readonly said: LinkOutput[] = []
  readonly #link: Link

  private constructor(pipe: RawPipe, link: Link) {
    this.pipe = pipe
    this.#link = link
    pipe.onMessage((bytes) => this.#perform(link.receive(systemClock.now(), 0, bytes)))
  }

  /** Opens a pipe and begins the handshake. */
  static async dial(address: string, identity: LinkIdentity): Promise<RawPeer> {
    const pipe = await RawPipe.open(address)
    const link = new Link(
      {
        crypto: await createLibsodiumCrypto(),
        random: systemRandom,
        identity,
        features: ['chat'],
        role: 'initiator',
        padded: true,
        expected: undefined,
        binding: undefined,
        pseudonymsAdmitted: false,
        channels: 1,
        limits: defaultLinkLimits,
      },
      systemClock.now(),
    )
    const peer = new RawPeer(pipe, link)
    peer.#perform(link.start(systemClock.now()))
    return peer
  }

  get isUp(): boolean {
    return this.#link.isUp
  }

  async up(): Promise<this> {
    await until('the link to be up', () => {
      if (this.pipe.isClosed) throw new Error('the peer closed the link')
      return this.isUp ? true : undefined
    })
    return this
  }

  send(frameType: FrameType, payload: Uint8Array): void {
    this.#perform(this.#link.send(systemClock.now(), frameType, payload, false) ?? [])
  }

  #perform(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') {
        this.sent.push(output.bytes.slice())
        if (!this.pipe.isClosed) this.pipe.write(output.bytes)
      } else {
        this.said.push(output)
        if (output.type === 'proven') this.#perform(this.#link.accept(systemClock.now()))
      }
    }
  }
}
