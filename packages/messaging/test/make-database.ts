/**
 * Writes the two databases of a conversation in the current schema into `test/databases`, once a version: a released one
 * is never written again. `node packages/messaging/test/make-database.ts FOLDER`
 */
import { join } from 'node:path'
import { openSqliteStore } from '@miaou/host-node'
import { migrate, schemaVersion } from '@miaou/messaging'
import { frameTypes } from '@miaou/protocol'
import { befriend, createParty, Home, sendText, Town, unwrap } from './fixture.ts'
import { boxAddress, envelopeOf, TestBox, tellBoxes, textOf } from './mail.ts'

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('usage: make-database.ts FOLDER')
const town = new Town()
const homes = ['alice', 'bob'].map((name) => {
  const store = unwrap(openSqliteStore({ path: join(folder, `version-${schemaVersion}-${name}.db`) }))
  unwrap(migrate(store))
  const home = new Home(createParty(name), town.clock, { store })
  town.homes.push(home)
  return home
})
const [alice, bob] = homes
if (!alice || !bob) throw new Error('two homes')
befriend(town, alice, bob)
sendText(town, alice, bob, 'delivered and read')
unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
sendText(town, bob, alice, 'unread été')
alice.batch({
  type: 'device-ways',
  peerId: bob.peerId,
  sequence: 7,
  addresses: ['ws://10.0.0.2:9999'],
  locatorKey: new Uint8Array(32).fill(7),
  mailboxes: [boxAddress(1)],
})
// Bob has a box, and a text that waits for the one before it.
tellBoxes(bob, new TestBox(2))
bob.batch({
  type: 'frame',
  peerId: alice.peerId,
  frameType: frameTypes.directMessage,
  payload: envelopeOf(alice, bob, textOf(bob, 9, 'waits for another', 8)),
})
unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { typing: false } }))
town.unlink(alice, bob)
sendText(town, alice, bob, 'still queued')
for (const { store } of homes) {
  store.script('PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;')
  store.close()
}
