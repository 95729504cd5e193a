import { cp, mkdir, mkdtemp, readdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { root } from '../run/part.ts'

/** Workspaces whose names the tests of the mutants import. */
const names = [
  'core',
  'crypto',
  'keyring',
  'protocol',
  'overlay',
  'network',
  'messaging',
  'peer',
  'text',
  'sdk',
  'host-node',
]
const workspaces = names.map((name) => `packages/${name}`)
/** Of the root: what the test runner reads. */
const files = ['package.json', 'vitest.config.ts', 'tsconfig.base.json']
/** Documents that tests compare the code with, and what tests share. */
const folders = ['spec', 'vectors', 'testkit']

/**
 * A copy of the project, as far as the tests of the mutants need it, in a temporary folder: its sources can be changed
 * while others use the project. Third-party packages are links to the installed ones; those of the project are its own.
 */
export async function copyProject(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'miaou-mutants-'))
  const isSource = (path: string): boolean => !['node_modules', 'dist'].includes(basename(path))
  for (const path of [...workspaces, ...folders]) {
    await cp(join(root, path), join(copy, path), { recursive: true, filter: isSource })
  }
  for (const file of files) await cp(join(root, file), join(copy, file))
  const modules = join(copy, 'node_modules')
  await mkdir(join(modules, '@miaou'), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name.startsWith('.') || name === '@miaou' || name === 'miaou') continue
    await symlink(join(root, 'node_modules', name), join(modules, name), 'junction')
  }
  for (const path of [...workspaces, 'testkit']) {
    await symlink(join(copy, path), join(modules, '@miaou', basename(path)), 'junction')
  }
  return copy
}
