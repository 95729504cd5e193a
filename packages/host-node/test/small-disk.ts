import { spawnSync } from 'node:child_process'

// Without root a user namespace gives the right to mount, where the system allows one.
const unshare = process.getuid?.() === 0 ? ['-m'] : ['-r', '-m']

/** A folder as a file system of its own, of so many MiB. */
export interface SmallDisk {
  readonly directory: string
  readonly mebibytes: number
}

/** Runs a script of ours by this Node, with the folder as its argument. */
export function runOnSmallDisk(disk: SmallDisk, script: string) {
  return spawnOn(disk, 'exec "$2" "$3" "$1"', [process.execPath, script])
}

/** Why the file system cannot be mounted here; undefined in CI, where a machine that cannot must fail instead. */
export function whyNotMountable(disk: SmallDisk): string | undefined {
  const { status, stderr } = spawnOn(disk, 'true', [])
  if (status === 0 || process.env['CI'] === 'true') return undefined
  return `no private file system can be mounted here: ${stderr?.trim() || 'unshare is missing'}`
}

function spawnOn({ directory, mebibytes }: SmallDisk, command: string, args: readonly string[]) {
  const mount = `mount -t tmpfs -o size=${mebibytes}m,mode=700 none "$1"`
  return spawnSync('unshare', [...unshare, 'sh', '-c', `${mount} && ${command}`, 'sh', directory, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
}
