import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from './openapi-document.ts'

// Writes the document that spec/ holds; a test compares it with the table of operations.
const path = fileURLToPath(new URL('../../../../spec/openapi.json', import.meta.url))
writeFileSync(path, JSON.stringify(await openApiDocument()))
execFileSync('npx', ['biome', 'format', '--write', path], { stdio: 'inherit' })
