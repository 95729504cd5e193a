import type { KademliaError } from '../kademlia/interface.ts'

/**
 * Row E25, as values. `NotStorable` is added to it: the overlay never stores any value under any key (DECISIONS
 * "Storing").
 */
export type P2PError =
  | { readonly type: 'NetworkError'; readonly io: string }
  | { readonly type: 'BootstrapFailed'; readonly asked: number }
  | { readonly type: 'Timeout' }
  | { readonly type: 'NotFound' }
  | { readonly type: 'NotStorable' }

/** The exercise's name for an engine's error. `io`: what the network last said, if it did. */
export function toP2PError(error: KademliaError, io: string | undefined): P2PError {
  switch (error.type) {
    case 'bootstrap-failed':
      return { type: 'BootstrapFailed', asked: error.asked }
    case 'not-found':
      return { type: 'NotFound' }
    case 'timeout':
      return io === undefined ? { type: 'Timeout' } : { type: 'NetworkError', io }
    case 'bad-record':
      return { type: 'NotStorable' }
    case 'no-contacts':
    case 'not-stored':
    case 'stopped':
    case 'too-many-operations':
      return { type: 'NetworkError', io: io ?? error.type }
  }
}
