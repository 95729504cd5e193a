import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where a running peer of a home serves its API. */
export interface ApiFile {
  readonly url: string
  readonly token: string
  readonly pid: number
  /** A daemon, or a conversation that somebody sits at. */
  readonly kind: 'daemon' | 'chat'
}

// By hand: this is read at the start of every command, and a schema library takes longer to load than all the rest.
function isApiFile(value: unknown): value is ApiFile {
  if (typeof value !== 'object' || value === null) return false
  const { url, token, pid, kind } = value as { readonly [F in keyof ApiFile]?: unknown }
  return (
    typeof url === 'string' &&
    typeof token === 'string' &&
    Number.isSafeInteger(pid) &&
    (kind === 'daemon' || kind === 'chat')
  )
}

function apiFilePath(home: string): string {
  return join(home, 'api.json')
}

/** Tells programs of the same person where the API is. Only the owner can read it; it appears whole or not at all. */
export function writeApiFile(home: string, content: ApiFile): void {
  const path = apiFilePath(home)
  const fresh = `${path}.${randomBytes(6).toString('hex')}`
  writeFileSync(fresh, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' })
  chmodSync(fresh, 0o600)
  renameSync(fresh, path)
}

/** Undefined when there is none, or one that cannot be read. */
export function readApiFile(home: string): ApiFile | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(apiFilePath(home), 'utf8'))
    return isApiFile(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** Removes the file unless another process has written its own in the meantime. */
export function removeApiFile(home: string, token: string): void {
  if (readApiFile(home)?.token === token) rmSync(apiFilePath(home), { force: true })
}
