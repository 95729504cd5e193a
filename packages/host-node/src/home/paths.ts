import { isAbsolute, join, resolve, win32 } from 'node:path'
import { err, ok, type Result } from '@miaou/core'

/** The part of the process that decides where a home is; given, so that every platform can be tested on one. */
export interface HomeSurroundings {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  /** The user's own folder (`os.homedir()`). */
  readonly userDirectory: string
  /** Folder that a relative `--home` starts from. */
  readonly workingDirectory: string
}

export interface HomeChoice {
  /** `--home`: any folder. */
  readonly home?: string
  /** `--profile`: another home beside the first, `default` where absent. */
  readonly profile?: string
}

export type HomePathError =
  /** Letters, digits, dot, hyphen and underscore, at most 32, beginning with a letter or digit. */
  { readonly type: 'bad-profile-name'; readonly profile: string } | { readonly type: 'home-and-profile' }

export const defaultProfile = 'default'

const profilePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/

/**
 * Folder of a home, by precedence: `--home`, `--profile`, `MIAOU_HOME`, profile `default`. Profiles live in
 * `$XDG_DATA_HOME/miaou` (Linux: `~/.local/share/miaou`), `~/Library/Application Support/miaou` (macOS) or
 * `%LOCALAPPDATA%\miaou` (Windows). Nothing is created.
 */
export function homePath(choice: HomeChoice, around: HomeSurroundings): Result<string, HomePathError> {
  if (choice.home !== undefined && choice.profile !== undefined) return err({ type: 'home-and-profile' })
  if (choice.home !== undefined) return ok(resolve(around.workingDirectory, choice.home))
  const fromEnv = around.env['MIAOU_HOME']
  if (choice.profile === undefined && fromEnv !== undefined && fromEnv !== '') {
    return ok(resolve(around.workingDirectory, fromEnv))
  }
  const profile = choice.profile ?? defaultProfile
  if (!profilePattern.test(profile)) return err({ type: 'bad-profile-name', profile })
  return ok(joinFor(around.platform, profilesDirectory(around), profile))
}

/** Folder in which the profiles lie. */
export function profilesDirectory(around: HomeSurroundings): string {
  const { platform, env, userDirectory } = around
  const xdg = env['XDG_DATA_HOME']
  // The XDG base directory specification: a relative path is invalid and ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'miaou')
  if (platform === 'darwin') return join(userDirectory, 'Library', 'Application Support', 'miaou')
  if (platform === 'win32') {
    const local = env['LOCALAPPDATA']
    const base = local === undefined || local === '' ? win32.join(userDirectory, 'AppData', 'Local') : local
    return win32.join(base, 'miaou')
  }
  return join(userDirectory, '.local', 'share', 'miaou')
}

function joinFor(platform: NodeJS.Platform, directory: string, name: string): string {
  return platform === 'win32' ? win32.join(directory, name) : join(directory, name)
}
