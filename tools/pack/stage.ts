import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../run/part.ts'

/** A package.json as far as packing reads and writes it. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly private?: boolean
  readonly type?: string
  readonly license?: string
  readonly engines?: Readonly<Record<string, string>>
  readonly bin?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export interface PublicPackage {
  /** From the root of the project. */
  readonly folder: string
  readonly manifest: Manifest
}

/** The workspaces that are published: those of packages/ and apps/ that are not private. */
export function publicPackages(): PublicPackage[] {
  return ['packages', 'apps'].flatMap((room) =>
    readdirSync(join(root, room), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, room, entry.name, 'package.json')))
      .map((entry) => {
        const folder = `${room}/${entry.name}`
        return { folder, manifest: readManifest(join(root, folder, 'package.json')) }
      })
      .filter(({ manifest }) => manifest.private !== true),
  )
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest
}

/**
 * The package.json of the tarball: exports lead to the compiled files, nothing of development stays. npm does not apply
 * `publishConfig.exports`, so the manifest itself is rewritten.
 */
export function publishedManifest(manifest: Manifest): Record<string, unknown> {
  const { name, version, description, type, license, engines, bin, dependencies, optionalDependencies } = manifest
  const exports: Record<string, unknown> = {}
  for (const [entry, source] of Object.entries(manifest.exports ?? {})) {
    const compiled = source.replace('./src/', './dist/')
    exports[entry] = { types: compiled.replace(/\.ts$/, '.d.ts'), default: compiled.replace(/\.ts$/, '.js') }
  }
  return {
    name,
    version,
    ...(description === undefined ? {} : { description }),
    ...(license === undefined ? {} : { license }),
    type: type ?? 'module',
    ...(engines === undefined ? {} : { engines: { node: engines['node'] } }),
    ...(bin === undefined ? {} : { bin }),
    exports,
    files: ['dist', 'bin', 'README.md', 'LICENSE'],
    ...(dependencies === undefined ? {} : { dependencies }),
    ...(optionalDependencies === undefined ? {} : { optionalDependencies }),
  }
}

/** Lays one package out as it is published, in a fresh folder. */
export function stagePackage({ folder, manifest }: PublicPackage, stage: string): void {
  const from = join(root, folder)
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  copyCompiled(from, stage)
  if (existsSync(join(from, 'bin'))) stageBin(join(from, 'bin'), join(stage, 'bin'))
  cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'))
  const readme = join(from, 'README.md')
  writeFileSync(join(stage, 'README.md'), existsSync(readme) ? readFileSync(readme) : shortReadme(manifest))
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`)
}

/** The compiled files whose source still exists (the compiler leaves those of deleted sources), and other assets. */
function copyCompiled(from: string, stage: string): void {
  for (const path of filesBelow(join(from, 'src'))) {
    const isSource = path.endsWith('.ts') && !path.endsWith('.d.ts')
    const copies = isSource ? ['.js', '.d.ts'].map((end) => path.replace(/\.ts$/, end)) : [path]
    for (const copy of copies) {
      const target = join(stage, 'dist', copy)
      mkdirSync(dirname(target), { recursive: true })
      cpSync(join(from, isSource ? 'dist' : 'src', copy), target)
    }
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

/** Bins are plain JavaScript that imports the program: its source in the clone, its compiled form in the package. */
function stageBin(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) {
    const text = readFileSync(join(from, name), 'utf8')
    const staged = text.replace(/(['"])\.\.\/src\/([\w./-]+)\.ts\1/g, "'../dist/$2.js'")
    writeFileSync(join(to, name), staged, { mode: 0o755 })
  }
}

function shortReadme({ name, description }: Manifest): string {
  return `# ${name}\n\n${description ?? ''}.\n\nPart of Miaou. Not audited: see SECURITY.md of the project.\n`
}
