import type { BoxAddress } from '@miaou/protocol'

/** A receipt for no message: it opens a session whose start is all there is to say (spec/messaging, "Sessions"). */
export const noMessage: Uint8Array = new Uint8Array(16)

/** One mailbox of a device, as it answered last. */
export interface BoxTry {
  /** Box and mailbox, in hexadecimal. */
  readonly key: string
  readonly address: BoxAddress
  failures: number
  /** Monotonic ms. */
  retryAt: number
  reason: 'mailboxes-unreachable' | 'mailboxes-full' | undefined
  /** All before this position have their copies. */
  scannedTo: number
}

/** What is under way to a device that is not linked. Memory only: after a crash unanswered deposits are made again. */
export interface Post {
  /** Monotonic ms before which nothing goes out. */
  readyAt: number
  /** Monotonic ms of the last deposit. */
  lastAt: number
  /** Nothing was left to be deposited when last looked at. */
  isIdle: boolean
  /** Id of the `fetch-bundle` that was not answered yet. */
  fetching: number | undefined
  fetchAt: number
  fetchTries: number
  hasNoPrekeys: boolean
  wantsRestart: boolean
  /** The session was made anew: something must be said in it even where nothing waits. */
  mustSpeak: boolean
  readonly boxes: Map<string, BoxTry>
  /** Positions of what is on its way for the first time: should no mailbox take it, nobody has it. */
  readonly neverSent: Set<number>
  /** Monotonic ms of the next look at what mailboxes hold. */
  checkAt: number
  checkTries: number
  /** Monotonic ms at which a message that waits for its acceptance is tried again. */
  rescanAt: number
  /** Tokens whose deposits were taken and not answered: monotonic ms since when. */
  readonly takenSince: Map<string, number>
  /** Monotonic ms of the next thing to do. */
  dueAt: number
}

/** Why none of these mailboxes takes anything; undefined: one of them may. */
export function failureOf(boxes: readonly BoxTry[]): BoxTry['reason'] {
  if (boxes.some(({ reason }) => reason === undefined)) return undefined
  return boxes.some(({ reason }) => reason === 'mailboxes-full') ? 'mailboxes-full' : 'mailboxes-unreachable'
}

export function createPost(mono: number, readyAt: number): Post {
  return {
    readyAt,
    lastAt: Number.NEGATIVE_INFINITY,
    isIdle: false,
    fetching: undefined,
    fetchAt: mono,
    fetchTries: 0,
    hasNoPrekeys: false,
    wantsRestart: false,
    mustSpeak: false,
    boxes: new Map(),
    neverSent: new Set(),
    checkAt: Number.POSITIVE_INFINITY,
    checkTries: 0,
    rescanAt: Number.POSITIVE_INFINITY,
    takenSince: new Map(),
    dueAt: Number.POSITIVE_INFINITY,
  }
}
