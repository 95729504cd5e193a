import { maskCode } from './mask.ts'
import { findMatches, isTypeScript, type SourceFile, type Violation } from './source-file.ts'

/** Ways round the type checker, and code made from text (row A22: nothing unsafe). */
const escapesInCode = /\bas\s+unknown\s+as\b|\bas\s+any\b|(?<![\w.])eval\s*\(|\bnew\s+Function\s*\(/g
const escapesInComments =
  /@ts-(?:ignore|expect-error|nocheck)\b|biome-ignore(?:-all)?\s+lint\/suspicious\/noExplicitAny/g

export function findEscapes(files: readonly SourceFile[]): Violation[] {
  return files
    .filter(({ path }) => isTypeScript(path) && !path.startsWith('tools/'))
    .flatMap((file) => [
      ...findMatches(file, maskCode(file.text, { strings: true }), escapesInCode, 'escape', tell),
      ...findMatches(file, file.text, escapesInComments, 'escape', tell),
    ])
}

function tell(found: string): string {
  return `${found}: say it in types that the compiler can check`
}
