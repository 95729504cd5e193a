import { posix } from 'node:path'
import { maskCode } from './mask.ts'
import { lineOf, type SourceFile } from './source-file.ts'

export interface Import {
  readonly specifier: string
  readonly line: number
}

const patterns = [
  /\b(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])([^'"\n]+)\1/g,
  /\bimport\s*(['"])([^'"\n]+)\1/g,
  /\bimport\s*\(\s*(['"])([^'"\n]+)\1/g,
  /\brequire\s*\(\s*(['"])([^'"\n]+)\1/g,
]

/** Every import, re-export, dynamic import and require with a literal name. */
export function findImports(file: SourceFile): Import[] {
  const code = maskCode(file.text, { strings: false })
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => ({ specifier: match[2] ?? '', line: lineOf(code, match.index) })),
  )
}

/** Folder of the workspace that a path belongs to: `packages/core`, `apps/cli`, `testkit`; undefined for the root. */
export function workspaceOf(path: string): string | undefined {
  const [first, second, ...rest] = path.split('/')
  if ((first === 'packages' || first === 'apps') && second !== undefined && rest.length > 0) return `${first}/${second}`
  return second === undefined ? undefined : first
}

/** The workspace an import leads to; undefined for a package of somebody else. */
export function importedWorkspace(
  file: SourceFile,
  specifier: string,
  folders: ReadonlyMap<string, string>,
): string | undefined {
  if (specifier.startsWith('.')) return workspaceOf(posix.join(posix.dirname(file.path), specifier))
  const [scope, name] = specifier.split('/')
  const packageName = scope?.startsWith('@') === true ? `${scope}/${name}` : scope
  return folders.get(packageName ?? '')
}
