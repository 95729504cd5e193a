/**
 * Two messaging engines in one process over encrypted stores on disk: texts in one direction in batches, each stored on
 * both sides and receipted, without links. `--messages N` (12800), `--batch N` (64), `--rounds N` (3), `--size BYTES`
 * (100), `--dir FOLDER` (of the databases; the system's folder for temporary files). One figure more than rates: the
 * parts of one message, by a round with every port measured (the measuring costs some µs itself).
 */
import { randomFillSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { keyToAccountId, keyToPeerId, type Random, type Result } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { openSqliteStore, type SqliteStore } from '@miaou/host-node'
import {
  Messaging,
  type MessagingCommand,
  type MessagingIdentity,
  type MessagingInput,
  type MessagingOutput,
  migrate,
  type Store,
} from '@miaou/messaging'
import { signDeviceCertificate, signDeviceListEntry } from '@miaou/protocol'
import { printFigure, spread } from './figure.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '12800' },
    batch: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '100' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const count = Number(flags.messages)
const batchSize = Number(flags.batch)
const rounds = Number(flags.rounds)
const size = Number(flags.size)
const command = `node bench/src/messaging.ts --messages ${count} --batch ${batchSize} --rounds ${rounds} --size ${size}`

const crypto = await createLibsodiumCrypto()
// One call of the generator for many numbers, as the hosts do it.
const pool = new Uint8Array(65_536)
let poolAt = pool.length
const random: Random = {
  bytes(bytesSize) {
    if (poolAt + bytesSize > pool.length) {
      randomFillSync(pool)
      poolAt = 0
    }
    poolAt += bytesSize
    return pool.slice(poolAt - bytesSize, poolAt)
  },
}

/** Milliseconds by part. */
type Parts = Map<string, number>

function add(parts: Parts, part: string, sinceMs: number): void {
  parts.set(part, (parts.get(part) ?? 0) + performance.now() - sinceMs)
}

/** The same port, the calls a message makes of it measured. */
function measuredCrypto(parts: Parts): Crypto {
  const measured = new Set<string | symbol>(['hmacSha256', 'xchacha20Poly1305Seal', 'xchacha20Poly1305Open'])
  return new Proxy(crypto, {
    get(target, name) {
      const original: unknown = Reflect.get(target, name)
      if (typeof original !== 'function') return original
      if (!measured.has(name)) return original.bind(target)
      return (...parameters: unknown[]): unknown => {
        const startedAt = performance.now()
        const value: unknown = Reflect.apply(original, target, parameters)
        add(parts, `crypto ${String(name)}`, startedAt)
        return value
      }
    },
  })
}

function measuredStore(store: Store, parts: Parts): Store {
  const part = (sql: string): string => `sql ${sql.replace(/\s+/g, ' ').slice(0, 44)}`
  const measure = <T>(name: string, body: () => T): T => {
    const startedAt = performance.now()
    try {
      return body()
    } finally {
      add(parts, name, startedAt)
    }
  }
  return {
    run: (sql, parameters) => measure(part(sql), () => store.run(sql, parameters)),
    get: (sql, parameters) => measure(part(sql), () => store.get(sql, parameters)),
    all: (sql, parameters) => measure(part(sql), () => store.all(sql, parameters)),
    script: (sql) => store.script(sql),
    transaction(body) {
      let bodyEndedAt = 0
      const value = store.transaction(() => {
        const result = body()
        bodyEndedAt = performance.now()
        return result
      })
      add(parts, 'commit', bodyEndedAt)
      return value
    },
    close: () => store.close(),
  }
}

function unwrap<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}

function createIdentity(name: string): MessagingIdentity {
  const account = crypto.ed25519KeyPair(random.bytes(32))
  const deviceKey = crypto.ed25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const accountKey = account.publicKey
  const createdAt = Date.now()
  const entry = signDeviceListEntry(crypto, account.secretKey, {
    action: 'add',
    accountKey,
    deviceKey: deviceKey.publicKey,
    deviceName: name,
    height: 0,
    previous: new Uint8Array(32),
    signer: 'account',
    rights: [],
    createdAt,
  })
  const certified = { accountKey, linkKey, sessionKey: sessionKey.publicKey, createdAt }
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, certified)
  return { accountKey, deviceKey, certificate, sessionKey, deviceList: [entry], name }
}

class Side {
  readonly identity: MessagingIdentity
  readonly parts: Parts = new Map()
  readonly #store: Store
  readonly #engine: Messaging
  /** Spent in this side's batches: of the processor, on all threads. */
  cpuMs = 0

  constructor(name: string, store: SqliteStore, isMeasured: boolean) {
    this.identity = createIdentity(name)
    this.#store = isMeasured ? measuredStore(store, this.parts) : store
    const jitter = { next: () => Math.random() }
    const ownCrypto = isMeasured ? measuredCrypto(this.parts) : crypto
    this.#engine = new Messaging({ crypto: ownCrypto, random, jitter, store: this.#store, identity: this.identity })
  }

  batch(inputs: readonly MessagingInput[]): MessagingOutput[] {
    const before = process.cpuUsage()
    const now = { mono: performance.now(), wall: Date.now() }
    const outputs = this.#store.transaction(() => {
      const handled: MessagingOutput[] = []
      for (const input of inputs) handled.push(...this.#engine.handle(now, input))
      handled.push(...this.#engine.flush(now))
      return handled
    })
    const { user, system } = process.cpuUsage(before)
    this.cpuMs += (user + system) / 1000
    return outputs
  }

  ask(asked: MessagingCommand): { readonly value: unknown; readonly outputs: readonly MessagingOutput[] } {
    const outputs = this.batch([{ type: 'command', id: 1, command: asked }])
    const reply = outputs.find((output) => output.type === 'reply')
    if (!reply) throw new Error('a command got no reply')
    return { value: unwrap(reply.result), outputs }
  }

  linkUp(): MessagingInput {
    const { accountKey, sessionKey, certificate, deviceKey } = this.identity
    const peerId = keyToPeerId(deviceKey.publicKey)
    return { type: 'link-up', peerId, accountKey, sessionKey: sessionKey.publicKey, certificate }
  }
}

/** The frames of these outputs, as the other side gets them. */
function frames(from: Side, outputs: readonly MessagingOutput[]): MessagingInput[] {
  const peerId = keyToPeerId(from.identity.deviceKey.publicKey)
  const inputs: MessagingInput[] = []
  for (const output of outputs) {
    if (output.type === 'send') {
      inputs.push({ type: 'frame', peerId, frameType: output.frameType, payload: output.payload })
    }
  }
  return inputs
}

/** Carries frames to and fro until nobody has any. */
function settle(a: Side, b: Side, fromA: readonly MessagingOutput[], fromB: readonly MessagingOutput[] = []): void {
  let toB = frames(a, fromA)
  let toA = frames(b, fromB)
  while (toA.length + toB.length > 0) {
    const [outB, outA] = [b.batch(toB), a.batch(toA)]
    toB = frames(a, outA)
    toA = frames(b, outB)
  }
}

interface Round {
  readonly perSecond: number
  readonly senderUs: number
  readonly recipientUs: number
  readonly senderParts: Parts
  readonly recipientParts: Parts
}

function runRound(isMeasured: boolean): Round {
  const folder = mkdtempSync(join(flags.dir, 'miaou-bench-'))
  const stores = ['a', 'b'].map((name) => {
    const store = unwrap(openSqliteStore({ path: join(folder, `${name}.db`), key: random.bytes(32) }))
    unwrap(migrate(store))
    return store
  })
  const [storeA, storeB] = stores
  if (!storeA || !storeB) throw new Error('two stores')
  const alice = new Side('Alice', storeA, isMeasured)
  const bob = new Side('Bob', storeB, isMeasured)
  const created = alice.ask({ type: 'invite-create', addresses: [], uses: 1 }).value as { readonly invite: string }
  bob.ask({ type: 'contact-add-invite', invite: created.invite })
  settle(alice, bob, alice.batch([bob.linkUp()]), bob.batch([alice.linkUp()]))
  const account = keyToAccountId(alice.identity.accountKey)
  let id = 0
  const send = (): void => {
    const inputs: MessagingInput[] = []
    for (let index = 0; index < batchSize; index++) {
      id += 1
      const text = `message ${id} about ${words(id)} `.padEnd(size, 'miaou ')
      inputs.push({ type: 'command', id, command: { type: 'message-send', account, text } })
    }
    settle(bob, alice, bob.batch(inputs))
  }
  for (let warm = 0; warm < 10; warm++) send()
  for (const side of [alice, bob]) {
    side.cpuMs = 0
    side.parts.clear()
  }
  const startedAt = performance.now()
  const batches = Math.ceil(count / batchSize)
  for (let index = 0; index < batches; index++) send()
  const ms = performance.now() - startedAt
  const total = batches * batchSize
  const stats = alice.ask({ type: 'stats' }).value as { readonly messages: number }
  if (stats.messages !== total + 10 * batchSize) throw new Error(`${stats.messages} of ${total} messages arrived`)
  for (const store of stores) store.close()
  rmSync(folder, { recursive: true })
  return {
    perSecond: (total / ms) * 1000,
    senderUs: (bob.cpuMs / total) * 1000,
    recipientUs: (alice.cpuMs / total) * 1000,
    senderParts: bob.parts,
    recipientParts: alice.parts,
  }
}

/** A few words out of many, so that the index has something to do. */
function words(seed: number): string {
  const each = (step: number): string => ((seed * step * 2_654_435_761) % 20_000).toString(36)
  return [each(1), each(3), each(7), each(11), each(13)].join(' ')
}

const measured = Array.from({ length: rounds }, () => runRound(false))
const detail = `${size}-byte texts, batches of ${batchSize}, stored on both sides and receipted, both engines on one core`
printFigure({
  name: 'messaging delivered',
  ...spread(measured.map(({ perSecond }) => perSecond)),
  unit: 'messages/s',
  goal: { atLeast: 3000 },
  command,
  detail,
})
for (const [name, values] of [
  ['messaging sender', measured.map(({ senderUs }) => senderUs)],
  ['messaging recipient', measured.map(({ recipientUs }) => recipientUs)],
] as const) {
  printFigure({ name, ...spread(values), unit: 'µs of CPU/message', goal: { atMost: 120 }, command, detail })
}
const parted = runRound(true)
const totalMessages = Math.ceil(count / batchSize) * batchSize
for (const [side, parts] of [
  ['sender', parted.senderParts],
  ['recipient', parted.recipientParts],
] as const) {
  for (const [part, ms] of [...parts].sort(([, a], [, b]) => b - a).slice(0, 12)) {
    const value = Math.round((ms / totalMessages) * 100_000) / 100
    printFigure({ name: `messaging ${side}: ${part}`, value, unit: 'µs/message', command })
  }
}
