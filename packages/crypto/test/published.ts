import { existsSync, readFileSync } from 'node:fs'
import { hexToBytes } from '@miaou/core'

const folder = new URL('../../../../shared/vectors/', import.meta.url)

/** Whether ../shared/vectors (beside the project) is there; the tests on published vectors say so and are skipped. */
export const hasPublishedVectors: boolean = existsSync(folder)
export const publishedNote: string = hasPublishedVectors ? '' : ' (skipped: ../shared/vectors is missing)'

export function readPublished<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
}

export function hex(text: string): Uint8Array {
  const bytes = hexToBytes(text)
  if (bytes === undefined) throw new Error(`not hexadecimal: ${text}`)
  return bytes
}
