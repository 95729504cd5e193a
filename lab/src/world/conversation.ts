import { setTimeout as wait } from 'node:timers/promises'
import type { Person } from './friends.ts'
import { patienceMs } from './friends.ts'

/** How often each of the two writes, ms: own choice, so often that the first unanswered frame is never old. */
const everyMs = 100

interface Sent {
  readonly text: string
  readonly at: number
}

/** One direction: who writes, who reads, and what was written. */
interface Direction {
  readonly from: Person
  readonly to: Person
  /** What every text of this direction begins with. */
  readonly prefix: string
  readonly sent: Sent[]
}

let conversations = 0

/** Two people who write to each other without a pause, and the count of what came of it. */
export class Conversation {
  readonly #directions: readonly [Direction, Direction]
  readonly #ending = new AbortController()
  readonly #writing: readonly Promise<void>[]

  private constructor(one: Person, other: Person) {
    const number = ++conversations
    this.#directions = [
      { from: one, to: other, prefix: `${number} there `, sent: [] },
      { from: other, to: one, prefix: `${number} back `, sent: [] },
    ]
    this.#writing = this.#directions.map((direction) => this.#write(direction))
  }

  /** Begins, and resolves when both have heard from each other. */
  static async start(one: Person, other: Person): Promise<Conversation> {
    const conversation = new Conversation(one, other)
    await conversation.talkingSince(0)
    return conversation
  }

  /**
   * Waits until each has heard something that the other wrote at or after `since` (the lab's monotonic ms); resolves to
   * the ms at which that was so for both.
   */
  async talkingSince(since: number, withinMs: number = patienceMs): Promise<number> {
    const times = await Promise.all(
      this.#directions.map(({ from, to, sent }) =>
        to.daemon.events.until(
          `${to.daemon.name} to hear what ${from.daemon.name} wrote since`,
          ({ at, event }) => {
            if (event.type !== 'message-received') return undefined
            const writtenAt = sent.find(({ text }) => text === event.message.text)?.at
            return writtenAt !== undefined && writtenAt >= since ? at : undefined
          },
          withinMs,
        ),
      ),
    )
    return Math.max(...times)
  }

  /** The first that was written at or after `since` and would have to be answered: when a loss could first be noticed. */
  firstWrittenSince(since: number): number {
    const firsts = this.#directions.flatMap(({ sent }) => sent.find(({ at }) => at >= since)?.at ?? [])
    return Math.min(...firsts)
  }

  /** Ends the writing, waits until everything has arrived and rejects when something came twice or never. */
  async end(withinMs: number = patienceMs): Promise<{ readonly messages: number; readonly outOfOrder: number }> {
    this.#ending.abort()
    await Promise.all(this.#writing)
    let outOfOrder = 0
    for (const { from, to, prefix, sent } of this.#directions) {
      const last = new Set(sent.map(({ text }) => text))
      await to.daemon.events.until(
        `${to.daemon.name} to have all ${sent.length} messages of ${from.daemon.name}`,
        ({ event }) => {
          if (event.type === 'message-received') last.delete(event.message.text)
          return last.size === 0 ? true : undefined
        },
        withinMs,
      )
      const heard = to.daemon.events.seen.flatMap(({ event }) =>
        event.type === 'message-received' && event.message.text.startsWith(prefix) ? event.message.text : [],
      )
      if (heard.length !== sent.length)
        throw new Error(`${to.daemon.name} has ${heard.length} of ${sent.length} messages`)
      outOfOrder += heard.filter((text, index) => text !== sent[index]?.text).length
    }
    return { messages: this.#directions.reduce((sum, { sent }) => sum + sent.length, 0), outOfOrder }
  }

  /** Ms from writing to arriving, of every message that has arrived. */
  delays(): readonly number[] {
    return this.#directions.flatMap(({ to, sent }) => {
      const writtenAt = new Map(sent.map(({ text, at }) => [text, at]))
      return to.daemon.events.seen.flatMap(({ at, event }) => {
        const from = event.type === 'message-received' ? writtenAt.get(event.message.text) : undefined
        return from === undefined ? [] : at - from
      })
    })
  }

  async #write({ from, to, prefix, sent }: Direction): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const text = `${prefix}${sent.length}`
      sent.push({ text, at: performance.now() })
      await from.daemon.client.messages.send(to.account, text)
      await wait(everyMs)
    }
  }
}
