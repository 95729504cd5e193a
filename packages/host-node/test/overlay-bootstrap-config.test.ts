import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesToBase64url, bytesToHex } from '@miaou/core'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type BootstrapListError,
  defaultBootstrapConfig,
  loadBootstrapConfig,
  loadBootstrapList,
  parseBootstrapSettings,
} from '../src/overlay/bootstrap-config.ts'
import { bootstrapText, parseBootstrapAddress, parseBootstrapNode } from '../src/overlay/bootstrap-node.ts'
import { defaultOverlaySettings, parseOverlaySettings } from '../src/overlay/settings.ts'
import { parseConfig } from '../src/peer/config.ts'

const publicKey = new Uint8Array(32).fill(7)
const keyText = bytesToBase64url(publicKey)
const id = createHash('sha256').update(publicKey).digest('hex')

let folder: string | undefined

afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  folder = undefined
})

function write(name: string, text: string): string {
  folder ??= mkdtempSync(join(tmpdir(), 'miaou-lists-'))
  writeFileSync(join(folder, name), text)
  return folder
}

describe('[C15] addresses of bootstrap nodes', () => {
  test.each([
    ['bootstrap1.miaou.chat:9999', { host: 'bootstrap1.miaou.chat', port: 9999 }],
    ['[2001:db8::1]:9999', { host: '2001:db8::1', port: 9999 }],
    ['192.0.2.1:1', { host: '192.0.2.1', port: 1 }],
    ['localhost:65535', { host: 'localhost', port: 65_535 }],
  ])('%s is one', (text, address) => {
    expect(parseBootstrapAddress(text)).toEqual(address)
  })

  test.each([
    '',
    'host',
    'host:',
    ':9999',
    'host:0',
    'host:65536',
    'host:99999',
    'host:9999:1',
    '2001:db8::1:9999',
    '[2001:db8::1]',
    '[host]:9999',
    '[192.0.2.1]:9999',
    '1.2.3:9999',
    '1.2.3.256:9999',
    'a b:9999',
    '-a.org:9999',
    `${'a'.repeat(64)}.org:9999`,
    `${'a.'.repeat(127)}org:9999`,
    'http://host:9999',
    'ho/st:9999',
  ])('%s is none', (text) => {
    expect(parseBootstrapAddress(text)).toBeUndefined()
  })
})

describe('[C14] bootstrap nodes', () => {
  test('the short form is a key and one address', () => {
    expect(parseBootstrapNode(`${keyText}@bootstrap1.miaou.chat:9999`)).toEqual({
      ok: true,
      value: {
        id,
        publicKey,
        addresses: ['bootstrap1.miaou.chat:9999'],
        reliabilityScore: 0.5,
        lastSeen: undefined,
      },
    })
  })

  test('the long form has the names of the row, several addresses, IPv6 among them', () => {
    const addresses = ['bootstrap2.miaou.chat:9999', '[2001:db8::1]:9999']
    const entry = { id, addresses, publicKey: keyText, reliabilityScore: 0.98, lastSeen: 1_795_000_000_000 }
    expect(parseBootstrapNode(entry)).toEqual({ ok: true, value: { ...entry, publicKey } })
    const single = parseBootstrapNode({ address: 'a:1', publicKey: keyText })
    expect(single).toMatchObject({ ok: true, value: { addresses: ['a:1'] } })
  })

  test('what a node shows of itself is read back', () => {
    for (const host of ['192.0.2.1', '2001:db8::1']) {
      const text = bootstrapText(publicKey, { host, port: 9999 })
      expect(parseBootstrapNode(text)).toMatchObject({ ok: true, value: { publicKey, id } })
    }
  })

  test.each([
    ['no key', 'host:9999'],
    ['a short key', 'AAAA@host:9999'],
    ['a key that is no base64url', `${'!'.repeat(43)}@host:9999`],
    ['no port', `${keyText}@host`],
    ['a number', 7],
    ['nothing', null],
    ['a list', []],
    ['an unknown field', { publicKey: keyText, address: 'a:1', weight: 1 }],
    ['no address', { publicKey: keyText, addresses: [] }],
    ['nine addresses', { publicKey: keyText, addresses: Array(9).fill('a:1') }],
    ['an address that is a number', { publicKey: keyText, addresses: [1] }],
    ['the id of another key', { publicKey: keyText, address: 'a:1', id: bytesToHex(publicKey) }],
    ['a score above 1', { publicKey: keyText, address: 'a:1', reliabilityScore: 1.1 }],
    ['a score below 0', { publicKey: keyText, address: 'a:1', reliabilityScore: -0.1 }],
    ['a date that is text', { publicKey: keyText, address: 'a:1', lastSeen: 'today' }],
  ])('%s is refused with a reason', (_, entry) => {
    const node = parseBootstrapNode(entry)
    expect(node.ok).toBe(false)
    if (!node.ok) expect(node.error.length).toBeGreaterThan(10)
  })

  test('entries of any form never throw', () => {
    fc.assert(fc.property(fc.anything(), (entry) => !parseBootstrapNode(entry).ok))
    fc.assert(fc.property(fc.string(), (host) => typeof parseBootstrapNode(`${keyText}@${host}`).ok === 'boolean'))
  })
})

describe('[C13] lists of bootstrap nodes', () => {
  const node = (host: string) => `${keyText}@${host}:9999`

  test('what is shipped names nobody', () => {
    expect(defaultBootstrapConfig).toEqual({ primaryNodes: [], fallbackNodes: [], communityNodes: [] })
    expect(defaultOverlaySettings.bootstrap).toBe(defaultBootstrapConfig)
  })

  test('a plain list is that of the primary nodes', () => {
    const settings = parseBootstrapSettings([node('a'), node('b')])
    expect(settings).toMatchObject({ ok: true, value: { fallbackNodes: [], communityNodes: [] } })
    if (settings.ok)
      expect(settings.value.primaryNodes.map(({ addresses }) => addresses[0])).toEqual(['a:9999', 'b:9999'])
  })

  test('fallback and community lists come from files of their own, beside the configuration', () => {
    const home = write('fallback.json', `// kept by us\n[${JSON.stringify(node('f'))}]`)
    write('community.json', JSON.stringify([{ publicKey: keyText, address: 'c:1' }]))
    const settings = parseBootstrapSettings({
      primaryNodes: [node('p')],
      fallbackNodes: 'fallback.json',
      communityNodes: join(home, 'community.json'),
    })
    if (!settings.ok) throw new Error(settings.error)
    const problems: BootstrapListError[] = []
    const config = loadBootstrapConfig(settings.value, home, (problem) => problems.push(problem))
    expect(problems).toEqual([])
    const first = [config.primaryNodes, config.fallbackNodes, config.communityNodes].map((list) => list[0]?.addresses)
    expect(first).toEqual([['p:9999'], ['f:9999'], ['c:1']])
  })

  test('a file that is absent, too large, no JSON or no list costs its list and nothing else', () => {
    const home = write('text.json', 'oops')
    write('object.json', '{}')
    write('large.json', ' '.repeat(65_537))
    write('many.json', JSON.stringify(Array(65).fill(node('m'))))
    write('full.json', JSON.stringify(Array(64).fill(node('m'))))
    for (const name of ['absent.json', 'text.json', 'object.json', 'large.json', 'many.json']) {
      const problems: BootstrapListError[] = []
      const settings = { primaryNodes: [], fallbackNodes: name, communityNodes: 'full.json' }
      const config = loadBootstrapConfig(settings, home, (problem) => problems.push(problem))
      expect(config.fallbackNodes).toEqual([])
      expect(config.communityNodes).toHaveLength(64)
      expect(problems).toMatchObject([{ type: 'bad-bootstrap-list', path: join(home, name) }])
    }
    expect(loadBootstrapList(home)).toMatchObject({ ok: false })
  })
})

describe('overlay of config.json', () => {
  test('[C15] [C16] the official hosts stand in the example only, commented, and parse', () => {
    const text = readFileSync(new URL('../../../docs/config.example.json', import.meta.url), 'utf8')
    expect(parseConfig(text, 'x')).toEqual({ ok: true, value: {} })
    const body = text.slice(text.indexOf('{\n') + 2)
    const config = parseConfig(`{${body.replace(/^ *\/\/ ?/gm, '')}`, 'x')
    if (!config.ok) throw new Error(config.error.detail)
    const { overlay = defaultOverlaySettings } = config.value
    expect(overlay).toMatchObject({ enabled: true, port: 9999, mode: 'auto' })
    const { primaryNodes, fallbackNodes, communityNodes } = overlay.bootstrap
    expect(primaryNodes.flatMap(({ addresses }) => addresses)).toEqual([
      'bootstrap1.miaou.chat:9999',
      'bootstrap2.miaou.chat:9999',
      '[2001:db8::1]:9999',
    ])
    expect(primaryNodes[1]).toMatchObject({ reliabilityScore: 0.98, lastSeen: 1_795_000_000_000 })
    expect(fallbackNodes).toMatchObject([{ addresses: ['directory.miaou.chat:9999'] }])
    expect(communityNodes).toBe('community-nodes.json')
  })

  test('everything may be left out', () => {
    expect(parseOverlaySettings({})).toEqual({ ok: true, value: defaultOverlaySettings })
    expect(parseOverlaySettings({ enabled: false, port: 0, mode: 'client' })).toMatchObject({
      ok: true,
      value: { enabled: false, port: 0, mode: 'client' },
    })
  })

  test.each([
    ['a list', []],
    ['an unknown setting', { on: true }],
    ['an enabled that is text', { enabled: 'yes' }],
    ['a port out of range', { port: 65_536 }],
    ['a port that is no whole number', { port: 1.5 }],
    ['an unknown mode', { mode: 'both' }],
    ['a bootstrap that is text', { bootstrap: 'host:9999' }],
    ['a bootstrap entry without a key', { bootstrap: ['host:9999'] }],
    ['an unknown list', { bootstrap: { nodes: [] } }],
    ['65 nodes', { bootstrap: Array(65).fill(`${keyText}@a:1`) }],
    ['primary nodes in a file', { bootstrap: { primaryNodes: 'a.json' } }],
    ['an empty path', { bootstrap: { fallbackNodes: '' } }],
  ])('%s is refused with the path of the file', (_, overlay) => {
    const config = parseConfig(JSON.stringify({ overlay }), '/home/config.json')
    expect(config).toMatchObject({ ok: false, error: { type: 'bad-config', path: '/home/config.json' } })
  })
})
