import { describe, expect, test } from 'vitest'
import { bootstrapText, parseBootstrapNode } from '../src/overlay/bootstrap-node.ts'
import { isAdmissiblePublicKey } from '../src/overlay/public-key.ts'
import { defaultOverlaySettings, parseOverlaySettings, settingsOfRun } from '../src/overlay/settings.ts'

function node(byte: number) {
  const parsed = parseBootstrapNode(
    bootstrapText(new Uint8Array(32).fill(byte), { host: '127.0.0.1', port: 9000 + byte }),
  )
  if (!parsed.ok) throw new Error(parsed.error)
  return parsed.value
}

describe('what one run is told besides config.json', () => {
  test('nothing: the settings as they are, else the defaults', () => {
    expect(settingsOfRun(undefined, {})).toEqual(defaultOverlaySettings)
    const configured = parseOverlaySettings({ port: 7, mode: 'client' })
    expect(configured.ok && settingsOfRun(configured.value, {})).toEqual(configured.ok && configured.value)
  })

  test('the port wins over the configured one, also 0; nodes come before the configured ones', () => {
    const settings = {
      ...defaultOverlaySettings,
      port: 7,
      bootstrap: { ...defaultOverlaySettings.bootstrap, primaryNodes: [node(1)] },
    }
    const run = settingsOfRun(settings, { overlayPort: 0, bootstrapNodes: [node(2)] })
    expect(run.port).toBe(0)
    expect(run.bootstrap.primaryNodes).toEqual([node(2), node(1)])
    expect(run.bootstrap.fallbackNodes).toEqual([])
  })
})

test.each([
  // RFC 8032 §7.1, TEST 1.
  ['d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', true],
  // The neutral element, a point of order 8, a y above the prime, too short.
  ['0100000000000000000000000000000000000000000000000000000000000000', false],
  ['26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', false],
  ['ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', false],
  ['d75a98', false],
])('[I07] a public key that may be published: %s %s', async (hex, isAdmissible) => {
  expect(await isAdmissiblePublicKey(Uint8Array.from(Buffer.from(hex, 'hex')))).toBe(isAdmissible)
})
