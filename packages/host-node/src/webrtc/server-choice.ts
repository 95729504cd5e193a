import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { encodeStunMessage, looksLikeStun, stunMethods, stunTransactionSize } from '@miaou/protocol'
import type { IceUrl } from '../nat/ice-url.ts'

export interface ServerChoiceLimits {
  /** Time that UDP, the better way, may take before TCP or TLS is taken. Guess: above most round trips. */
  readonly udpHeadStartMs: number
  /** Time after which no way counts as working. */
  readonly timeoutMs: number
}

export const defaultServerChoiceLimits: ServerChoiceLimits = { udpHeadStartMs: 300, timeoutMs: 1_500 }

/**
 * The first way to a server that works from here, UDP before TCP and TLS; undefined where none does. For a library that
 * takes one server of a kind only, and waits for a blocked one.
 */
export function chooseServer(
  ways: readonly IceUrl[],
  limits: Partial<ServerChoiceLimits> = {},
): Promise<IceUrl | undefined> {
  const { udpHeadStartMs, timeoutMs } = { ...defaultServerChoiceLimits, ...limits }
  if (ways.length === 0) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const closers: (() => void)[] = []
    let streamWay: IceUrl | undefined
    let isUdpWaitedFor = ways.some(({ transport }) => transport === 'udp')
    const settle = (way: IceUrl | undefined) => {
      clearTimeout(headStart)
      clearTimeout(end)
      for (const close of closers) close()
      resolve(way)
    }
    const headStart = setTimeout(() => {
      isUdpWaitedFor = false
      if (streamWay !== undefined) settle(streamWay)
    }, udpHeadStartMs)
    const end = setTimeout(() => settle(streamWay), timeoutMs)
    for (const way of ways) {
      if (way.transport === 'udp') closers.push(tryUdp(way, () => settle(way)))
      else {
        closers.push(
          tryStream(way, () => {
            streamWay ??= way
            if (!isUdpWaitedFor) settle(streamWay)
          }),
        )
      }
    }
  })
}

/** Asks for a STUN answer, which a TURN server gives without credentials. Returns what ends the try. */
function tryUdp({ host, port }: IceUrl, onAnswer: () => void): () => void {
  const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4')
  const request = encodeStunMessage({
    class: 'request',
    method: stunMethods.binding,
    transaction: Uint8Array.from(randomBytes(stunTransactionSize)),
    attributes: [],
    hasFingerprint: false,
  })
  let isClosed = false
  const send = () => {
    if (!isClosed) socket.send(request, port, host, () => undefined)
  }
  // Its only use is to be told apart from silence: what it says is not believed.
  socket.on('message', (bytes) => {
    if (looksLikeStun(bytes) && bytes.subarray(8, 20).equals(request.subarray(8, 20))) onAnswer()
  })
  socket.on('error', () => undefined)
  send()
  const again = setInterval(send, 100)
  return () => {
    if (isClosed) return
    isClosed = true
    clearInterval(again)
    socket.close()
  }
}

function tryStream({ host, port, transport }: IceUrl, onConnected: () => void): () => void {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket =
    transport === 'tls'
      ? connectTls({ host, port, ...servername }, onConnected)
      : connectTcp({ host, port }, onConnected)
  socket.on('error', () => undefined)
  return () => socket.destroy()
}
