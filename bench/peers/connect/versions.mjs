import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const manifest = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'))

/** Name and pinned version of a package, as the table shows it. */
export function named(name) {
  return `${name} ${manifest.dependencies[name]}`
}
