import type { MiaouClient, MiaouEvent } from '@miaou/sdk'

type News = MiaouEvent['event']

/** One event of a daemon, with the time at which the daemon saw it, in the lab's monotonic ms. */
export interface Seen {
  readonly at: number
  readonly event: News
}

/** Every event of a daemon since this was made: conditions are waited for here, not asked for again and again. */
export class EventLog {
  readonly seen: Seen[] = []
  readonly #waiting = new Set<() => void>()

  private constructor(client: MiaouClient) {
    void this.#follow(client)
  }

  /** Resolves when the stream stands: nothing that happens from now on is missed. */
  static async open(client: MiaouClient): Promise<EventLog> {
    const log = new EventLog(client)
    // A change makes an event, and whatever comes shows that the stream is there.
    await client.settings.set(await client.settings.get())
    await log.until('the first event', () => true, 30_000)
    return log
  }

  /** The first event, from index `from` on, for which `probe` gives something; rejects after `withinMs`. */
  async until<T>(what: string, probe: (seen: Seen) => T | undefined, withinMs: number, from = 0): Promise<T> {
    let next = from
    const look = (): T | undefined => {
      while (next < this.seen.length) {
        const one = this.seen[next++]
        const found = one === undefined ? undefined : probe(one)
        if (found !== undefined) return found
      }
      return undefined
    }
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const found = look()
        if (found === undefined) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve(found)
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(check)
        reject(new Error(`waited ${withinMs} ms in vain for: ${what}`))
      }, withinMs)
      this.#waiting.add(check)
      check()
    })
  }

  async #follow(client: MiaouClient): Promise<void> {
    try {
      for await (const { at, event } of client.events({ after: 0 })) {
        // Both read the same clock of the machine, whose ms the daemon writes beside its events.
        this.seen.push({ at: at - performance.timeOrigin, event })
        for (const check of [...this.#waiting]) check()
      }
    } catch {
      // The daemon is gone: whoever waits for more of it is told when their time is over.
    }
  }
}
