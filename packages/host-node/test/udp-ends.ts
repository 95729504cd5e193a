import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '@miaou/protocol'
import { expect } from 'vitest'
import { UdpSockets, type UdpSocketsOptions } from '../src/overlay/udp-sockets.ts'

const cleanups: (() => Promise<unknown>)[] = []

/** Closes what the test opened here. */
export async function closeEnds(): Promise<void> {
  for (const cleanup of cleanups.splice(0)) await cleanup()
}

export interface OpenedSockets {
  readonly sockets: UdpSockets
  readonly heard: { readonly from: Endpoint; readonly bytes: Uint8Array }[]
}

/** Ours, on loopback. */
export async function openSockets(port = 0, options: Partial<UdpSocketsOptions> = {}): Promise<OpenedSockets> {
  const heard: OpenedSockets['heard'] = []
  const sockets = new UdpSockets({ loopbackOnly: true, ...options }, (from, bytes) => heard.push({ from, bytes }))
  cleanups.push(() => sockets.stop())
  expect(await sockets.start(port)).toEqual({ ok: true, value: undefined })
  return { sockets, heard }
}

/** Somebody else's socket. */
export async function occupyPort(type: 'udp4' | 'udp6', address: string, port = 0): Promise<Socket> {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' })
  cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  await new Promise<void>((resolve) => socket.bind(port, address, () => resolve()))
  return socket
}
