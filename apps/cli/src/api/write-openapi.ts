import { writeFileSync } from 'node:fs'
import { openApiDocument } from './openapi-document.ts'

// Writes the document that spec/ holds; a test compares it with the table of operations.
const path = new URL('../../../../spec/openapi.json', import.meta.url)
writeFileSync(path, `${JSON.stringify(await openApiDocument(), undefined, 1)}\n`)
