import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { err, ok, type Result } from '@miaou/core'
import { type OverlaySettings, parseOverlaySettings } from '../overlay/settings.ts'
import { type IceServerSetting, parseIceServers } from './ice-servers.ts'
import { parseReachSettings, type ReachSettings, reachSettingNames } from './reach-settings.ts'

/** What `config.json` in a home may set. Everything is optional, and no host is contacted that is not named here. */
export interface Config extends ReachSettings {
  /** Port to listen on, 1–65535; 0 for any free one. */
  readonly port?: number
  /** Talk to this machine only, mDNS included: for trying Miaou out without touching a network. */
  readonly loopbackOnly?: boolean
  /** STUN and TURN servers (rows D03, D20); at most 8 entries. */
  readonly iceServers?: readonly IceServerSetting[]
  readonly overlay?: OverlaySettings
}

export type ConfigError = { readonly type: 'bad-config'; readonly path: string; readonly detail: string }

const settingNames: readonly string[] = ['port', 'loopbackOnly', 'iceServers', 'overlay', ...reachSettingNames]

export function configPath(home: string): string {
  return join(home, 'config.json')
}

/** The configuration of a home; an absent file is an empty one. Lines that start with `//` are comments. */
export function loadConfig(home: string): Result<Config, ConfigError> {
  const path = configPath(home)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return isAbsent ? ok({}) : err({ type: 'bad-config', path, detail: 'the file cannot be read' })
  }
  return parseConfig(text, path)
}

/** `path` is only for the error. */
export function parseConfig(text: string, path: string): Result<Config, ConfigError> {
  const bad = (detail: string): Result<never, ConfigError> => err({ type: 'bad-config', path, detail })
  let document: unknown
  try {
    document = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ''))
  } catch (error) {
    return bad(`it is not JSON${placeOf(error)}`)
  }
  if (!isRecord(document)) return bad('it must be one JSON object')
  const unknown = Object.keys(document).find((key) => !settingNames.includes(key))
  if (unknown !== undefined) return bad(`"${unknown}" is not a setting; there are: ${settingNames.join(', ')}`)
  const { port, loopbackOnly, iceServers } = document
  if (loopbackOnly !== undefined && typeof loopbackOnly !== 'boolean') {
    return bad('"loopbackOnly" must be true or false')
  }
  if (port !== undefined && !(Number.isInteger(port) && Number(port) >= 0 && Number(port) <= 65_535)) {
    return bad('"port" must be a whole number from 0 (any free one) to 65535')
  }
  const servers = iceServers === undefined ? ok(undefined) : parseIceServers(iceServers)
  if (!servers.ok) return bad(servers.error)
  const overlay = document.overlay === undefined ? ok(undefined) : parseOverlaySettings(document.overlay)
  if (!overlay.ok) return bad(overlay.error)
  const reach = parseReachSettings(document)
  if (!reach.ok) return bad(reach.error)
  return ok({
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(loopbackOnly === undefined ? {} : { loopbackOnly }),
    ...(servers.value === undefined ? {} : { iceServers: servers.value }),
    ...(overlay.value === undefined ? {} : { overlay: overlay.value }),
    ...reach.value,
  })
}

/** Where the parser stopped. The rest of its message quotes the file, in which there may be a TURN password. */
function placeOf(error: unknown): string {
  const [place] = (error instanceof Error && /line \d+ column \d+|at position \d+/.exec(error.message)) || []
  return place === undefined ? '' : `: ${place}`
}

interface JsonObject {
  readonly port?: unknown
  readonly loopbackOnly?: unknown
  readonly iceServers?: unknown
  readonly overlay?: unknown
  readonly relays?: unknown
  readonly mailboxes?: unknown
  readonly relayOnly?: unknown
  readonly serve?: unknown
  readonly publicUrl?: unknown
  readonly tls?: unknown
  readonly behindProxy?: unknown
  readonly stunPort?: unknown
  readonly portMapping?: unknown
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
