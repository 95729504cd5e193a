/** One deliberate fault, made by replacing a piece of source that must occur exactly once. */
export interface Mutant {
  /** Which of the five of row E28: A to E, in its order. */
  readonly row: 'A' | 'B' | 'C' | 'D' | 'E'
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
}

const kademlia = 'packages/overlay/src/kademlia'
const overlayTests = 'packages/overlay/test'
const exerciseSuite = `${overlayTests}/exercise-names.test.ts`

/** Row E28, each of the five in every place where it could be made. */
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
]
