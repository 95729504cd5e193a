import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { accountIdToKey, parseAccountId, parsePeerId, peerIdToKey, textToBytes } from '@miaou/core'
import { sealedMessageSize } from '@miaou/crypto'
import { paddingBuckets } from '@miaou/network'
import {
  befriend,
  type Daemon,
  delivered,
  filesUnder,
  Household,
  history,
  RecordingMailbox,
  RecordingRelay,
  receivedTexts,
  recorded,
  tablesOf,
  tablesOfHome,
  until,
} from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { found, type Secret, secretBytes, secretText } from '../src/secrets.ts'
import { readWire, type Wire, webSocketMessages } from '../src/wire-tap.ts'

// docs/threat-model.md: one conversation between people whose names, ids and texts are known, and all that each observer
// had in its hands meanwhile. Annabella hides her address; Benedikta has a passphrase; Carolinus is another friend.
const house = new Household()
const watch = new URL('../src/wire-watch.ts', import.meta.url).href
const passphrase = 'seven sealed saucers'
/** spec/links.md L21, in bytes. */
const circuitOverhead = 34
/** Of Annabella to Benedikta, of Benedikta to Annabella, of Carolinus to Annabella. */
const texts = {
  linked: 'while both of us are there, at the lake',
  away: ['you are away: the short one', `you are away: the long one, ${'with more and more '.repeat(10)}`],
  back: 'the answer that comes by a box',
  carol: 'what Carolinus alone may read',
}
const wirePaths = new Map<string, string>()
const apiPorts: number[] = []

let relay: RecordingRelay
let boxes: readonly [RecordingMailbox, RecordingMailbox]
let secrets: readonly Secret[]
let wires: ReadonlyMap<string, Wire>
let ann: Daemon
let ben: Daemon
let carol: Daemon

async function start(name: string, args: readonly string[], passphraseOf?: string): Promise<Daemon> {
  const path = wirePaths.get(name) ?? join(house.home('wires'), `${name}-${wirePaths.size}`)
  const environment = {
    NODE_OPTIONS: `--import=${watch}`,
    MIAOU_TEST_WIRE: path,
    ...(passphraseOf && { MIAOU_PASSPHRASE: passphraseOf }),
  }
  wirePaths.set(name, path)
  const daemon = await house.start(name, args, {
    environment,
    protection: passphraseOf === undefined ? 'none' : 'passphrase',
  })
  apiPorts.push(Number(new URL(daemon.api.url).port))
  return daemon
}

const startAnn = () => start('Annabella', ['--relay-only', '--relay', relay.address, ...mailboxes()])
const startBen = () => start('Benedikta', ['--relay', relay.address, ...mailboxes()], passphrase)
const mailboxes = () => boxes.flatMap(({ address }) => ['--mailbox', address])

function registered({ client }: Daemon): Promise<true> {
  return until('boxes at both mailboxes', async () =>
    (await client.mailboxes.list()).filter(({ state }) => state === 'registered').length >= 2 ? true : undefined,
  )
}

const reserved = ({ client }: Daemon) =>
  until('a reservation', async () => ((await client.network.info()).reservations.length > 0 ? true : undefined))

/** Until both mailboxes hold the last message to somebody. */
function held({ client }: Daemon, who: string): Promise<true> {
  return until(
    `both mailboxes to hold the last message to ${who}`,
    async () => ((await history(client, who, 'out')).at(-1)?.heldBy?.length === 2 ? true : undefined),
    { withinMs: 60_000 },
  )
}

async function identitySecrets(name: string, { client }: Daemon): Promise<Secret[]> {
  const { peerId, account } = await client.identity.get()
  const [device, key] = [parsePeerId(peerId), parseAccountId(account)]
  if (device === undefined || key === undefined) throw new Error('an identity has a peer id and an account')
  return [
    secretText(`the name of ${name}`, name),
    secretText(`the peer id of ${name}`, peerId),
    secretText(`the account id of ${name}`, account),
    secretBytes(`the device key of ${name}`, peerIdToKey(device)),
    secretBytes(`the account key of ${name}`, accountIdToKey(key)),
  ]
}

beforeAll(async () => {
  mkdirSync(house.home('wires'))
  await Promise.all(
    ['Annabella', 'Benedikta', 'Carolinus'].map((name) => {
      const options = { environment: { MIAOU_PASSPHRASE: passphrase } }
      const open = name === 'Benedikta' ? [] : ['--no-passphrase']
      return house.run(name, ['settings', 'discoverable', 'contacts', '--name', name, ...open], options)
    }),
  )
  relay = await RecordingRelay.start()
  boxes = [
    await RecordingMailbox.start(join(house.home('boxes'), 'first.db')),
    await RecordingMailbox.start(join(house.home('boxes'), 'second.db')),
  ]
  ;[ann, ben, carol] = await Promise.all([startAnn(), startBen(), start('Carolinus', ['--relay', relay.address])])
  await Promise.all([registered(ann), registered(ben), reserved(ann), reserved(carol)])
  await Promise.all([recorded(ann), recorded(ben), recorded(carol)])
  await befriend({ client: ann.client, name: 'Annabella' }, { client: ben.client, name: 'Benedikta' })
  await befriend({ client: ann.client, name: 'Annabella' }, { client: carol.client, name: 'Carolinus' })
  const own = await Promise.all([
    identitySecrets('Annabella', ann),
    identitySecrets('Benedikta', ben),
    identitySecrets('Carolinus', carol),
  ])
  const said = [texts.linked, ...texts.away, texts.back, texts.carol]
  secrets = [...own.flat(), ...said.map((text) => secretText(`the text "${text.slice(0, 30)}"`, text))]
  await ann.client.messages.send('Benedikta', texts.linked)
  await carol.client.messages.send('Annabella', texts.carol)
  await Promise.all([delivered(ann.client, 'Benedikta', 1), delivered(carol.client, 'Annabella', 1)])
  await carol.stop()
  await ben.stop()
  for (const text of texts.away) {
    await ann.client.messages.send('Benedikta', text)
    await held(ann, 'Benedikta')
  }
  await ann.stop()
  ben = await startBen()
  await until('what was left', async () =>
    (await receivedTexts(ben.client, 'Annabella')).length === 3 ? true : undefined,
  )
  await ben.client.messages.send('Annabella', texts.back)
  await held(ben, 'Annabella')
  await ben.stop()
  ann = await startAnn()
  await delivered(ann.client, 'Benedikta', 3, 60_000)
  expect(await receivedTexts(ann.client, 'Benedikta')).toEqual([texts.back])
  await ann.stop()
  wires = new Map([...wirePaths].map(([name, path]) => [name, readWire(path, apiPorts)]))
}, 120_000)

afterAll(async () => {
  await house.end()
  await relay?.stop()
  await Promise.all((boxes ?? []).map((box) => box.stop()))
})

/** A search that looks in all of these. */
const search = (bytes: readonly Uint8Array[]) => (needle: Uint8Array) =>
  bytes.some((each) => Buffer.from(each.buffer, each.byteOffset, each.length).includes(Buffer.from(needle)))

describe('[threat-model] somebody on the LAN', () => {
  test('neither names, ids, keys nor texts are in any TCP byte, WebSocket message or datagram', () => {
    for (const [name, { raw, messages }] of wires) {
      expect(found(secrets, search([...raw, ...messages])), name).toEqual([])
      expect(messages.length, name).toBeGreaterThan(10)
    }
    // It sees which subprotocol is spoken: the search looks where things are.
    expect(search(wires.get('Benedikta')?.raw ?? [])(textToBytes('miaou-mailbox-v0.2.0'))).toBe(true)
  })

  test('every size of links, of those to relays and of those to mailboxes is a bucket', () => {
    const sizes = new Set([...wires.values()].flatMap(({ messages }) => messages.map(({ length }) => length)))
    expect([...sizes].filter((size) => !paddingBuckets.includes(size))).toEqual([])
    // A link in a circuit leaves room for what the links with its relay put around it (circuits C10): on the last part of
    // its way, from relay to mailbox, the sizes show that it came by a relay.
    const inCircuit = paddingBuckets.map((size) => size - circuitOverhead)
    const allowed = [...paddingBuckets, ...inCircuit]
    for (const { capture } of [relay, ...boxes]) {
      expect([...capture.sizes].filter((size) => !allowed.includes(size))).toEqual([])
    }
  })

  test('a device that everyone may discover shows its peer id, and so does a message sent in the clear: the search finds both', async () => {
    const everyone = await start('Everyone', [])
    const [, peerId] = await identitySecrets('Everyone', everyone)
    if (peerId === undefined) throw new Error('it has a peer id')
    const seen = () => readWire(wirePaths.get('Everyone') ?? '', apiPorts).raw
    await until('mDNS to tell of it', () => (found([peerId], search(seen())).length === 1 ? true : undefined))
    await everyone.stop()
    // A masked frame as a client sends it.
    const payload = Buffer.from(`from ${texts.linked}`)
    const masked = Buffer.from(payload.map((byte, i) => byte ^ (i & 3)))
    const head = Buffer.from('GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n')
    const stream = Buffer.concat([head, Buffer.of(0x82, 0x80 | payload.length, 0, 1, 2, 3), masked])
    expect(found(secrets, search([stream]))).toEqual([])
    expect(found(secrets, search(webSocketMessages(stream)))).toEqual([`the text "${texts.linked.slice(0, 30)}"`])
  })
})

describe('[threat-model] a relay', () => {
  test('has had neither names, ids, keys nor texts in its memory, whatever its keys opened', () => {
    expect(relay.capture.byteCount).toBeGreaterThan(50_000)
    expect(found(secrets, (needle) => relay.capture.has(needle))).toEqual([])
  })

  test('sees which mailbox somebody uses, and neither box, token, deposit nor bundle', () => {
    for (const { capture, address, operations } of [...boxes]) {
      const [, url = ''] = address.split('@')
      expect(relay.capture.dialled.some((dialled) => dialled.startsWith(url))).toBe(true)
      expect(operations.length).toBeGreaterThan(10)
      for (const operation of operations) {
        if ('box' in operation) expect(relay.capture.has(operation.box)).toBe(false)
        if (operation.type !== 'deposit') continue
        expect(relay.capture.has(operation.bytes.subarray(0, 64))).toBe(false)
        if (operation.tokenHash !== undefined) expect(relay.capture.has(operation.tokenHash)).toBe(false)
        // Who has them sees them: the search finds what is there.
        expect(capture.has(operation.box)).toBe(true)
        expect(capture.has(operation.bytes.subarray(0, 64))).toBe(true)
      }
    }
  })

  test('a name that somebody sends it is found', () => {
    relay.capture.add({ nested: [textToBytes('… Annabella …')] })
    expect(found(secrets, (needle) => relay.capture.has(needle))).toEqual(['the name of Annabella'])
  })
})

describe('[threat-model] a mailbox', () => {
  test('has had neither names, ids, keys nor texts in its memory, whatever its keys opened', () => {
    for (const { capture } of boxes) {
      expect(capture.byteCount).toBeGreaterThan(50_000)
      expect(found(secrets, (needle) => capture.has(needle))).toEqual([])
    }
  })

  test('knows an owner by another pseudonym than the next mailbox does, and no two messages or tokens are alike', () => {
    const of = (at: 0 | 1) => {
      const keyed = new Set<string>()
      const add = (bytes: Uint8Array) => keyed.add(Buffer.from(bytes).toString('hex'))
      for (const each of boxes[at].operations) {
        if (each.type === 'register') add(each.box)
        if (each.type === 'tokens') each.hashes.forEach(add)
        if (each.type === 'bundles') each.oneTime.forEach(add)
        if (each.type === 'deposit') add(each.bytes)
      }
      return keyed
    }
    const [first, second] = [of(0), of(1)]
    expect(first.size).toBeGreaterThan(64)
    expect([...first].filter((each) => second.has(each))).toEqual([])
  })

  test('sees of messages one of a few sizes, and the same for texts of many lengths', () => {
    const allowed = new Set(Array.from({ length: 20_000 }, (_, size) => sealedMessageSize(size)))
    // Powers of two, each with what is around it.
    expect(allowed.size).toBeLessThan(9)
    for (const box of boxes) {
      const sizes = box.depositSizes()
      expect(sizes.length).toBeGreaterThanOrEqual(3)
      expect(sizes.filter((size) => !allowed.has(size))).toEqual([])
      const bundles = box.operations.flatMap((each) => (each.type === 'bundles' ? each.oneTime : []))
      expect(bundles.length).toBeGreaterThan(10)
      expect(new Set(bundles.map(({ length }) => length)).size).toBe(1)
    }
  })

  test('sees no connection of who hides her address, neither to leave nor to fetch: only the relay’s', () => {
    const portsOf = (name: string) => wires.get(name)?.ports ?? new Set<number>()
    for (const { capture } of boxes) {
      const remotes = capture.remotes.map((remote) => Number(remote.slice(remote.lastIndexOf(':') + 1)))
      expect(remotes.length).toBeGreaterThan(2)
      expect(remotes.filter((port) => portsOf('Annabella').has(port))).toEqual([])
      // She hides nothing: her own box is fetched straight.
      expect(remotes.some((port) => portsOf('Benedikta').has(port))).toBe(true)
      expect(capture.has(textToBytes('Annabella'))).toBe(false)
    }
  })

  test('has nothing open on its disk; with its key there is what it was given, and no name, id, key or text', async () => {
    await Promise.all(boxes.map((box) => box.stop()))
    for (const box of boxes) {
      const boxIds = box.operations.flatMap((each) => (each.type === 'register' ? [each.box] : []))
      expect(boxIds.length).toBeGreaterThanOrEqual(2)
      // The room that it keeps for a full disk is zeros.
      const files = filesUnder(house.home('boxes')).filter(
        ([path, bytes]) => path.startsWith(box.path) && bytes.some((byte) => byte !== 0),
      )
      expect(files.length).toBeGreaterThan(0)
      const onDisk = search(files.map(([, bytes]) => bytes))
      expect(found(secrets, onDisk)).toEqual([])
      expect(boxIds.filter((id) => onDisk(id))).toEqual([])
      const cells = cellsOf(tablesOf(box.path, box.key))
      expect(found(secrets, search(cells))).toEqual([])
      expect(boxIds.every((id) => search(cells)(id))).toBe(true)
    }
  })

  test('an id that somebody leaves there is found', () => {
    const [, peerId, , key] = secrets
    if (peerId === undefined || key === undefined) throw new Error('there are secrets')
    const box = boxes[0]
    box.capture.add([{ type: 'deposit', bytes: Buffer.concat([Buffer.alloc(7), ...key.forms.slice(0, 1)]) }])
    expect(found(secrets, (needle) => box.capture.has(needle))).toEqual([key.what])
  })
})

/** All cells of a database as bytes; numbers are left out. */
function cellsOf(tables: Awaited<ReturnType<typeof tablesOfHome>>): Uint8Array[] {
  return [...tables.values()].flat().flatMap((row) =>
    Object.values(row).flatMap((value) => {
      if (typeof value === 'string') return [textToBytes(value)]
      return value instanceof Uint8Array ? [value] : []
    }),
  )
}

describe('[threat-model] a contact', () => {
  test('has of its friend what it was told, and nothing of the friend’s other contact: name, id, key, text or token', async () => {
    const [carols, anns] = await Promise.all([
      tablesOfHome(house.home('Carolinus')),
      tablesOfHome(house.home('Annabella')),
    ])
    const has = search(cellsOf(carols))
    const seen = found(secrets, has)
    expect(seen).toEqual(expect.arrayContaining(['the name of Annabella', 'the device key of Annabella']))
    expect(seen.filter((what) => what.includes('Benedikta') || what.includes('away') || what.includes('lake'))).toEqual(
      [],
    )
    // What Annabella gave each of the two to make tokens of: the one for Carolinus is there, the other is not.
    const given = (anns.get('devices') ?? []).flatMap(({ own_deposit_secret: secret }) =>
      secret instanceof Uint8Array ? [secret] : [],
    )
    expect(given.length).toBe(2)
    expect(given.filter((secret) => has(secret)).length).toBe(1)
  })
})

describe('[threat-model] a thief of the device', () => {
  test('locked: no file holds a name, id, text or key', () => {
    const files = filesUnder(house.home('Benedikta'))
    expect(files.length).toBeGreaterThan(3)
    for (const [path, bytes] of files) expect(found(secrets, search([bytes])), path).toEqual([])
    // No file is named after somebody either.
    const paths = files.map(([path]) => textToBytes(path.slice(house.home('Benedikta').length)))
    expect(found(secrets, search(paths))).toEqual([])
    writeFileSync(join(house.home('Benedikta'), 'notes'), `cats: ${texts.back}`)
    expect(found(secrets, search(filesUnder(house.home('Benedikta')).map(([, bytes]) => bytes)))).toEqual([
      `the text "${texts.back}"`,
    ])
  })

  test('unlocked: all that is kept is there, names, ids and texts', async () => {
    const seen = found(secrets, search(cellsOf(await tablesOfHome(house.home('Annabella')))))
    expect(seen).toEqual(
      expect.arrayContaining([
        'the name of Benedikta',
        'the device key of Benedikta',
        'the account key of Carolinus',
        `the text "${texts.back}"`,
        `the text "${texts.linked.slice(0, 30)}"`,
      ]),
    )
  })
})
