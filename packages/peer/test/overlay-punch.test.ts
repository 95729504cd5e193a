import { expect, test } from 'vitest'
import { OverlayTown, type TownNode } from './overlay-town.ts'

/** A server in the world, and two nodes whose NATs let in only endpoints that they wrote to. */
function behindNats(seed: number) {
  const town = new OverlayTown(seed, { kademlia: { mode: 'auto' } })
  const server = town.add('198.51.100.7')
  const [a, b] = [town.add('203.0.113.5'), town.add('192.0.2.9')]
  const wroteTo = new Set<string>()
  town.drops = (from, to) => {
    return to.host !== server.endpoint.host && !wroteTo.has(`${to.host} ${from.host}`)
  }
  town.sends = (from, to) => wroteTo.add(`${from.host} ${to.host}`)
  // Their sockets are inside: what they are told from outside is no address of theirs.
  for (const [index, node] of [a, b].entries()) {
    const endpoints = [{ host: `192.168.${index}.2`, port: 9999 }]
    town.perform(node, node.node.handle(town.time(), { type: 'listening', endpoints }))
  }
  const contacts = [{ publicKey: server.publicKey, endpoint: server.endpoint }]
  for (const node of [a, b]) expect(town.ask(node, { type: 'bootstrap', contacts }).type).toBe('bootstrapped')
  town.run(60_000)
  return { town, server, a, b }
}

function ping(node: TownNode) {
  return { type: 'ping', contact: { publicKey: node.publicKey, endpoint: node.endpoint } } as const
}

test('[O60] [O62] [O64] D16: two nodes behind NATs restricted by port reach each other through a rendezvous', () => {
  const { town, server, a, b } = behindNats(1)
  expect([server, a, b].map(({ node }) => node.info().kademlia.isServer)).toEqual([true, false, false])
  expect(town.ask(a, ping(b))).toMatchObject({ type: 'failed', error: { type: 'timeout' } })
  town.run(60_000)
  const [rendezvous] = b.node.rendezvous()
  if (rendezvous === undefined) throw new Error('nobody to meet through')
  expect(rendezvous).toMatchObject({ publicKey: server.publicKey, endpoint: server.endpoint })
  const punched = town.ask(a, { type: 'punch', publicKey: b.publicKey, rendezvous })
  expect(punched).toMatchObject({ type: 'punched', endpoint: b.endpoint, observed: a.endpoint })
  // The hole stays as long as it is used.
  expect(town.ask(b, ping(a))).toMatchObject({ type: 'pong' })
  expect(town.ask(a, ping(b))).toMatchObject({ type: 'pong' })
})

test('[O62] [O63] on the wire: three openers at most, all of them together smaller than the punch', () => {
  const { town, a, b } = behindNats(2)
  const [rendezvous] = b.node.rendezvous()
  if (rendezvous === undefined) throw new Error('nobody to meet through')
  // Nothing of the asker's arrives at the target: it sends all that it ever does.
  const rule = town.drops
  town.drops = (from, to, bytes) => (from === a.endpoint && to.host === b.endpoint.host) || rule(from, to, bytes)
  const openers: Uint8Array[] = []
  const toServer: number[] = []
  const noted = town.sends
  town.sends = (from, to, bytes) => {
    noted(from, to, bytes)
    if (bytes[0] === 6) openers.push(bytes)
    if (from.host === a.endpoint.host && to.host === rendezvous.endpoint.host) toServer.push(bytes.length)
  }
  const reply = town.ask(a, { type: 'punch', publicKey: b.publicKey, rendezvous })
  expect(reply).toEqual({ type: 'punch-failed', reason: 'no-way-through' })
  expect(openers.length).toBe(3)
  expect(openers.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(Math.min(...toServer))
})

test('[O62] a punch to a key that nobody registered fails at once, and one through an address of nobody in time', () => {
  const { town, server, a } = behindNats(3)
  const publicKey = new Uint8Array(32).fill(9)
  const rendezvous = { publicKey: server.publicKey, endpoint: server.endpoint }
  expect(town.ask(a, { type: 'punch', publicKey, rendezvous })).toEqual({
    type: 'punch-failed',
    reason: 'unknown-target',
  })
  const silent = { ...rendezvous, endpoint: { host: '198.51.100.8', port: 1 } }
  expect(town.ask(a, { type: 'punch', publicKey, rendezvous: silent })).toEqual({
    type: 'punch-failed',
    reason: 'rendezvous-silent',
  })
  const nowhere = { ...rendezvous, endpoint: { host: '0.0.0.0', port: 1 } }
  expect(town.ask(a, { type: 'punch', publicKey, rendezvous: nowhere })).toMatchObject({
    type: 'failed',
    error: { type: 'inadmissible-endpoint' },
  })
})
