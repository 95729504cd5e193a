import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A package of its own with its own lock and no workspace: what is in it is never a dependency of Miaou. */
export const rivalsFolder = join(import.meta.dirname, '..', '..', 'peers', 'connect')

/**
 * Installs the rivals on first use, exactly as locked; false, with the reason on standard error, where they are not to be
 * had. No install script runs: those that need a binary bring it along.
 */
export function installRivals(): boolean {
  // npm writes it at the end of a whole installation.
  if (existsSync(join(rivalsFolder, 'node_modules', '.package-lock.json'))) return true
  process.stderr.write('Installing the rivals into bench/peers/connect (once, about 115 MB) …\n')
  const { status, error } = spawnSync('npm', ['ci', '--ignore-scripts', '--prefix', rivalsFolder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status === 0) return true
  const reason = error?.message ?? `it ended with ${status ?? 'a signal'}`
  process.stderr.write(
    `NO RIVALS: npm ci --prefix bench/peers/connect failed (${reason}). Only our figures follow. With a network and npm it ` +
      'works at the next run; --without-rivals asks for this on purpose.\n',
  )
  return false
}

/** Name and pinned version of a package, as the tables show it. */
export function versioned(name: string): string {
  const manifest = JSON.parse(readFileSync(join(rivalsFolder, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  return `${name} ${manifest.dependencies[name]}`
}
