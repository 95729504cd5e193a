import { Remote } from './processes.ts'
import type { Command, Report } from './webrtc-path.ts'

/** The other end acknowledges this many messages at once (`webrtc-peer.ts`). */
const ackEvery = 16

/** An open @roamhq/wrtc data channel between two processes, nothing of ours around it. */
export class RawChannel {
  readonly #ends: readonly [Remote<Command, Report>, Remote<Command, Report>]

  private constructor(ends: readonly [Remote<Command, Report>, Remote<Command, Report>]) {
    this.#ends = ends
  }

  static async open(): Promise<RawChannel> {
    const make = () => new Remote<Command, Report>('./webrtc-peer.ts', ['raw'])
    const [a, b] = [make(), make()]
    await Promise.all([a.hear('done'), b.hear('done')])
    void pass(a, b)
    void pass(b, a)
    b.tell({ do: 'open', isOfferer: false })
    a.tell({ do: 'open', isOfferer: true })
    await Promise.all([a.hear('done'), b.hear('done')])
    b.tell({ do: 'echo' })
    await b.hear('done')
    return new RawChannel([a, b])
  }

  /** Messages a second, with at most `window` not acknowledged. */
  async rate(count: number, size: number, window: number): Promise<number> {
    const [a] = this.#ends
    const whole = Math.ceil(count / ackEvery) * ackEvery
    a.tell({ do: 'push', count: whole, size, windowCount: Math.max(window, ackEvery) })
    const { ms } = await a.hear('done')
    return (whole / ms) * 1000
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end.tell({ do: 'exit' })
    await Promise.all(this.#ends.map((end) => end.ended()))
  }
}

/** Carries the signals of one end to the other until it ends. */
async function pass(from: Remote<Command, Report>, to: Remote<Command, Report>): Promise<void> {
  try {
    for (;;) to.tell({ do: 'signal', signal: (await from.hear('signal')).signal })
  } catch {
    // The end was closed: there is nothing left to carry.
  }
}
