import { findImports, importedWorkspace, workspaceOf } from './imports.ts'
import { workspaceFolders } from './order.ts'
import { isTypeScript, type SourceFile, type Violation } from './source-file.ts'

/**
 * The workspaces that sources import are exactly those their package.json declares. (Packages of others are knip's to
 * check; ours are not left to it because tests may import any of them without saying so.)
 */
export function findUndeclaredWorkspaces(files: readonly SourceFile[]): Violation[] {
  const folders = workspaceFolders(files)
  const used = new Map<string, Map<string, { path: string; line: number }>>()
  for (const file of files) {
    const own = workspaceOf(file.path)
    if (own === undefined || !isTypeScript(file.path) || isTestOf(own, file.path)) continue
    for (const { specifier, line } of findImports(file)) {
      if (specifier.startsWith('.')) continue
      const target = importedWorkspace(file, specifier, folders)
      if (target === undefined || target === own) continue
      const known = used.get(own) ?? new Map<string, { path: string; line: number }>()
      used.set(own, known.set(target, known.get(target) ?? { path: file.path, line }))
    }
  }
  return [...folders].flatMap(([, folder]) => compare(files, folders, folder, used.get(folder) ?? new Map()))
}

/** Whether users install it: then a declaration too many is a download too many. */
function isShipped(folder: string): boolean {
  return /^(?:packages|apps)\//.test(folder)
}

/** Of a library's files only `src` counts; all files of e2e and its like are what the package is for. */
function isTestOf(own: string, path: string): boolean {
  return isShipped(own) && !path.startsWith(`${own}/src/`)
}

function compare(
  files: readonly SourceFile[],
  folders: ReadonlyMap<string, string>,
  folder: string,
  used: ReadonlyMap<string, { readonly path: string; readonly line: number }>,
): Violation[] {
  const path = `${folder}/package.json`
  const text = files.find((file) => file.path === path)?.text ?? '{}'
  const manifest: { dependencies?: Record<string, string> } = JSON.parse(text)
  const declared = new Set(
    Object.keys(manifest.dependencies ?? {}).flatMap((name) => {
      const target = folders.get(name)
      return target === undefined ? [] : [target]
    }),
  )
  const missing = [...used]
    .filter(([target]) => !declared.has(target))
    .map(([target, at]) => ({ rule: 'declared', ...at, message: `${target} is imported but not in ${path}` }))
  const spare = [...declared]
    .filter((target) => isShipped(folder) && !used.has(target))
    .map((target) => ({ rule: 'declared', path, message: `${target} is declared but not imported` }))
  return [...missing, ...spare]
}
