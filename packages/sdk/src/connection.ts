import type { OperationInput, OperationName, OperationOutput } from './operations.ts'
import type { MiaouEvent } from './schema/events.ts'

export interface EventOptions {
  /** Resume after this cursor; absent: from now on. */
  readonly after?: number
  /** Also news without a cursor (typing, presence, links). Default true. */
  readonly fleeting?: boolean
  /** Topics of gossip that are followed for as long as the stream lasts: their messages come as events. At most 64. */
  readonly topics?: readonly string[]
}

/** Port: the way to a peer. `sdk/http` goes to a daemon, hosts supply the in-process form. Rejects with `MiaouError`. */
export interface Connection {
  call<N extends OperationName>(name: N, input: OperationInput<N>): Promise<OperationOutput<N>>
  /** Ends when the consumer returns or the connection closes; throws `cursor-expired` when `after` was pruned. */
  events(options: EventOptions): AsyncIterableIterator<MiaouEvent>
  close(): Promise<void>
}
