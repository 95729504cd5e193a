import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { appendFileSync } from 'node:fs'
import { Server, Socket } from 'node:net'

/**
 * Loaded before a program (`NODE_OPTIONS=--import=…`): writes each address that it connects, sends or listens to into the
 * file `MIAOU_TEST_SOCKETS`, a line of JSON each. What the native library of WebRTC opens it does not see.
 */
export interface SocketDeed {
  readonly deed: 'connect' | 'listen' | 'bind' | 'send' | 'join'
  readonly host: string
  readonly port: number
}

const path = process.env['MIAOU_TEST_SOCKETS'] ?? ''
const seen = new Set<string>()

function write(deed: SocketDeed['deed'], host: unknown, port: unknown): void {
  const line = `${JSON.stringify({ deed, host: String(host ?? ''), port: Number(port ?? 0) })}\n`
  if (seen.has(line)) return
  seen.add(line)
  appendFileSync(path, line)
}

/** Replaces a method by one that looks at its arguments first. */
function watch<K extends string, T extends Record<K, (...args: never[]) => unknown>>(
  prototype: T,
  name: K,
  look: (args: readonly unknown[]) => void,
): void {
  const original: unknown = prototype[name]
  if (typeof original !== 'function') throw new Error(`there is no ${name}`)
  Object.defineProperty(prototype, name, {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]): unknown {
      look(args)
      return Reflect.apply(original, this, args)
    },
  })
}

/** The options of a call that may give them as a list of its own, an object, or a port and a host. */
function placeOf([first, second]: readonly unknown[]): { readonly host: unknown; readonly port: unknown } {
  const given: unknown = Array.isArray(first) ? first[0] : first
  if (typeof given !== 'object' || given === null) return { host: second, port: given }
  const { host, address, port, path: socketPath } = given as Readonly<Record<string, unknown>>
  return { host: host ?? address ?? socketPath, port }
}

const udp = createSocket('udp4')
// The class of UDP sockets has no name of its own in the typings.
const udpPrototype = Object.getPrototypeOf(udp) as UdpSocket
udp.close()

for (const [prototype, name, deed] of [
  [Socket.prototype, 'connect', 'connect'],
  [Server.prototype, 'listen', 'listen'],
  [udpPrototype, 'bind', 'bind'],
] as const) {
  watch(prototype as never, name as never, (args) => {
    const { host, port } = placeOf(args)
    write(deed, host, port)
  })
}
watch(udpPrototype as never, 'addMembership' as never, ([group]) => write('join', group, 0))
watch(udpPrototype as never, 'send' as never, (args) => {
  // send(bytes, [offset, length,] port, address)
  const numbers = args.slice(1).filter((each) => typeof each === 'number')
  write(
    'send',
    args.findLast((each) => typeof each === 'string'),
    numbers.at(-1),
  )
})
