import { createSocket, Socket as UdpSocketClass } from 'node:dgram'
import { appendFileSync } from 'node:fs'
import { Socket } from 'node:net'

/**
 * Loaded before a program (`NODE_OPTIONS=--import=…`): writes every byte that it puts on TCP and UDP into the file
 * `MIAOU_TEST_WIRE`, a line of JSON each, as somebody beside it on the LAN would see them. The native library of WebRTC
 * has sockets of its own, which it does not see.
 */
export interface WireLine {
  readonly process: number
  /** Numbers the sockets of that process. */
  readonly socket: number
  readonly protocol: 'tcp' | 'udp'
  /** Port at this end; 0 while it is not known. */
  readonly localPort: number
  /** Base64. */
  readonly bytes: string
}

const path = process.env['MIAOU_TEST_WIRE'] ?? ''
const numbers = new WeakMap<object, number>()
let last = 0

function write(
  socket: object,
  protocol: WireLine['protocol'],
  localPort: number,
  data: unknown,
  encoding: unknown,
): void {
  const number = numbers.get(socket) ?? ++last
  numbers.set(socket, number)
  const bytes = bytesOf(data, encoding)
  const line: WireLine = { process: process.pid, socket: number, protocol, localPort, bytes: bytes.toString('base64') }
  appendFileSync(path, `${JSON.stringify(line)}\n`)
}

function bytesOf(data: unknown, encoding: unknown): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data.map((part) => bytesOf(part, encoding)))
  if (data instanceof Uint8Array) return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const named = typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
  return Buffer.from(String(data), named)
}

function replace(prototype: object, name: string, look: (self: unknown, args: readonly unknown[]) => void): void {
  const original: unknown = Reflect.get(prototype, name)
  if (typeof original !== 'function') throw new Error(`there is no ${name}`)
  Object.defineProperty(prototype, name, {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]): unknown {
      look(this, args)
      return Reflect.apply(original, this, args)
    },
  })
}

for (const name of ['write', 'end']) {
  replace(Socket.prototype, name, (self, [data, encoding]) => {
    // Pipes to children and terminals are sockets, too: they have no other end on a network.
    if (!(self instanceof Socket) || !(self.connecting || self.remotePort !== undefined)) return
    if (data === undefined || data === null || typeof data === 'function') return
    write(self, 'tcp', self.localPort ?? 0, data, encoding)
  })
}

const udp = createSocket('udp4')
const udpPrototype: object = Object.getPrototypeOf(udp)
udp.close()
replace(udpPrototype, 'send', (self, [data]) => {
  if (self instanceof UdpSocketClass) write(self, 'udp', 0, data, undefined)
})
