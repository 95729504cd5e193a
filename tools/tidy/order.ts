import { findImports, importedWorkspace, workspaceOf } from './imports.ts'
import { isTypeScript, type SourceFile, type Violation } from './source-file.ts'

/** The rooms of ARCHITECTURE.md: sources of a room import only from rooms before it. */
export const rooms: readonly string[] = [
  'packages/core',
  'packages/crypto',
  'packages/keyring',
  'packages/protocol',
  'packages/overlay',
  'packages/network',
  'packages/directory',
  'packages/messaging',
  'packages/peer',
  'packages/sdk',
  'packages/text',
  'packages/host-node',
  'packages/host-browser',
  'apps/cli',
  'apps/web',
  'testkit',
  'sim',
  'lab',
  'e2e',
  'bench',
  'examples',
  'tools',
]

/** Rooms that are about the others' insides, as tests are: they may reach past an index. */
const beside: readonly string[] = ['testkit', 'sim', 'lab', 'e2e', 'bench', 'tools']

/** `@miaou/core` → `packages/core`, read from the manifests. */
export function workspaceFolders(files: readonly SourceFile[]): Map<string, string> {
  const folders = new Map<string, string>()
  for (const { path, text } of files) {
    const match = /^((?:packages|apps)\/[^/]+|[^/]+)\/package\.json$/.exec(path)
    const manifest: { name?: unknown } = match === null ? {} : JSON.parse(text)
    if (match?.[1] !== undefined && typeof manifest.name === 'string') folders.set(manifest.name, match[1])
  }
  return folders
}

/** Sources that import from a room after theirs, past a package's index, or from a room that is not listed. */
export function findOrderViolations(files: readonly SourceFile[]): Violation[] {
  const folders = workspaceFolders(files)
  const violations: Violation[] = []
  for (const file of files) {
    const own = workspaceOf(file.path)
    if (!isTypeScript(file.path) || own === undefined || !/\/src\//.test(file.path)) continue
    const place = rooms.indexOf(own)
    if (place === -1) {
      violations.push({
        rule: 'order',
        path: file.path,
        message: `${own} is not in the list of rooms (tools/tidy/order.ts)`,
      })
      continue
    }
    for (const { specifier, line } of findImports(file)) {
      const target = importedWorkspace(file, specifier, folders)
      if (target === undefined || target === own) continue
      const at = { rule: 'order', path: file.path, line }
      if (rooms.indexOf(target) > place)
        violations.push({ ...at, message: `${own} may not import ${target}, a later room` })
      else if (beside.includes(own)) continue
      else if (specifier.startsWith('.'))
        violations.push({ ...at, message: `import ${target} by its name, not by a path` })
      else if (/\/src\//.test(specifier)) violations.push({ ...at, message: `import ${target} through its index` })
    }
  }
  return violations
}

/** Cycles between packages, by the manifests' production dependencies and by the sources' imports. */
export function findPackageCycles(files: readonly SourceFile[]): Violation[] {
  const folders = workspaceFolders(files)
  const edges = new Map<string, Set<string>>()
  const connect = (from: string, to: string | undefined): void => {
    if (to === undefined || to === from) return
    edges.set(from, (edges.get(from) ?? new Set()).add(to))
  }
  for (const file of files) {
    const own = workspaceOf(file.path)
    if (own === undefined) continue
    if (file.path === `${own}/package.json`) {
      const manifest: { dependencies?: Record<string, string> } = JSON.parse(file.text)
      for (const name of Object.keys(manifest.dependencies ?? {})) connect(own, folders.get(name))
    }
    if (!isTypeScript(file.path) || !/\/src\//.test(file.path)) continue
    for (const { specifier } of findImports(file)) connect(own, importedWorkspace(file, specifier, folders))
  }
  return [...cyclesOf(edges)].map((cycle) => ({
    rule: 'cycle',
    path: `${cycle[0]}/package.json`,
    message: `packages import each other in a circle: ${cycle.join(' → ')}`,
  }))
}

function* cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): Generator<string[]> {
  const done = new Set<string>()
  function* visit(node: string, trail: readonly string[]): Generator<string[]> {
    const start = trail.indexOf(node)
    if (start !== -1) {
      yield [...trail.slice(start), node]
      return
    }
    if (done.has(node)) return
    for (const next of edges.get(node) ?? []) yield* visit(next, [...trail, node])
    done.add(node)
  }
  for (const node of edges.keys()) yield* visit(node, [])
}
