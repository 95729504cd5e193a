import { createHmac } from 'node:crypto'
import { err, ok, Redacted, type Result } from '@miaou/core'
import { formatIceUrl, iceUrlLengthMax, parseIceUrl } from '../nat/ice-url.ts'
import type { IceServer } from '../webrtc/options.ts'

/** One entry of `iceServers` in config.json (rows D03, D20): STUN and TURN servers with the same credentials. */
export interface IceServerSetting {
  readonly urls: readonly string[]
  /** What goes with a TURN server: a fixed password, or a secret shared with it, of which passwords for a time are made. */
  readonly credentials?:
    | { readonly type: 'fixed'; readonly username: string; readonly credential: Redacted<string> }
    | { readonly type: 'timed'; readonly name: string; readonly secret: Redacted<string> }
}

/** Own choices: more than anybody runs, and names and passwords as long as TURN takes (RFC 8489 §14.3: under 509 bytes). */
export const iceServersMax = 8
export const iceUrlsMax = 8
export const iceTextLengthMax = 256

/** Time-limited credentials hold between one and two of these. Own choice: a call may last a night. */
export const turnPeriodMs: number = 12 * 60 * 60 * 1000

const fieldNames: readonly string[] = ['urls', 'username', 'credential', 'secret']

/** The entries of `iceServers`. The error names the entry and what is wrong with it, never a value of its. */
export function parseIceServers(value: unknown): Result<IceServerSetting[], string> {
  if (!Array.isArray(value) || value.length > iceServersMax) {
    return err(`"iceServers" must be a list of at most ${iceServersMax}`)
  }
  const settings: IceServerSetting[] = []
  for (const [index, entry] of value.entries()) {
    const setting = parseEntry(entry)
    if (!setting.ok) return err(`"iceServers", entry ${index + 1}: ${setting.error}`)
    settings.push(setting.value)
  }
  return ok(settings)
}

/** The servers with the credentials that hold at `wallMs` (ms since the Unix epoch), for a WebRTC library. */
export function iceServersAt(settings: readonly IceServerSetting[], wallMs: number): IceServer[] {
  return settings.map(({ urls, credentials }) => {
    if (credentials === undefined) return { urls }
    if (credentials.type === 'fixed') {
      return { urls, username: credentials.username, credential: credentials.credential.expose() }
    }
    return { urls, ...timedCredentials(credentials.secret.expose(), credentials.name, wallMs) }
  })
}

/** When `iceServersAt` gives others (ms since the Unix epoch): a whole period before the old ones end. */
export function iceServersRenewAt(settings: readonly IceServerSetting[], wallMs: number): number {
  const isTimed = settings.some(({ credentials }) => credentials?.type === 'timed')
  return isTimed ? (Math.floor(wallMs / turnPeriodMs) + 1) * turnPeriodMs : Number.POSITIVE_INFINITY
}

/** The REST form that coturn takes (`use-auth-secret`): `<expiry in Unix seconds>:<name>`, and its HMAC-SHA1 in base64. */
function timedCredentials(secret: string, name: string, wallMs: number): { username: string; credential: string } {
  const expiry = ((Math.floor(wallMs / turnPeriodMs) + 2) * turnPeriodMs) / 1000
  const username = `${expiry}:${name}`
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') }
}

function parseEntry(entry: unknown): Result<IceServerSetting, string> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return err('it must be an object')
  const fields: Readonly<Record<string, unknown>> = { ...entry }
  if (Object.keys(fields).some((name) => !fieldNames.includes(name))) {
    return err(`it has a field other than ${fieldNames.join(', ')}`)
  }
  const { urls: given, username, credential, secret } = fields
  const texts = typeof given === 'string' ? [given] : given
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > iceUrlsMax) {
    return err(`"urls" must be one URL or a list of at most ${iceUrlsMax}`)
  }
  const urls = texts.map((text) => (typeof text === 'string' ? parseIceUrl(text) : undefined))
  if (urls.includes(undefined)) {
    return err(
      `each of "urls" must be like stun:host:3478, turn:host:3478?transport=udp (or tcp) or turns:host:5349, ` +
        `of at most ${iceUrlLengthMax} characters`,
    )
  }
  const known = urls.filter((url) => url !== undefined)
  for (const [name, value] of [
    ['username', username],
    ['credential', credential],
    ['secret', secret],
  ] as const) {
    if (value !== undefined && !isText(value))
      return err(`"${name}" must be a text of 1 to ${iceTextLengthMax} characters`)
  }
  const setting = { urls: known.map(formatIceUrl) }
  if (known.every(({ kind }) => kind === 'stun')) {
    const hasAny = [username, credential, secret].some((value) => value !== undefined)
    return hasAny ? err('STUN servers take no "username", "credential" or "secret"') : ok(setting)
  }
  if (isText(secret)) {
    if (credential !== undefined) return err('give "secret" or "credential", not both')
    const name = isText(username) ? username : 'miaou'
    if (name.includes(':')) return err('beside "secret", "username" must be without ":"')
    return ok({ ...setting, credentials: { type: 'timed', name, secret: new Redacted(secret) } })
  }
  if (!isText(username) || !isText(credential)) {
    return err('a TURN server needs "username" and "credential", or a "secret"')
  }
  return ok({ ...setting, credentials: { type: 'fixed', username, credential: new Redacted(credential) } })
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= iceTextLengthMax && !/\p{Cc}/u.test(value)
}
