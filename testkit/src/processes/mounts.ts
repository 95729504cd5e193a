import { spawnSync } from 'node:child_process'

// Without root a user namespace gives the right to mount, where the system allows one.
const unshare: readonly string[] = ['unshare', ...(process.getuid?.() === 0 ? ['-m'] : ['-r', '-m'])]

/** Whether tests that mount may be passed over: never in CI, where a machine that cannot mount must fail. */
export function canMount(): boolean {
  const [program = '', ...words] = [...unshare, 'mount', '-t', 'tmpfs', 'none', '/mnt']
  return process.env['CI'] === 'true' || spawnSync(program, words).status === 0
}

/** Wraps a command so that it runs with mounts of its own, after `script` (sh) has made them. It keeps its process id. */
export function inMountNamespace(script: string): readonly string[] {
  return [...unshare, 'sh', '-c', `${script} && exec "$@"`, 'sh']
}
