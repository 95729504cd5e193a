import { existsSync, readFileSync } from 'node:fs'
import type { WireLine } from './wire-watch.ts'

/** What the processes of one capture put on the wire. */
export interface Wire {
  /** Each direction of each TCP connection, whole, and each UDP datagram. */
  readonly raw: readonly Buffer[]
  /** Payloads of WebSocket messages, their masks taken off: no secret is needed for that. */
  readonly messages: readonly Buffer[]
  /** Ports of its own that its TCP connections had. */
  readonly ports: ReadonlySet<number>
}

/** Reads what `wire-watch` wrote. `apiPorts`: those of the local API, which never leaves the machine. */
export function readWire(path: string, apiPorts: readonly number[]): Wire {
  const streams = new Map<string, { bytes: Buffer[]; port: number }>()
  const raw: Buffer[] = []
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
  for (const text of lines) {
    const line = JSON.parse(text) as WireLine
    const bytes = Buffer.from(line.bytes, 'base64')
    if (line.protocol === 'udp') raw.push(bytes)
    else {
      const name = `${line.process} ${line.socket}`
      const stream = streams.get(name) ?? { bytes: [], port: 0 }
      streams.set(name, stream)
      stream.bytes.push(bytes)
      stream.port ||= line.localPort
    }
  }
  const kept = [...streams.values()].filter(({ port }) => !apiPorts.includes(port))
  const whole = kept.map(({ bytes }) => Buffer.concat(bytes))
  return {
    raw: [...raw, ...whole],
    messages: whole.flatMap(webSocketMessages),
    ports: new Set(kept.map(({ port }) => port).filter((port) => port !== 0)),
  }
}

/** Payloads of the binary frames (RFC 6455) behind the head of an HTTP upgrade; none where there was no upgrade. */
export function webSocketMessages(stream: Buffer): Buffer[] {
  const headEnd = stream.indexOf('\r\n\r\n')
  if (headEnd < 0 || !/upgrade: websocket/i.test(stream.subarray(0, headEnd).toString('latin1'))) return []
  const messages: Buffer[] = []
  for (let at = headEnd + 4; at + 2 <= stream.length; ) {
    const [first = 0, second = 0] = stream.subarray(at, at + 2)
    at += 2
    let size = second & 0x7f
    if (size === 126) {
      size = stream.readUInt16BE(at)
      at += 2
    } else if (size === 127) {
      size = Number(stream.readBigUInt64BE(at))
      at += 8
    }
    const isMasked = (second & 0x80) !== 0
    const mask = isMasked ? stream.subarray(at, at + 4) : Buffer.alloc(4)
    if (isMasked) at += 4
    const payload = Buffer.from(stream.subarray(at, at + size))
    for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0)
    at += size
    // Binary messages come whole here: this transport never splits one.
    if ((first & 0x0f) === 2) messages.push(payload)
  }
  return messages
}
