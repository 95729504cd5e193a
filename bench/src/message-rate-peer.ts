/** One peer of `message-rate.ts`, in a process of its own: told what to do over IPC. */

import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import type { AccountId } from '@miaou/core'
import { createHome, startPeer } from '@miaou/host-node'

export type ToPeer =
  | { readonly type: 'invite' }
  | { readonly type: 'add'; readonly invite: string }
  | { readonly type: 'run'; readonly count: number; readonly size: number; readonly window: number }
  /** Ends the link with the other peer and dials anew. */
  | { readonly type: 'redial' }
  | { readonly type: 'count' }
  /** Without `to` a CPU profile starts, with it that profile ends and is written there. */
  | { readonly type: 'profile'; readonly to?: string }
  | { readonly type: 'stop' }

export type FromPeer =
  | { readonly type: 'ready' }
  | { readonly type: 'invite'; readonly invite: string }
  | { readonly type: 'linked' }
  | { readonly type: 'ran'; readonly ms: number }
  /** From the dial to a link over WebRTC whose handshake is done. */
  | { readonly type: 'redialled'; readonly ms: number }
  | { readonly type: 'count'; readonly messages: number }
  | { readonly type: 'profile' }

const home = process.argv[2] ?? ''
const say = (message: FromPeer): void => {
  process.send?.(message)
}

function must<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}

must(await createHome({ home, passphrase: undefined, name: 'bench' }))
const peer = must(await startPeer({ home, passphrase: undefined, port: 0, loopbackOnly: true }))
let contact: AccountId | undefined
let received = 0
let delivered = 0
let onDelivered = (): void => undefined
peer.onEvent((event) => {
  if (event.type === 'stored') {
    const news = event.stored.event
    if (news.type === 'contact-changed' && news.contact.state === 'contact') contact = news.contact.account
    if (news.type === 'message-received') received += 1
    if (news.type === 'message-state' && news.message.state === 'delivered') {
      delivered += 1
      onDelivered()
    }
  }
  if (event.type === 'network' && event.event.type === 'connection-established' && event.event.transport === 'webrtc') {
    say({ type: 'linked' })
  }
})

const inspector = new Session()

async function profile(to: string | undefined): Promise<void> {
  if (to === undefined) {
    inspector.connect()
    await inspector.post('Profiler.enable')
    await inspector.post('Profiler.start')
    return
  }
  const { profile } = await inspector.post('Profiler.stop')
  writeFileSync(to, JSON.stringify(profile))
  inspector.disconnect()
}

/** Sends `count` texts, at most `window` without a receipt, as a busy client would. */
function run(count: number, size: number, window: number): Promise<{ ms: number }> {
  const account = contact
  if (account === undefined) throw new Error('no contact')
  const text = 'm'.repeat(size)
  delivered = 0
  let sent = 0
  const startedAt = performance.now()
  return new Promise((resolve) => {
    const fill = (): void => {
      while (sent < count && sent - delivered < window) {
        sent += 1
        void peer.command({ type: 'message-send', account, text }).then(must)
      }
    }
    onDelivered = () => {
      if (delivered === count) resolve({ ms: performance.now() - startedAt })
      else fill()
    }
    fill()
  })
}

async function redial(): Promise<{ ms: number }> {
  const other = peer.network.peers().find(({ state }) => state === 'connected')?.peerId
  if (other === undefined) throw new Error('not linked')
  const closed = new Promise<void>((resolve) => {
    const end = peer.onEvent((event) => {
      if (event.type !== 'network' || event.event.type !== 'connection-closed') return
      end()
      resolve()
    })
  })
  peer.network.disconnect(other)
  await closed
  const startedAt = performance.now()
  must(await peer.network.connect(other, 10_000))
  if (!(await peer.network.upgraded(other, 10_000))) throw new Error('no WebRTC')
  return { ms: performance.now() - startedAt }
}

process.on('message', async (message: ToPeer) => {
  switch (message.type) {
    case 'invite': {
      const { invite } = must(
        await peer.command({ type: 'invite-create', addresses: peer.network.info().addresses, uses: 1 }),
      )
      say({ type: 'invite', invite })
      return
    }
    case 'add':
      must(await peer.command({ type: 'contact-add-invite', invite: message.invite }))
      return
    case 'run':
      say({ type: 'ran', ...(await run(message.count, message.size, message.window)) })
      return
    case 'redial':
      say({ type: 'redialled', ...(await redial()) })
      return
    case 'count':
      say({ type: 'count', messages: received })
      return
    case 'profile':
      await profile(message.to)
      say({ type: 'profile' })
      return
    case 'stop':
      await peer.stop()
      process.disconnect()
  }
})
say({ type: 'ready' })
