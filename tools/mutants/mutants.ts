/** One deliberate fault, made by replacing a piece of source that must occur exactly once. */
export interface Mutant {
  /** Which of the five of row E28: A to E, in its order; M: of messages that mailboxes hold. */
  readonly row: 'A' | 'B' | 'C' | 'D' | 'E' | 'M'
  readonly name: string
  /** Relative to the project. */
  readonly file: string
  readonly find: string
  readonly replacement: string
  /** Test files, relative to the project, one of which must fail. */
  readonly killers: readonly string[]
}

export const mutantRows: Readonly<Record<Mutant['row'], string>> = {
  A: 'table overflow',
  B: 'unauthenticated message accepted',
  C: 'wrong XOR',
  D: 'bootstrap failure unhandled',
  E: 'discovery not propagated',
  M: 'message lost, doubled, early or for the wrong eyes',
}

const kademlia = 'packages/overlay/src/kademlia'
const overlayTests = 'packages/overlay/test'
const exerciseSuite = `${overlayTests}/exercise-names.test.ts`

const messaging = 'packages/messaging/src'
const messagingTests = 'packages/messaging/test'

/** Row E28, each of the five in every place where it could be made, and those of mailboxes. */
export const mutants: readonly Mutant[] = [
  {
    row: 'A',
    name: 'a full bucket takes one more',
    file: `${kademlia}/routing-table.ts`,
    find: "if (end - start >= this.k || this.#size === sizeMax) return 'full'",
    replacement: "if (this.#size === sizeMax) return 'full'",
    killers: [`${overlayTests}/routing-table.test.ts`, exerciseSuite],
  },
  {
    row: 'A',
    name: 'a replacement cache without an end',
    file: `${kademlia}/replacement-cache.ts`,
    find: 'if (known < 0 && refs.length < this.#sizeMax) refs.push(ref)',
    replacement: 'if (known < 0) refs.push(ref)',
    killers: [`${overlayTests}/routing-table.test.ts`],
  },
  {
    row: 'B',
    name: 'a record that its key did not sign',
    file: 'packages/protocol/src/overlay/record.ts',
    find: "if (!isSignedBy(crypto, label, signed.value, value.publicKey)) return err({ type: 'invalid-signature' })",
    replacement: '',
    killers: ['packages/protocol/test/overlay-record.test.ts'],
  },
  {
    row: 'B',
    name: 'a datagram whose tag is wrong',
    file: 'packages/network/src/datagrams/secure-datagrams.ts',
    find: 'bytes.subarray(data.sealed),\n    )\n    if (payload === undefined) {',
    replacement:
      'bytes.subarray(data.sealed),\n    ) ?? bytes.slice(data.sealed, bytes.length - 16)\n    if (payload === undefined) {',
    killers: ['packages/network/test/datagrams.test.ts'],
  },
  {
    row: 'B',
    name: 'a gossip message with a false signature',
    file: 'packages/overlay/src/gossip/gossip.ts',
    find: 'if (!isWhole || !verifyLabelled(crypto, gossipLabel, id, message.signature, message.origin)) {',
    replacement: 'if (!isWhole) {',
    killers: [exerciseSuite],
  },
  {
    row: 'B',
    name: 'a store without a token',
    file: `${kademlia}/responder.ts`,
    find: 'if (!this.#core.isTokenOf(token, from)) {',
    replacement: 'if (token.length !== 8) {',
    killers: [`${overlayTests}/kademlia-records.test.ts`, exerciseSuite],
  },
  {
    row: 'C',
    name: 'or instead of exclusive or',
    file: `${kademlia}/distance.ts`,
    find: 'distance[i] = (a[i] as number) ^ (b[i] as number)',
    replacement: 'distance[i] = (a[i] as number) | (b[i] as number)',
    killers: [`${overlayTests}/routing-table.test.ts`, exerciseSuite],
  },
  {
    row: 'C',
    name: 'the table sorts by id, not by distance',
    file: `${kademlia}/routing-table.ts`,
    find: 'return (this.#contacts.word0(ref) ^ this.#selfWord) >>> 0',
    replacement: 'return this.#contacts.word0(ref)',
    killers: [`${overlayTests}/routing-table.test.ts`],
  },
  {
    row: 'C',
    name: 'a lookup goes to the numerically nearest',
    file: `${kademlia}/shortlist.ts`,
    find: 'const high = (contacts.word0(ref) ^ target0) >>> 0',
    replacement: 'const high = Math.abs(contacts.word0(ref) - target0)',
    killers: [exerciseSuite],
  },
  {
    row: 'D',
    name: 'nobody answered, and yet it joined',
    file: `${kademlia}/bootstrap-walk.ts`,
    find: 'if (reached.length === 0) {',
    replacement: 'if (reached.length < 0) {',
    killers: [exerciseSuite],
  },
  {
    row: 'D',
    name: 'no contacts to start from, and no answer ever',
    file: `${kademlia}/kademlia.ts`,
    find: "this.#fail(id, { type: 'bootstrap-failed', asked: asked.length })",
    replacement: '',
    killers: [exerciseSuite],
  },
  {
    row: 'E',
    name: 'a walk forgets the contacts of an answer',
    file: `${kademlia}/walk.ts`,
    find: 'for (const ref of contacts) if (!core.isSelf(ref)) this.#learn(path, ref, depth + 1)',
    replacement: '',
    killers: [exerciseSuite],
  },
  {
    row: 'E',
    name: 'an answer names nobody',
    file: `${kademlia}/responder.ts`,
    find: 'table.closest(target, config.k + 1, closest, { prefixMax: config.contactsPerPrefixMax })',
    replacement: '',
    killers: [exerciseSuite],
  },
  {
    row: 'E',
    name: 'who asks is not remembered',
    file: `${kademlia}/care.ts`,
    find: 'if (isProven) this.#admit(from, isPing)',
    replacement: 'if (isProven) return',
    killers: [exerciseSuite],
  },
  {
    row: 'M',
    name: 'what a mailbox accepted counts as delivered',
    file: `${messaging}/delivery-queue.ts`,
    find: '`UPDATE deliveries SET state = 2, reason = NULL',
    replacement: '`UPDATE deliveries SET state = 3, reason = NULL',
    killers: [`${messagingTests}/parcels.test.ts`],
  },
  {
    row: 'M',
    name: 'a token pays twice',
    file: `${messaging}/deposit-tokens.ts`,
    find: 'DO UPDATE SET next = next + 1',
    replacement: 'DO UPDATE SET next = next',
    killers: [`${messagingTests}/parcels.test.ts`],
  },
  {
    row: 'M',
    name: 'a text is shown before the one it follows',
    file: `${messaging}/inbox.ts`,
    find: 'const isEarly = follows !== undefined && !this.#isShown(contact, follows)',
    replacement: 'const isEarly = false',
    killers: [`${messagingTests}/waiting-texts.test.ts`],
  },
  {
    row: 'M',
    name: 'a repeated message heals what is well',
    file: `${messaging}/inbox.ts`,
    find: 'if (this.#wasSeen(digest)) {',
    replacement: 'if (digest.length === 0) {',
    killers: [`${messagingTests}/mail-inbox.test.ts`],
  },
  {
    row: 'M',
    name: 'a changed key is written to',
    file: `${messaging}/outbox.ts`,
    find: "return state === 'contact' && !forked && changed === undefined",
    replacement: "return state === 'contact' && !forked",
    killers: [`${messagingTests}/parcels-edges.test.ts`],
  },
  {
    row: 'M',
    name: 'mail of a blocked account is read',
    file: `${messaging}/mail-inbox.ts`,
    find: "if (contacts.byAccount(account)?.state === 'blocked') {",
    replacement: 'if (account === undefined) {',
    killers: [`${messagingTests}/mail-inbox.test.ts`],
  },
  {
    row: 'M',
    name: 'nobody is told of a session key, shown by mail, that is not the pinned one',
    file: `${messaging}/mail-inbox.ts`,
    find: 'if (!changedKeys.show(device, sessionKey)) return undefined',
    replacement: '',
    killers: [`${messagingTests}/parcels-edges.test.ts`],
  },
  {
    row: 'M',
    name: 'only linked contacts hear where records are after a block',
    file: `${messaging}/commands.ts`,
    find: 'settings.renewLocatorKey()\n    this.#sayHelloToAll()',
    replacement: 'settings.renewLocatorKey()',
    killers: [`${messagingTests}/parcels-edges.test.ts`],
  },
  {
    row: 'M',
    name: 'questions for bundles without a bound',
    file: `${messaging}/parcels.ts`,
    find: 'const isFull = this.#fetches.size >= limits.bundleFetchesMax',
    replacement: 'const isFull = false',
    killers: [`${messagingTests}/parcels-edges.test.ts`],
  },
  {
    row: 'M',
    name: 'a start that somebody made up is believed',
    file: `${messaging}/starts.ts`,
    find: 'if (!verifyStartMark(crypto, told, identity.deviceKey.publicKey)) {',
    replacement: 'if (told.counter === 0) {',
    killers: [`${messagingTests}/starts.test.ts`],
  },
]
