import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { MiaouError } from '@miaou/sdk/client'

/** The names under which a browser or a program may call us: a page that rebound its own name (DNS) has another one. */
function ownHosts(port: number): readonly string[] {
  return [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]
}

/** Throws `forbidden-host` or `forbidden-origin`. A program sends no Origin; a page may only be one we serve ourselves. */
export function checkSource(headers: IncomingHttpHeaders, port: number): void {
  const host = headers.host ?? ''
  if (!ownHosts(port).includes(host.toLowerCase())) throw new MiaouError('forbidden-host', { host })
  const { origin } = headers
  if (origin === undefined) return
  if (!ownHosts(port).some((own) => origin.toLowerCase() === `http://${own}`)) {
    throw new MiaouError('forbidden-origin', { origin })
  }
}

/** Hashed first, so that the comparison takes the same time whatever the length. */
export function isToken(given: string | undefined, token: string): boolean {
  if (given === undefined) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}

/** The token of `Authorization: Bearer …`, or of the WebSocket subprotocol `bearer.…` (browsers can set nothing else). */
export function givenToken(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  const protocols = headers['sec-websocket-protocol'] ?? ''
  return protocols
    .split(',')
    .map((protocol) => protocol.trim())
    .find((protocol) => protocol.startsWith('bearer.'))
    ?.slice('bearer.'.length)
}

/** A token bucket: `perSecond` on average, `burst` at once. */
export class RateLimit {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Milliseconds until the next one is allowed: 0 when this one is. */
  take(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1000)
    this.#at = now
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond)
    this.#tokens -= 1
    return 0
  }
}
