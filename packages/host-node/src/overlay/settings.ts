import { err, ok, type Result } from '@miaou/core'
import { type BootstrapSettings, defaultBootstrapConfig, parseBootstrapSettings } from './bootstrap-config.ts'
import type { BootstrapNode } from './bootstrap-node.ts'

/** What `overlay` of `config.json` may set. */
export interface OverlaySettings {
  /** Whether this peer is a node of the overlay. Default true. */
  readonly enabled: boolean
  /** UDP port, the next free one when it is taken; 0 for any. Default: that of the WebSocket listener. */
  readonly port: number | undefined
  /** `server`: others may keep this node in their tables. `auto` (default): as soon as it knows that strangers reach it. */
  readonly mode: 'auto' | 'server' | 'client'
  readonly bootstrap: BootstrapSettings
  /** Whether contacts are told, over their links, how to reach this node: it ties the node to its person. Default true. */
  readonly tellContacts: boolean
}

export const defaultOverlaySettings: OverlaySettings = {
  enabled: true,
  port: undefined,
  mode: 'auto',
  bootstrap: defaultBootstrapConfig,
  tellContacts: true,
}

const settingNames: readonly string[] = ['enabled', 'port', 'mode', 'bootstrap', 'tellContacts']

interface Fields {
  readonly enabled?: unknown
  readonly port?: unknown
  readonly mode?: unknown
  readonly bootstrap?: unknown
  readonly tellContacts?: unknown
}

/** The error is in words, without what stands in the file. */
export function parseOverlaySettings(value: unknown): Result<OverlaySettings, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return err('"overlay" must be an object')
  const unknown = Object.keys(value).find((name) => !settingNames.includes(name))
  if (unknown !== undefined) {
    return err(`"${unknown}" is not a setting of "overlay"; there are: ${settingNames.join(', ')}`)
  }
  const { enabled = true, port, mode = 'auto', bootstrap = [], tellContacts = true }: Fields = value
  if (typeof enabled !== 'boolean') return err('"enabled" of "overlay" must be true or false')
  if (typeof tellContacts !== 'boolean') return err('"tellContacts" of "overlay" must be true or false')
  if (port !== undefined && !isPort(port)) return err('"port" of "overlay" must be a whole number from 0 to 65535')
  if (!isMode(mode)) return err('"mode" of "overlay" must be "auto", "server" or "client"')
  const nodes = parseBootstrapSettings(bootstrap)
  if (!nodes.ok) return err(`"bootstrap" of "overlay": ${nodes.error}`)
  return ok({ enabled, port, mode, bootstrap: nodes.value, tellContacts })
}

/** What is configured (else the defaults), with what one run was told besides. */
export function settingsOfRun(
  settings: OverlaySettings = defaultOverlaySettings,
  run: {
    readonly overlayPort?: number
    readonly bootstrapNodes?: readonly BootstrapNode[]
    readonly relayOnly?: boolean
  },
): OverlaySettings {
  const { overlayPort = settings.port, bootstrapNodes = [], relayOnly = false } = run
  const primaryNodes = [...bootstrapNodes, ...settings.bootstrap.primaryNodes]
  const ofRun = { ...settings, port: overlayPort, bootstrap: { ...settings.bootstrap, primaryNodes } }
  // The overlay's key is nobody's name as long as no contact is told whose it is, and a client is in nobody's table.
  return relayOnly ? { ...ofRun, mode: 'client', tellContacts: false } : ofRun
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535
}

function isMode(value: unknown): value is OverlaySettings['mode'] {
  return value === 'auto' || value === 'server' || value === 'client'
}
