import type { Connection } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'
import { PeerFeed } from './feed.ts'
import { perform } from './operations.ts'

/** The in-process way to a peer. `close` stops the peer unless it belongs to somebody else. */
export function peerConnection(peer: PeerHandle, options: { readonly isOwner: boolean }): Connection {
  const feeds = new Set<PeerFeed>()
  let isClosed = false
  return {
    call: async (name, input) => {
      if (isClosed) throw new MiaouError('closed')
      // What says nothing can say nothing wrong, and short commands start without the schemas.
      if (Object.keys(input).length > 0) {
        const { operations } = await import('@miaou/sdk')
        const parsed = operations[name].input.safeParse(input)
        if (!parsed.success) throw new MiaouError('bad-request', { detail: parsed.error.message })
      }
      return perform(peer, name, input)
    },
    events: (eventOptions) => {
      if (isClosed) throw new MiaouError('closed')
      const feed = new PeerFeed(peer, eventOptions)
      feeds.add(feed)
      return feed
    },
    close: async () => {
      isClosed = true
      for (const feed of feeds) await feed.return()
      if (options.isOwner) await peer.stop()
    },
  }
}
