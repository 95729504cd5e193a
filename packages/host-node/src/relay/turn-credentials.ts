import { createHmac } from 'node:crypto'
import type { RelayIceServer } from '@miaou/protocol'

/** A TURN server on the relay's own host, with the secret that it shares with us (coturn: `static-auth-secret`). */
export interface RelayTurn {
  readonly scheme: 'turn' | 'turns'
  readonly port: number
  readonly transport: 'udp' | 'tcp'
  readonly secret: string
}

/** Guess: longer than any call, and than two lives of a reservation. */
const validForSeconds = 6 * 3_600
/** Own choice: all clients of one hour are given the same name, which therefore tells none from another. */
const stepSeconds = 3_600

/**
 * A name that says when it ends, and the password that belongs to it (coturn's "TURN REST API",
 * draft-uberti-behave-turn-rest). `wall`: ms since the Unix epoch.
 */
export function turnServer({ scheme, port, transport, secret }: RelayTurn, wall: number): RelayIceServer {
  const endsAt = (Math.floor(wall / 1_000 / stepSeconds) + 1) * stepSeconds + validForSeconds
  const username = String(endsAt)
  const credential = createHmac('sha1', secret).update(username).digest('base64')
  return { scheme, port, transport, username, credential }
}
