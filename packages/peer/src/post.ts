import type { MessagingInput, MessagingOutput } from '@miaou/messaging'
import type { MailboxesInput } from '@miaou/network'
import type { PeerOutput } from './interface.ts'

/** What messaging asks of mailboxes. */
export type PostRequest = Extract<
  MessagingOutput,
  { readonly type: 'start' | 'supply' | 'acknowledge' | 'deposit' | 'check' | 'fetch-bundle' }
>

export type Asked =
  | { readonly type: 'input'; readonly input: MailboxesInput }
  | { readonly type: 'answer'; readonly answer: MessagingInput }
  | { readonly type: 'find'; readonly find: Extract<PeerOutput, { readonly type: 'find-bundle' }> }
  | { readonly type: 'nothing' }

/** Between messaging and mailboxes: a bundle that no mailbox gives is looked for in the overlay. */
export class Post {
  readonly #usesMailboxes: boolean
  /** As many as messaging has asked for and not been answered. */
  readonly #bundleKeys = new Map<number, Uint8Array>()

  constructor(usesMailboxes: boolean) {
    this.#usesMailboxes = usesMailboxes
  }

  /** Without mailboxes everything is answered at once, so that nothing waits for what never comes. */
  ask(request: PostRequest): Asked {
    if (request.type === 'fetch-bundle') {
      const { id, from, bundleKey } = request
      if (this.#usesMailboxes && from.length > 0) {
        if (bundleKey) this.#bundleKeys.set(id, bundleKey)
        return { type: 'input', input: { type: 'fetch-bundle', id, from } }
      }
      if (bundleKey) return { type: 'find', find: { type: 'find-bundle', id, bundleKey } }
      return { type: 'answer', answer: { type: 'bundle', id, bytes: undefined } }
    }
    if (this.#usesMailboxes) return { type: 'input', input: request }
    const { type } = request
    if (type === 'deposit') {
      const result = { ok: false, reason: 'unreachable', detail: 'this peer uses no mailboxes' } as const
      return { type: 'answer', answer: { type: 'deposited', id: request.id, result } }
    }
    if (type === 'check') return { type: 'answer', answer: { type: 'checked', id: request.id, statuses: undefined } }
    return { type: 'nothing' }
  }

  /** Where else the bundle of that question may be; asked for once. */
  takeBundleKey(id: number): Uint8Array | undefined {
    const key = this.#bundleKeys.get(id)
    this.#bundleKeys.delete(id)
    return key
  }
}
