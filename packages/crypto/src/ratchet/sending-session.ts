import type { SessionId } from '@miaou/core'

/** What the choice between the sessions of one pair of devices depends on. */
export interface SessionFacts {
  readonly id: SessionId
  /** Of its PQXDH header. */
  readonly generation: number
  /** Whether we have decrypted a message of it: the other side certainly has it. True for every session we answer. */
  readonly confirmed: boolean
}

/**
 * Orders the sessions of one pair of devices by preference for sending: negative when `a` comes first. The higher
 * generation, then a confirmed session before an unconfirmed one, then the smaller id.
 *
 * All sessions are kept for receiving. When both sides start at once, each has two sessions of one generation; what
 * either sends confirms its session to the other, and a message or two later both sides have both confirmed and choose
 * the smaller id. A session that one side cannot answer (its prekey is gone) never gets confirmed and so never wins
 * over one that works. To replace sessions that no longer decrypt (a device restored from a copy), start one of
 * `nextGeneration`: it wins at once for its initiator, and for the other side with its first message.
 */
export function compareSessions(a: SessionFacts, b: SessionFacts): number {
  if (a.generation !== b.generation) return b.generation - a.generation
  if (a.confirmed !== b.confirmed) return a.confirmed ? -1 : 1
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** The session to send in (`compareSessions`), or undefined when there is none. */
export function chooseSendingSession<T extends SessionFacts>(sessions: readonly T[]): T | undefined {
  let best: T | undefined
  for (const session of sessions) if (best === undefined || compareSessions(session, best) < 0) best = session
  return best
}

/** The generation of a session that shall replace all these: 1 when there are none, never above u32. */
export function nextGeneration(sessions: readonly SessionFacts[]): number {
  let highest = 0
  for (const { generation } of sessions) highest = Math.max(highest, generation)
  return Math.min(highest + 1, 0xffff_ffff)
}
