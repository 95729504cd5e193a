import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** Where a running peer of a home serves its API. */
export interface ApiFile {
  readonly url: string
  readonly token: string
  readonly pid: number
  /** A daemon, or a conversation that somebody sits at. */
  readonly kind: 'daemon' | 'chat'
}

const apiFileSchema: z.ZodType<ApiFile> = z.object({
  url: z.string(),
  token: z.string(),
  pid: z.number().int(),
  kind: z.enum(['daemon', 'chat']),
})

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
    const parsed = apiFileSchema.safeParse(JSON.parse(readFileSync(apiFilePath(home), 'utf8')))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

/** Removes the file unless another process has written its own in the meantime. */
export function removeApiFile(home: string, token: string): void {
  if (readApiFile(home)?.token === token) rmSync(apiFilePath(home), { force: true })
}
